"""Parts from an installed package: `waves`, beside this file, as pip installs it, through every command that meets one.

And packages whose declarations are wrong, which disturb nobody who does not ask for them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.experiments import FULL

HERE = Path(__file__).parent
CONFIG = (
    FULL.replace("    - relu\n", "    - {type: waves_snake, initial: 0.5}\n")
    .replace("{type: sgd, lr: 0.1, momentum: 0.9, weight_decay: 1e-3}", "{type: waves_signsgd, lr: 1e-3}")
    .replace("log_every: 3,", "log_every: 3, metrics: [accuracy, waves_jaccard],")
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the package."""
    folder = tmp_path_factory.mktemp("site")
    source = shutil.copytree(HERE / "waves", folder / "source")
    target = folder / "target"
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    how = ["--no-build-isolation", "--no-deps", "--target", str(target), str(source)]
    subprocess.run([sys.executable, *pip, *how], check=True, capture_output=True, timeout=300)
    return target


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    (tmp_path / "waves.yaml").write_text(CONFIG)
    (tmp_path / "plain.yaml").write_text(FULL)
    return tmp_path


def cnntrain(desk: Path, site: Path | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command line, as one types it, in a process of its own that sees a folder of installed packages."""
    path = [str(HERE.parent.parent), *([str(site)] if site else [])]
    return subprocess.run(
        [sys.executable, "-m", "cnntrain", *arguments],
        cwd=desk,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


ALL = """\
import contextlib, io, json, sys
from cnntrain.cli import main
found = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(arguments)
    found.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(found))
"""


def several(desk: Path, site: Path | None, *lines: str) -> list[subprocess.CompletedProcess[str]]:
    """Command lines one after the other in one process, which is quicker."""
    path = [str(HERE.parent.parent), *([str(site)] if site else [])]
    done = subprocess.run(
        [sys.executable, "-c", ALL, json.dumps([line.split() for line in lines])],
        cwd=desk,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    found = zip(lines, json.loads(done.stdout), strict=True)
    return [subprocess.CompletedProcess(line, code, out, err) for line, (code, out, err) in found]


def fine(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run in one go, and one that was resumed."""
    desk = tmp_path_factory.mktemp("trained")
    (desk / "waves.yaml").write_text(CONFIG)
    fit = "fit waves.yaml -q -s schedule=constant"
    fine(cnntrain(desk, site, *f"{fit} -o halves -s train.epochs=1".split()))
    ways = ("-o halves -s train.epochs=2 --resume", "-o straight -s train.epochs=2")
    assert [done.returncode for done in several(desk, site, *(f"{fit} {way}" for way in ways))] == [0, 0]
    return desk


def test_it_resumes_exactly_and_is_exported(trained, site):
    desk = trained
    straight, halves = (np.load(desk / run / "checkpoints/last.npz") for run in ("straight", "halves"))
    assert straight.files == halves.files
    assert any("waves_snake" in name for name in straight.files)
    for name in straight.files:
        if name.startswith(("param/", "slot/", "metric/")):
            assert straight[name].tobytes() == halves[name].tobytes()
    rows = [json.loads(line) for line in (desk / "straight/metrics.jsonl").read_text().splitlines()]
    assert any("waves_jaccard" in key for row in rows for key in row)
    fine(cnntrain(desk, site, "export", "straight", "--format", "numpy", "--output", "net.py"))
    program = "import sys, numpy, net; print(net.forward(numpy.ones((2, 8, 8, 1), 'f')).shape, 'waves' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=desk, capture_output=True, text=True, check=False)
    assert done.stdout == "(2, 3) False\n", done.stderr


def test_list_schema_and_completion_know_it(desk, site):
    asked = ("list layers waves_snake", "list optimizers waves_signsgd --json", "schema")
    text, optimizer, schema = map(fine, several(desk, site, *asked))
    assert text.startswith("waves_snake (waves/snake.py of waves 0.1)\n")
    assert "Ziyin et al. 2020" in text
    (described,) = json.loads(optimizer)
    assert described["package"] == "waves 0.1"
    known = json.loads(schema)["$defs"].keys()
    assert {"layers.waves_snake.entry", "optimizers.waves_signsgd", "metrics.waves_jaccard"} <= known
    ask = {"COMP_WORDS": "cnntrain fit waves.yaml -s optimizer.", "COMP_CWORD": "optimizer."}
    done = subprocess.run(
        [sys.executable, "-m", "cnntrain"],
        cwd=desk,
        env=os.environ
        | ask
        | {"_CNNTRAIN_COMPLETE": "bash_complete", "PYTHONPATH": f"{HERE.parent.parent}{os.pathsep}{site}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "part,optimizer.lr=" in done.stdout.splitlines()


def test_without_the_package_a_config_is_wrong_and_a_checkpoint_says_what_it_needs(trained):
    commands = ("eval halves", "fit -o halves --resume", "export halves --format numpy", "summary halves")
    checked, *others = several(trained, None, "check waves.yaml", *commands)
    assert checked.returncode == 2
    assert "unknown layer 'waves_snake'" in checked.stderr
    for done in others:
        assert done.returncode == 4, done.stderr
        (line,) = done.stderr.splitlines()
        assert "needs the layer 'waves_snake' of the package 'waves 0.1', which is not installed. Install it" in line


def test_another_version_of_the_package_is_told(trained, site, tmp_path):
    newer = shutil.copytree(site, tmp_path / "newer")
    (metadata,) = newer.glob("waves-*.dist-info/METADATA")
    metadata.write_text(metadata.read_text().replace("Version: 0.1", "Version: 0.2"))
    run = shutil.copytree(trained / "straight", tmp_path / "run")
    resume = "fit -q -o run --resume"
    commands = ("eval run", f"{resume} --strict-env", f"{resume} -s train.epochs=3")
    judged, refused, resumed = several(tmp_path, newer, *commands)
    changed = "layers.waves_snake waves 0.1 -> waves 0.2"
    assert [done.returncode for done in (judged, refused, resumed)] == [0, 4, 0]
    assert f"best.npz may not answer as when it was written: {changed}" in judged.stderr.replace("last.npz", "best.npz")
    assert f"written in another environment ({changed}" in refused.stderr
    assert f"not bit-identical to an uninterrupted run: {changed}" in resumed.stderr
    assert json.loads((run / "env.json").read_text())["packages"]["layers.waves_snake"] == "waves 0.1"
    snake = newer / "waves/snake.py"
    snake.write_text(snake.read_text().replace("    initial: Positive", "    start: Positive"))
    done = cnntrain(trained, newer, "eval", "straight")
    assert done.returncode == 4
    assert "unknown key 'initial' of waves_snake" in done.stderr
    assert f"Install what its parts came from ({changed}" in done.stderr


def test_help_looks_at_no_package(desk, site):
    program = """\
import sys
from cnntrain.cli import main
main(["--help"])
print("importlib.metadata" in sys.modules, "numpy" in sys.modules, "waves" in sys.modules, file=sys.stderr)
"""
    path = f"{HERE.parent.parent}{os.pathsep}{site}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=desk, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == "False False False\n"


def package(site: Path, name: str, entries: str, **modules: str) -> Path:
    """A package made by hand: its metadata, and its modules."""
    info = site / f"{name}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[cnntrain.parts]\n{entries}\n")
    for module, text in modules.items():
        (site / f"{module}.py").write_text(text)
    return site


def snake(name: str = "waves_snake") -> str:
    return (HERE / "waves/waves/snake.py").read_text().replace('@register("waves_snake")', f'@register("{name}")')


WRONG = {
    "does not exist": ("layers.odd = nowhere", {}, "ModuleNotFoundError: No module named 'nowhere'"),
    "raises": ("layers.odd = odd", {"odd": "1 / 0\n"}, "ZeroDivisionError: division by zero"),
    "leaves": ("layers.odd = odd", {"odd": "raise SystemExit('bye')\n"}, "SystemExit: bye"),
    "is no Python": ("layers.odd = odd", {"odd": "def (\n"}, "SyntaxError: invalid syntax"),
    "registers nothing": ("layers.odd = odd", {"odd": "x = 1\n"}, "no dataclass with @register('odd')"),
    "is another class": ("layers.odd = odd:Layer", {"odd": snake("odd")}, "no dataclass with @register('odd')"),
    "is no dataclass itself": (
        "layers.odd = odd", {"odd": snake("odd").replace("@dataclass(frozen=True)\n", "")}, "no dataclass with @reg"
    ),
    "has a key of no type": (
        "layers.odd = odd", {"odd": snake("odd").replace("initial: Positive", "initial: Posit")}, "name 'Posit' is not"
    ),
    "has a key of a type that no config holds": (
        "layers.odd = odd", {"odd": snake("odd").replace("Positive = 1.0", "dict[str, float] = None")},
        "key initial: dict[str, float] is no type that a config can hold. Use bool, int,",
    ),
    "registers more": ("layers.odd = odd", {"odd": snake("more")}, "the layer 'more' too. Declare layers.more"),
    "takes a name of ours": ("layers.odd = odd", {"odd": snake("relu")}, "layers 'relu' is registered twice"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_part_that_cannot_be_loaded_disturbs_only_whoever_asks_for_it(desk, tmp_path, what):
    entries, modules, reason = WRONG[what]
    site = package(tmp_path / "site", "odds", entries, **modules)
    (desk / "odd.yaml").write_text(FULL.replace("    - relu\n", "    - odd\n"))
    commands = ("check plain.yaml --no-data", "check odd.yaml", "list layers", "list layers odd")
    plain, asked, listed, told = several(desk, site, *commands)
    fine(plain)
    assert (asked.returncode, listed.returncode, told.returncode) == (2, 0, 2)
    for text in (asked.stderr, listed.stderr, told.stderr):
        assert "Traceback" not in text
        assert "the layer 'odd' of odds 1 (odd" in text or "the layer 'odd' of odds 1 (nowhere" in text
        assert reason in text
    assert ": the layer 'odd' of" in asked.stderr.splitlines()[0]


FAULTS = {
    "raises": ("def forward", "def forward(self, f): raise KeyError('x')\n    def before", "in forward: KeyError: 'x'"),
    "leaves": ("def forward", "def forward(self, f): raise SystemExit(3)\n    def before", "in forward: SystemExit: 3"),
    "is misspelt": ("def forward", "def foward", "(FILE) has no method 'forward', but one called 'foward'"),
    "gives another thing": (
        "return Workspace(",
        "return dict(",
        "unless `cnntrain selftest --part FILE` finds a fault",
    ),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_part_that_fails_is_named_with_its_line(desk, tmp_path, what):
    before, after, said = FAULTS[what]
    site = package(tmp_path / "site", "odds", "layers.odd = odd", odd=snake("odd").replace(before, after))
    (desk / "odd.yaml").write_text(FULL.replace("    - relu\n", "    - odd\n"))
    for done in several(desk, site, "fit odd.yaml -q -j 1 -o one", "fit odd.yaml -q -j 2 -o two"):
        (line,) = done.stderr.splitlines()
        assert done.returncode == 1
        assert said.replace("FILE)", f"{site}/odd.py)") in line
        assert line.startswith("cnntrain: error: the layer 'odd' of odds 1 ") or "selftest" in said
        assert ("please report it" in line) == ("selftest" in said)
        assert "crash.log" in line


@pytest.mark.parametrize("names", ["odd sound", "sound odd"])
def test_nor_does_it_disturb_a_sound_part_of_its_module_whichever_comes_first(desk, tmp_path, names):
    first, second = names.split()
    text = snake("odd").replace("initial: Positive", "initial: Posit")
    text += snake("sound")[snake("sound").index("@register") :]
    entries = f"layers.{first} = odd\nlayers.{second} = odd"
    site = package(tmp_path / "site", "odds", entries, odd=text)
    (desk / "sound.yaml").write_text(FULL.replace("    - relu\n", "    - sound\n"))
    used, listed, schema = several(desk, site, "check sound.yaml --no-data", "list layers", "schema")
    assert used.returncode == listed.returncode == schema.returncode == 0
    assert "'odd' of odds 1 (odd) cannot be loaded: NameError: name 'Posit' is not defined" in listed.stderr
    assert "'sound'" not in listed.stderr
    assert [name in listed.stdout for name in ("sound ", "odd ")] == [True, False]


def test_a_module_may_have_parts_of_two_kinds_whichever_comes_first(desk, tmp_path):
    jaccard = (HERE / "waves/waves/jaccard.py").read_text()
    module = f"{snake('odd')}\n{jaccard[jaccard.index('from cnntrain.parts') :].replace('waves_jaccard', 'odd_too')}"
    site = package(tmp_path / "site", "odds", "layers.odd = odd\nmetrics.odd_too = odd", odd=module)
    for kinds in (("layers", "metrics"), ("metrics", "layers")):
        listed = dict(zip(kinds, several(desk, site, *(f"list {kind}" for kind in kinds)), strict=True))
        assert {"odd", "relu", "dense"} <= {line.partition(" ")[0] for line in fine(listed["layers"]).splitlines()}
        assert {"odd_too", "accuracy"} <= {line.partition(" ")[0] for line in fine(listed["metrics"]).splitlines()}


def test_two_packages_with_one_name_are_both_refused_and_both_named(desk, tmp_path):
    site = package(tmp_path / "site", "one", "layers.waves_snake = first", first=snake())
    package(tmp_path / "site", "two", "layers.waves_snake = second", second=snake())
    done = cnntrain(desk, site, "check", "waves.yaml")
    assert done.returncode == 2
    assert (
        "the layer 'waves_snake' is declared by one 1 (first) and by two 1 (second). Uninstall all but" in done.stderr
    )
    fine(cnntrain(desk, site, "check", "plain.yaml", "--no-data"))


def test_a_name_of_ours_stays_ours(desk, tmp_path):
    site = package(tmp_path / "site", "one", "layers.relu = first", first=snake("relu"))
    fine(cnntrain(desk, site, "check", "plain.yaml", "--no-data"))
    done = cnntrain(desk, site, "list", "layers", "relu")
    assert done.returncode == 0
    assert "y = max(x, 0)" in done.stdout
    assert "'relu' is declared by one 1 (first) but is cnntrain's own, which stays (cnntrain." in done.stderr


def test_a_kind_that_is_none_is_told_by_list(desk, tmp_path):
    site = package(tmp_path / "site", "one", "layer.waves_snake = first", first=snake())
    done = cnntrain(desk, site, "list")
    assert done.returncode == 0
    assert "one 1 declares layer.waves_snake in cnntrain.parts, but 'layer' is no kind of part" in done.stderr
