"""The pages are true: commands run as printed, tables and listings are the program's, links lead somewhere."""

from __future__ import annotations

import gzip
import importlib.util
import math
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from cnntrain.cli import COMMANDS, main
from cnntrain.config.json_schema import json_schema
from cnntrain.core import errors
from cnntrain.core.registry import KINDS
from cnntrain.ops import trace
from tests.support import reference
from tests.support.pages import CLI, CODE, CONFIGS, NAMES, PAGES, README, ROOT, RUNS, TESTS, Page

SHORT = "--set train.epochs=null --set train.steps=2"  # what `fit` and `sweep` are also given, to end soon
TO_WRITE = {
    f"cnntrain/parts/{part}.py" for part in ("layers/dynamic_tanh", "optimizers/signum", "metrics/worst_recall")
}
every_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What its commands need of the repository, with a tenth of the digits, which is enough here."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / "data/mnist-mini").mkdir(parents=True)
    for path in (ROOT / "data/mnist-mini").iterdir():
        (tmp_path / "data/mnist-mini" / path.name).write_bytes(gzip.compress(tenth(gzip.decompress(path.read_bytes()))))
    script = tmp_path / "configs/experiments/optimizers.sh"  # only two of its eight runs are trained
    script.write_text(re.sub(r"^both (?!sgd ).*\n", "", script.read_text(), flags=re.MULTILINE))
    shutil.copy(ROOT / "data/seven.png", tmp_path / "data")
    rng = np.random.default_rng(0)
    for number in range(36):  # the reader's own photographs
        path = tmp_path / "photos" / ("birds", "cats", "dogs")[number % 3] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(60 * (number % 3), 256, (24, 32, 3), dtype=np.uint8)).save(path)
    return tmp_path


def tenth(data: bytes) -> bytes:
    """The first tenth of an IDX file of bytes."""
    count, *shape = struct.unpack_from(f">{data[3]}I", data, 4)
    return (
        data[:4]
        + struct.pack(f">{data[3]}I", count // 10, *shape)
        + data[4 + 4 * data[3] :][: math.prod([count // 10, *shape])]
    )


# -- what is run ---------------------------------------------------------------------------------------------------

SHOWN = {  # page -> what its commands print, among other things
    README: r"^data/seven\.png  \d \d\.\d{4}  \d ",
    CLI: r"^split +train, 600 samples",
}
RUN = [page for page in PAGES if page.blocks("sh")]


PLAIN = re.compile(r"cnntrain [^$|&;<>`\n]+\n")  # a line that is one command and needs no shell
TOGETHER = f"""\
import shlex, sys
from cnntrain.cli import main
for line in sys.stdin:
    code = main(shlex.split(line)[1:] + ({SHORT.split()} if line.split()[1] in ("fit", "sweep") else []))
    if code:
        sys.exit(code)
"""


@pytest.mark.parametrize("page", RUN, ids=[page.name for page in RUN])
def test_its_commands_work_as_printed_and_in_their_order(page: Page, copy: Path) -> None:
    """By a shell, but plain lines in a row by one process, as a short command takes most of its time to start.

    Except for the block that tests/test_ten_photographs.py runs line by line.
    """
    program, together = copy / "bin/cnntrain", copy / "together.py"
    program.parent.mkdir()
    python = shlex.quote(sys.executable)
    program.write_text(f'#!/bin/sh\ncase $1 in fit|sweep) set -- "$@" {SHORT};; esac\nexec {python} -m cnntrain "$@"\n')
    program.chmod(0o755)
    together.write_text(TOGETHER)
    first = "cnntrain fit configs/quickstart.yaml\n"  # what the first page's first command ends with
    lines = re.sub(
        rf"(?:^{PLAIN.pattern}){{2,}}",
        lambda found: f"{python} together.py <<'END'\n{found[0]}END\n",
        first + "".join(block for block in page.blocks("sh") if "things.yaml" not in block),
        flags=re.MULTILINE,
    )
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=lines,
        cwd=copy,
        env=os.environ
        | {"PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "CNNTRAIN_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(SHOWN.get(page, ""), done.stdout, re.MULTILINE)


def test_commands_stand_on_every_page_that_tells_of_commands() -> None:
    assert {page.name for page in RUN} == {f"{folder}README.md" for folder in ("", "configs/", "data/")} | {
        CLI.name,
        RUNS.name,
    }


def test_the_two_commands_that_set_everything_up_are_those_that_ci_runs() -> None:
    first, second = README.blocks("bash")
    assert first.startswith("python3 -m venv .venv && ")
    assert first.endswith("cnntrain fit configs/quickstart.yaml\n")
    assert second.startswith("python3 -m venv .venv && ")
    assert second.endswith("pytest\n")
    found = re.findall(r"^python3 -m venv.*\n", README.text, re.MULTILINE)
    assert found == [first, second], ".ci/run takes the lines that begin like this"


def test_the_error_it_shows_is_the_error_one_gets(copy, monkeypatch, capsys) -> None:
    (shown,) = README.blocks("text")
    (line,) = (line.strip() for line in shown.splitlines() if "optimizer:" in line)
    text = re.sub(r"^optimizer:.*$", line, (ROOT / "configs/quickstart.yaml").read_text(), flags=re.MULTILINE)
    (copy / "my.yaml").write_text(text)
    monkeypatch.chdir(copy)
    assert main(["check", "my.yaml"]) == 2
    assert capsys.readouterr().err.startswith(shown)


def test_the_configs_they_show_are_right_and_those_of_the_repository(tmp_path, monkeypatch) -> None:
    composed, dropout, search = CONFIGS.blocks("yaml")
    assert README.blocks("yaml") == [(ROOT / "configs/quickstart.yaml").read_text()]
    assert dropout == (ROOT / "configs/experiments/dropout.yaml").read_text()
    assert search == (ROOT / "configs/experiments/search.yaml").read_text()
    (tmp_path / "composed.yaml").write_text(composed)
    monkeypatch.chdir(tmp_path)
    assert main(["check", "composed.yaml"]) == 0


# -- what is told --------------------------------------------------------------------------------------------------


def test_the_first_page_is_short_and_leads_to_all_others() -> None:
    assert len(README.text.splitlines()) <= 200
    listed = [re.sub(r".*\((.*)\)", r"\1", row[0]) for row in README.rows("The other pages")]
    assert set(listed) - {"CHANGELOG.md"} == set(NAMES) - {README.name}


def test_every_generator_is_used_once_and_leaves_the_rest_alone() -> None:
    used = [name for page in reference.generated() for name in reference.BLOCK.findall(page.text)]
    assert sorted(used) == sorted(reference.GENERATORS)
    old = f"# A title\n\n<!-- generated: commands -->\nold\n{reference.END}\nmore\n"
    assert reference.refreshed(old) == "# A title\n\n" + reference.block("commands") + "\nmore\n"


def test_the_tables_of_keys_have_every_key_of_an_experiment() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", CONFIGS.section("Every key"), re.MULTILINE))
    assert told >= set(json_schema()["$defs"]["Experiment"]["properties"])
    paths = {path for path, _ in reference.mappings()}
    assert paths >= {"data", "model", "train", "train.until", "checkpoint", "checkpoint.best", "optimizer.groups"}


def test_the_kinds_it_names_are_all_there_are() -> None:
    sentence = re.search(r"The kinds of parts are (.*?)\.", CONFIGS.text, re.DOTALL)
    assert sentence
    assert re.findall(r"`(\w+)`", sentence[1]) == list(KINDS)


def test_the_table_of_operations_is_that_of_the_trace() -> None:
    listed = [line for line in str(trace.__doc__).splitlines() if line.startswith("| ")]
    assert "\n".join([listed[0], "|---|---|", *listed[1:]]) in CODE.text


def test_the_table_of_exit_codes_has_every_code() -> None:
    codes = [int(code) for row in CLI.rows("Exit codes") for code in row[0].split(", ")]
    stopping = {128 + number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)}
    assert sorted(codes) == sorted({0, 141} | _codes(errors.CnntrainError) | stopping)


def _codes(error: Any) -> set[int]:
    return {error.exit_code}.union(*(_codes(derived) for derived in error.__subclasses__()))


def test_the_table_of_files_has_every_file_of_a_run(copy, monkeypatch) -> None:
    monkeypatch.chdir(copy)
    command = ["fit", "configs/quickstart.yaml", *shlex.split(SHORT), "-o", "run", "-q", "-s", "checkpoint.keep=1"]
    assert main([*command, "--report", "-s", "checkpoint.every=1st"]) == 0
    promised = {name for row in RUNS.rows("Files") for name in re.findall(r"`([^`]+)`", row[0])}
    made = {str(path.relative_to("run")) for path in Path("run").rglob("*") if path.is_file() and path.name != ".lock"}
    only_after_something = {"crash.log", "tensorboard/", "live.json", "film/", "film.html", "nonfinite/record.json"}
    assert {re.sub(r"(epoch|step)-\d+", "epoch-0007", name) for name in made} == promised - only_after_something


def test_the_first_page_tells_of_the_run_in_its_pictures() -> None:
    """The run is that of the config it shows, and the figures in the text are those in the terminal's picture."""
    picture = re.sub(r"<[^>]*>", "", (ROOT / "data/pictures/terminal.svg").read_text())
    assert "$ cnntrain fit configs/quickstart.yaml " in picture
    told = re.search(r"best epoch\s+was the (\d+)th with a validation accuracy of\s+([\d.]+);", README.text)
    assert told, "the sentence that says which run the pictures show"
    assert f"best val/accuracy: {told[2]} after epoch {told[1]}\n" in picture


# -- what is pointed to --------------------------------------------------------------------------------------------


@every_page
def test_every_command_it_mentions_exists(page: Page) -> None:
    for text in re.findall(r"`(cnntrain [a-z][^`]*)`", page.prose()):
        words = shlex.split(text)
        assert words[1] in COMMANDS or words[1] == "COMMAND", text
        for config in (word for word in words if word.startswith("configs/")):
            assert (ROOT / config).is_file(), text


@every_page
def test_every_program_it_names_is_there(page: Page) -> None:
    missing = {
        name for name in re.findall(r"python -m (tests\.[\w.]+)", page.text) if not importlib.util.find_spec(name)
    }
    assert missing == set()


@every_page
def test_every_link_leads_to_a_page_and_a_heading(page: Page) -> None:
    for link in page.links():
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.exists(), link
        if anchor:
            there = next(other for other in PAGES if other.path.resolve() == target.resolve())
            assert anchor in there.anchors(), link


@every_page
def test_every_file_it_names_is_there(page: Page) -> None:
    named = re.findall(r"`((?:tests|configs|cnntrain|data)/[^`\s:*\d][^`\s:*]*)[`:]", page.prose())
    missing = {name for name in named if not (ROOT / name).exists()} - TO_WRITE
    assert missing <= {
        "data/mnist",
        "data/fashion-mnist",
        "data/cifar-10-batches-bin",
        "data/spoken-digits/recordings",
        "data/bccd",
        "data/membrane",
    }, "which are to be fetched"


def test_every_test_it_names_is_there() -> None:
    named = re.findall(r"`(tests/[^`:]*)::(\w+)`", TESTS.text)
    assert len(named) > 10
    for path, name in named:
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE), f"{path}::{name}"


def test_the_map_shows_every_room() -> None:
    rooms = re.findall(r"\[(\w+)\]\(\1\)", CODE.section("The rooms"))
    folders = {path.parent.name for path in (ROOT / "cnntrain").glob("*/__init__.py")}
    assert sorted(rooms) == sorted(folders)


def test_the_forms_for_issues_are_what_a_form_should_be() -> None:
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text())
        if path.stem == "config":
            continue
        assert {"name", "description", "body"} <= set(form)
        for field in form["body"]:
            assert field["type"] in ("textarea", "input", "markdown")
            assert field["attributes"].get("label") or field["attributes"].get("value")


# -- what one is to write ------------------------------------------------------------------------------------------


def test_the_parts_it_shows_are_found_keep_their_contracts_and_the_manners(tmp_path: Path) -> None:
    for name in ("cnntrain", "tests", "configs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "README.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    files = sorted(TO_WRITE, key=CODE.text.index)
    assert len(files) == len(CODE.blocks("python"))
    for file, text in zip(files, CODE.blocks("python"), strict=True):
        (tmp_path / file).write_text(text)
    names = [Path(file).stem for file in files]
    kinds = [Path(file).parent.name for file in files]
    folders = [str(path) for kind in kinds for path in (tmp_path / "tests").rglob(kind) if list(path.glob("test_*.py"))]
    tested = _python(tmp_path, "pytest", "-n", "0", "-p", "no:cacheprovider", "-k", " or ".join(names), *folders)
    assert tested.returncode == 0, tested.stdout
    assert re.search(r"\b[4-9]\d passed", tested.stdout), tested.stdout
    for kind, name in zip(kinds, names, strict=True):
        listed = _python(tmp_path, "cnntrain", "list", kind, name)
        assert listed.returncode == 0, listed.stderr
    for check in (["check"], ["format", "--check"]):
        result = _python(tmp_path, "ruff", *check, "--config", str(ROOT / ".ruff.toml"), "--no-cache", *files)
        assert result.returncode == 0, result.stdout


def _python(folder: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
