"""The README is true: its commands run as printed, its tables and listings are those of the code, its layer works."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntrain import errors
from cnntrain.cli import COMMANDS, main
from cnntrain.config.schema import Experiment
from cnntrain.registry import KINDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
PHOTOS = ("photos", "photos.yaml")  # the reader's, and the config made for them
SHORT = "--set train.epochs=null --set train.steps=2"  # what the commands are given in addition, to end soon


def blocks(language: str) -> list[str]:
    """The text of the README's code blocks in this language."""
    return [text for marked, text in BLOCKS if marked == language]


def section(title: str) -> str:
    """The text under a heading."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def rows(title: str) -> list[list[str]]:
    """The first table under a heading, without its header."""
    table = re.search(r"(?:^\|.*\n)+", section(title), re.MULTILINE)
    assert table, title
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[0].splitlines()[2:]]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What of the repository its commands need."""
    for name in ("configs", "data/mnist-mini"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "data/seven.png", tmp_path / "data")
    rng = np.random.default_rng(0)
    for number in range(36):  # the reader's own photographs
        path = tmp_path / "photos" / ("birds", "cats", "dogs")[number % 3] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(60 * (number % 3), 256, (24, 32, 3), dtype=np.uint8)).save(path)
    return tmp_path


def test_its_commands_work_as_printed_and_in_their_order(copy):
    commands = "".join(blocks("sh"))
    program = copy / "bin/cnntrain"
    program.parent.mkdir()
    python = shlex.quote(sys.executable)
    program.write_text(f'#!/bin/sh\ncase $1 in fit|sweep) set -- "$@" {SHORT};; esac\nexec {python} -m cnntrain "$@"\n')
    program.chmod(0o755)
    first = "cnntrain fit configs/quickstart.yaml\n"  # what the command under Start ends with
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=first + commands,
        cwd=copy,
        env=os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^data/seven\.png  \d \d\.\d{4}  \d ", done.stdout, re.MULTILINE)
    assert {path.name for path in (copy / "runs").iterdir()} >= {"quickstart", "gentler", "mine", "my-configs"}
    made = {"bin", "configs", "data", "mine.yaml", "my-configs", *PHOTOS, "runs"}
    assert {path.name for path in copy.iterdir()} == made


def test_every_command_it_mentions_is_tried_or_is_known_to_be_right():
    """Those it shows within a sentence or a table name a command and options that exist."""
    mentioned = re.findall(r"`(cnntrain [a-z][^`]*)`", README)
    assert len(mentioned) > 10
    for text in mentioned:
        words = shlex.split(text)
        assert words[1] in COMMANDS or words[1] == "COMMAND", text
        for config in (word for word in words if word.startswith("configs/")):
            assert (ROOT / config).is_file(), text


def test_the_two_commands_that_set_everything_up_are_those_that_ci_runs():
    first, second = blocks("bash")
    assert first.startswith("python3 -m venv .venv && ")
    assert first.endswith("cnntrain fit configs/quickstart.yaml\n")
    assert second.startswith("python3 -m venv .venv && ")
    assert second.endswith("pytest\n")
    found = re.findall(r"^python3 -m venv.*\n", README, re.MULTILINE)
    assert found == [first, second], ".ci/run takes the lines that begin like this"


def test_the_files_it_shows_whole_are_those_in_the_repository():
    names = ("quickstart.yaml", "experiments/dropout.yaml")
    assert blocks("yaml") == [(ROOT / "configs" / name).read_text() for name in names]


def test_the_error_it_shows_is_the_error_one_gets(copy, monkeypatch, capsys):
    (shown,) = blocks("text")
    (line,) = (line.strip() for line in shown.splitlines() if "optimizer:" in line)
    text = re.sub(r"^optimizer:.*$", line, (ROOT / "configs/quickstart.yaml").read_text(), flags=re.MULTILINE)
    (copy / "my.yaml").write_text(text)
    monkeypatch.chdir(copy)
    assert main(["check", "my.yaml"]) == 2
    assert capsys.readouterr().err.startswith(shown)


def test_the_table_of_commands_is_the_programs():
    assert rows("Commands") == [[f"`cnntrain {name}`", meaning] for name, meaning in COMMANDS.items()]


def test_the_table_of_keys_has_every_key_of_an_experiment():
    keys = {row[0].strip("`") for row in rows("What a config can say")}
    assert keys == {field.name for field in fields(Experiment)} | {"vars", "extends"}
    required = {row[0].strip("`") for row in rows("What a config can say") if row[2:] == ["yes"]}
    assert required == {"data", "model", "train"}


def test_the_kinds_it_names_are_all_there_are():
    sentence = re.search(r"The kinds are (.*?)\.", section("What a config can say"), re.DOTALL)
    assert sentence
    assert re.findall(r"`(\w+)`", sentence[1]) == list(KINDS)


def test_the_table_of_exit_codes_has_every_code():
    codes = [int(code) for row in rows("Exit codes") for code in row[0].split(", ")]
    stopping = {128 + number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)}
    assert sorted(codes) == sorted({0, 141} | _codes(errors.CnntrainError) | stopping)


def _codes(error: Any) -> set[int]:
    return {error.exit_code}.union(*(_codes(derived) for derived in error.__subclasses__()))


def test_the_table_of_files_has_every_file_of_a_run(copy, monkeypatch):
    monkeypatch.chdir(copy)
    command = ["fit", "configs/quickstart.yaml", *shlex.split(SHORT), "-o", "run", "-q", "-s", "checkpoint.keep=1"]
    assert main([*command, "--report", "-s", "checkpoint.every=1st"]) == 0
    promised = {name for row in rows("The run directory") for name in re.findall(r"`([^`]+)`", row[0])}
    made = {str(path.relative_to("run")) for path in Path("run").rglob("*") if path.is_file() and path.name != ".lock"}
    assert {re.sub(r"(epoch|step)-\d+", "epoch-0007", name) for name in made} == promised - {
        "crash.log",
        "tensorboard/",
        "nonfinite/record.json",
    }


def test_every_file_it_points_to_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    links += re.findall(r"`((?:tests|configs|cnntrain|data)/[^`\s:]*)[`:]", README)
    assert len(links) > 15
    missing = [link for link in links if not (ROOT / link).exists()]
    assert missing == ["cnntrain/layers/softsign.py"], "the one the reader is to write"


def test_every_test_it_names_is_there():
    named = re.findall(r"`(tests/[^`:]*)::(\w+)`", README)
    assert len(named) > 10
    for path, name in named:
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE), f"{path}::{name}"


def test_its_sections_are_those_of_its_contents():
    titles = re.findall(r"^## (.*)$", README, re.MULTILINE)
    anchors = re.findall(r"\]\(#([^)]+)\)", README)
    assert anchors == [re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles]


def test_its_layer_is_found_keeps_the_contract_and_the_manners(tmp_path):
    (text,) = blocks("python")
    for name in ("cnntrain", "tests/layers", "tests/support"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "tests/conftest.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "cnntrain/layers/softsign.py").write_text(text)
    command = re.search(r"`pytest (tests/layers/.*?)`", section("Adding a layer"))
    assert command
    tested = _python(tmp_path, "pytest", "-n", "0", "-p", "no:cacheprovider", *command[1].split())
    assert tested.returncode == 0, tested.stdout
    assert re.search(r"\b[12]\d passed", tested.stdout), tested.stdout
    listed = _python(tmp_path, "cnntrain", "list", "layers")
    assert "softsign" in listed.stdout, listed.stderr
    rules = ["--config", str(ROOT / ".ruff.toml"), "--no-cache", "cnntrain/layers/softsign.py"]
    for check in (["check"], ["format", "--check"]):
        result = _python(tmp_path, "ruff", *check, *rules)
        assert result.returncode == 0, result.stdout


def _python(folder: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
