"""What a shell is offered, by each of the three shells' scripts, and how long that takes."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.experiments import FULL


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with configs and runs, links that lead to nothing or themselves, and `cnntrain` to be found."""
    (tmp_path / "configs/more").mkdir(parents=True)
    for name in ("full.yaml", "more/other.yml"):
        (tmp_path / "configs" / name).write_text(FULL.replace("{type: dense,", "{type: dense, name: head,"))
    (tmp_path / "runs/full/latest/checkpoints").mkdir(parents=True)
    (tmp_path / "runs/full/latest/checkpoints/last.npz").touch()
    for name in ("configs/full-loop", "configs/full-loop.yaml", "configs/more/loop.yml", "runs/loop", "other-loop.npz"):
        (tmp_path / name).symlink_to(Path(name).name)
        (tmp_path / name.replace("loop", "gone")).symlink_to("nowhere")
    (tmp_path / "notes.txt").touch()
    (tmp_path / "other.npz").touch()
    program = tmp_path / "bin/cnntrain"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cnntrain "$@"\n')
    program.chmod(0o755)
    return tmp_path


CASES = [
    ("cnntrain swe", ["sweep"]),
    ("cnntrain fit con", ["configs/full.yaml", "configs/more/other.yml"]),
    ("cnntrain fit configs/f", ["configs/full.yaml"]),
    ("cnntrain eval r", ["runs/full/latest"]),
    ("cnntrain eval o", ["other.npz"]),
    ("cnntrain summary runs/full/latest/checkpoints/", ["runs/full/latest/checkpoints/last.npz"]),
    ("cnntrain fit configs/full.yaml --set optimizer.mo", ["optimizer.momentum="]),
    ("cnntrain fit configs/full.yaml -s model.layers.h", ["model.layers.head."]),
    ("cnntrain fit configs/full.yaml -s model.layers.head.un", ["model.layers.head.units="]),
    ("cnntrain fit configs/full.yaml -s data.train_transforms.0.pa", ["data.train_transforms.0.padding="]),
    ("cnntrain fit --set train.early_stopping.p", ["train.early_stopping.patience="]),
    ("cnntrain fit --set optimizer.", ["optimizer.type="]),
]


def ask(folder: Path, line: str) -> str:
    """The answer to bash."""
    word = line.rpartition(" ")[2]
    variables = {"_CNNTRAIN_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": word}
    program = [sys.executable, "-m", "cnntrain"]
    return subprocess.run(program, cwd=folder, env=os.environ | variables, text=True, capture_output=True).stdout


@pytest.mark.parametrize(("line", "expected"), CASES, ids=[line for line, _ in CASES])
def test_a_word_goes_on(cnntrain, folder, monkeypatch, line, expected):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("_CNNTRAIN_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", line.rpartition(" ")[2])
    outcome = cnntrain()
    assert (outcome.code, outcome.err) == (0, "")
    assert [item.partition(",")[2] for item in outcome.out.splitlines()] == expected
    kind = "part" if " --set " in line or " -s " in line else "plain"
    assert {item.partition(",")[0] for item in outcome.out.splitlines()} == {kind}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cnntrain predict runs/full/latest no", "file,no\n"),
        ("cnntrain fit not", "file,not\n"),
        ("cnntrain fit --set nothing.", "\n"),
        ("cnntrain fit --set seed=", "\n"),
        ("cnntrain fit --set data.source.x.y", "\n"),
    ],
)
def test_where_nothing_of_ours_fits_the_shell_offers_files_or_nothing(folder, line, expected):
    assert ask(folder, line) == expected


def shell(folder: Path, *words: str) -> list[str]:
    """The lines that a shell prints."""
    environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HOME": str(folder)}
    done = subprocess.run(words, cwd=folder, env=environment, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


BASH = """\
compopt() { :; }
eval "$(cnntrain completion bash)"
COMP_LINE='<line>'; COMP_POINT=${#COMP_LINE}
_cnntrain_completion cnntrain
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """\
compdef() { : }
compadd() { while [[ $1 != -- ]] { shift }; print -- $2 }
eval "$(cnntrain completion zsh)"
words=(${(s: :)${:-<line>}}); CURRENT=$#words
_cnntrain_completion
"""
FISH = "cnntrain completion fish | source; complete -C '<line>'"


@pytest.mark.parametrize(("name", "script"), [("bash", BASH), ("zsh", ZSH), ("fish", FISH)])
def test_the_shells_themselves_complete(folder, name, script):
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"no {name} here")
    for line, expected in (CASES[1], CASES[6]):
        arguments = ["-f"] if name == "zsh" else ["--norc"] if name == "bash" else ["--no-config"]
        found = shell(folder, program, *arguments, "-c", script.replace("<line>", line))
        assert [item.strip() for item in found] == expected


def test_bash_is_offered_what_stands_after_the_sign_at_which_it_cuts_words(folder):
    program = shutil.which("bash")
    assert program
    (folder / "runs/full/lr=0.1/checkpoints").mkdir(parents=True)
    found = shell(folder, program, "--norc", "-c", BASH.replace("<line>", "cnntrain eval runs/full/lr=0"))
    assert found == ["0.1 "]


@pytest.mark.parametrize("line", [CASES[0][0], CASES[3][0], CASES[8][0]])
def test_it_answers_in_a_fifth_of_a_second(folder, line):
    """Of processor time, and once of many, as a busy machine lets two processes share a core's units."""

    def spent() -> float:
        before = os.times()
        assert ask(folder, line).strip()
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert any(spent() < 0.2 for _ in range(10))
