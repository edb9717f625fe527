"""Nothing in a stranger's folder is run: every command in a folder full of files named like modules."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnntrain.cli import COMMANDS
from cnntrain.sweep import child
from tests.support.experiments import TINY, write

ROOT = Path(__file__).parent.parent.parent
LIBRARIES = {"numpy", "yaml", "click", "tqdm", "PIL", "matplotlib", "cnntrain", "sitecustomize", "usercustomize"}
PLANTED = sorted(LIBRARIES | {name for name in sys.stdlib_module_names if not name.startswith("_")})
SWEEP = "config: full.yaml\nset: {train.epochs: 1}\ngrid: {optimizer.lr: [0.1, 0.05]}\n"
PROGRAMS = {  # as pip installs the first; the other runs many command lines
    "cnntrain": "import sys\nfrom cnntrain.cli import main\nsys.exit(main())\n",
    "every": (
        "import json, sys\nfrom cnntrain.cli import main\npath, codes = list(sys.path), []\n"
        "for words in json.loads(sys.argv[1]):\n    codes.append(main(words))\n    assert sys.path == path, words\n"
        "print()\nprint(json.dumps(codes))\n"
    ),
}
LINES = {  # command -> what it is called with, after those before it
    "data": "fetch nothing",
    "init": "--data data.npz -o first.yaml",
    "fit": "full.yaml -s train.epochs=1 -o run -j 2",
    "eval": "run --split train -j 2",
    "predict": "run data.npz",
    "sweep": "sweep.yaml -o cells -j 2 -p 2",
    "report": "run",
    "watch": "nothing",
    "explain": "run data.npz",
    "compare": "cells",
    "export": "run -o network.py",
    "average": "run/checkpoints/last.npz run/checkpoints/best.npz -o average.npz",
    "check": "full.yaml",
    "summary": "full.yaml",
    "lr-find": "full.yaml --steps 12",
    "time": "full.yaml --steps 2",
    "config": "full.yaml",
    "list": "layers",
    "schema": "",
    "gradcheck": "full.yaml",
    "selftest": "",
    "env": "",
    "inspect": "run",
    "verify": "run",
    "replay": "run",
    "completion": "bash",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stranger's folder, and beside it the program as pip installs it."""
    folder = tmp_path_factory.mktemp("stranger")
    write(folder, TINY)
    (folder / "sweep.yaml").write_text(SWEEP)
    (folder / "one.yaml").write_text(SWEEP.partition("grid")[0])
    rng = np.random.default_rng(0)
    arrays = {f"x_{split}": rng.integers(0, 255, (40, 8, 8, 1), np.uint8) for split in ("train", "test")}
    np.savez(folder / "data.npz", **arrays, y_train=np.arange(40) % 2, y_test=np.arange(40) % 2)
    for name in PLANTED:
        (folder / f"{name}.py").write_text(f"open({str(folder / 'ran')!r}, 'a').write({name + chr(10)!r})\n")
        if name in LIBRARIES:
            (folder / name).mkdir()
            shutil.copy(folder / f"{name}.py", folder / name / "__init__.py")
    (folder.parent / "bin").mkdir(exist_ok=True)
    for name, text in PROGRAMS.items():
        program = folder.parent / "bin" / name
        program.write_text(f"#!{sys.executable}\n{text}")
        program.chmod(0o755)
    return folder


def run(folder: Path, *words: str, ignored: bool = False) -> subprocess.CompletedProcess[str]:
    bin_folder = folder.parent / "bin"
    environment = os.environ | {"PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        words,
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
        timeout=300,
        preexec_fn=(lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)) if ignored else None,
    )


def test_every_command_is_tried() -> None:
    assert set(LINES) == set(COMMANDS)


@pytest.mark.parametrize("apart", [False, pytest.param(True, marks=pytest.mark.faults)])
def test_no_command_runs_what_lies_beside_it(folder: Path, apart: bool) -> None:
    """One after the other in one process, which imports whatever any of them needs; or each in its own."""
    every = [[command, *shlex.split(rest)] for command, rest in LINES.items()]
    if apart:
        ended = [run(folder, "cnntrain", *words) for words in every]
        codes, said = [one.returncode for one in ended], "".join(one.stderr for one in ended)
    else:
        whole = run(folder, "every", json.dumps(every))
        codes, said = json.loads(whole.stdout.splitlines()[-1]), whole.stderr
    assert "Traceback" not in said, said
    assert not (folder / "ran").exists(), (folder / "ran").read_text()
    assert [code for (command, *_), code in zip(every, codes, strict=True) if command in ("fit", "sweep", "init")] == [
        0
    ] * 3
    assert (folder / "cells/lr=0.05/checkpoints/last.npz").exists()


def test_nor_do_the_lines_that_a_sweep_prints(folder: Path) -> None:
    """Whether a shell finds the program by its name or not."""
    program = str(folder.parent / "bin" / "cnntrain")
    for path in (f"{folder.parent / 'bin'}:/usr/bin:/bin", ".:/usr/bin:/bin", "/usr/bin:/bin"):
        cells = f"lines{len(path)}"
        environment = ["env", f"PATH={path}"]
        (folder / "cnntrain.py").replace(folder / "cnntrain_.py")
        printed = run(folder, *environment, program, "sweep", "one.yaml", "-o", cells, "--print-commands")
        assert printed.returncode == 0, printed.stderr
        assert printed.stdout.startswith("cnntrain fit ") == path.startswith(str(folder.parent))
        ended = run(folder, *environment, "sh", "-e", "-c", printed.stdout)
        (folder / "cnntrain_.py").replace(folder / "cnntrain.py")
        assert ended.returncode == 0, ended.stderr
        assert not (folder / "ran").exists(), (folder / "ran").read_text()
        assert (folder / cells / "run/checkpoints/last.npz").exists()


def test_a_child_finds_its_modules_where_its_parent_did(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where that is a folder the interpreter does not know of."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    ended = subprocess.run(child.command(["--version"]), cwd=folder, text=True, capture_output=True, env={})
    assert ended.stdout.startswith("cnntrain ")
    assert not (folder / "ran").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="workers are processes on Linux only")
def test_where_the_end_of_children_is_ignored_it_is_told_all_the_same(folder: Path) -> None:
    """As some daemons and job runners leave SIGCHLD to what they start."""
    (folder / "failing.yaml").write_text(SWEEP.replace("0.1, 0.05", "1e30"))
    ended = run(folder, "cnntrain", "sweep", "failing.yaml", "-o", "failing", "-q", ignored=True)
    assert ended.returncode == 6, ended.stderr
    outcomes = [line.split()[:3] for line in ended.stdout.splitlines()[2:]]
    assert outcomes == [["lr=1e30", "6", "diverged"]]
