"""Whatever is printed goes through one door, and no name out of a file steers the terminal on its way."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest
from PIL import Image

import cnntrain as package
from cnntrain.config.tree import MAX_BYTES
from cnntrain.core import csv_text, strict_json, terminal
from tests.support.experiments import FULL, TINY, run, write

ROOT = Path(package.__file__).parent
EVIL = "a\x1b]0;title\x07\x1b[31m\x9b2J\u202eb"
EVIL_LINES = f"{EVIL}\nsecond line\r"


def printing() -> list[str]:
    """Every place that prints past the door."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if name == "core/terminal.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in ("print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"):
                found.append(f"{name}:{node.lineno}: {called}")
    return found


def test_nothing_else_prints() -> None:
    assert printing() == []


def test_the_door_lets_nothing_through_that_a_terminal_acts_upon(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.out(EVIL_LINES)
    terminal.err(EVIL_LINES)
    terminal.out(csv_text.table([["name"], [EVIL_LINES]]), end="")
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert captured.out.splitlines()[-1].startswith("a\\x1b]0;title")
    assert len(captured.out.splitlines()) == 4


def harmless(outcome) -> bool:
    return all(letter.isprintable() or letter in "\n\t" for letter in outcome.out + outcome.err)


@pytest.fixture
def pictures(desk):
    """Class folders whose files, one of them damaged, have names that would steer a terminal."""
    for label in "xy":
        (desk / "data" / label).mkdir(parents=True)
        for number in range(12):
            image = Image.new("L", (8, 8), 20 * number)
            image.save(desk / "data" / label / f"{number}{EVIL_LINES}.png")
    (desk / "data/x" / f"bad{EVIL_LINES}.png").write_bytes(b"nothing")
    source = "{type: image_folder, root: data, size: 8, channels: 1, on_bad_image: skip}"
    return write(desk, TINY.replace("{type: synthetic, size: 8, classes: 3, samples: 48, noise: 0.3}", source))


def test_names_of_pictures(cnntrain, pictures, desk):
    some = sorted((desk / "data/x").iterdir())[:3]
    for words in (
        ["check", pictures],
        ["init", "--data", "data", "-o", "first.yaml"],
        ["fit", pictures, "-s", "train.epochs=1", "-o", "run"],
        ["eval", "run", "--split", "val"],
        ["predict", "run", *some],
        ["predict", "run", *some, "--csv"],
        ["predict", "run", *some, "--json"],
    ):
        outcome = cnntrain(*words)
        assert harmless(outcome), (words, outcome)
    (desk / "data/y" / f"new{EVIL_LINES}.png").write_bytes(some[0].read_bytes())
    assert harmless(cnntrain("fit", "-o", "run", "--resume", "-s", "train.epochs=2"))


@pytest.mark.parametrize(
    "text",
    [
        'extends: "{evil}"\n' + FULL,
        'vars: {{"{evil}": 1}}\n' + FULL.replace("{", "{{").replace("}", "}}"),
        FULL.replace("{", "{{").replace("}", "}}").replace("seed: 7", 'seed: "${{vars.{evil}}}"'),
        FULL.replace("{", "{{").replace("}", "}}").replace("seed: 7", '"{evil}": 7'),
        FULL.replace("{", "{{").replace("}", "}}").replace("seed: 7", 'seed: "{evil}"'),
    ],
)
def test_texts_of_configs(cnntrain, tmp_path, text):
    escaped = strict_json.encode(EVIL_LINES)[1:-1]
    assert len(text) < MAX_BYTES
    outcome = cnntrain("check", write(tmp_path, text.replace("{evil}", escaped).replace("{{", "{").replace("}}", "}")))
    assert outcome.code in (0, 2)
    assert harmless(outcome), outcome


def test_what_a_run_directory_says(cnntrain, finished, desk):
    status = finished / "status.json"
    for place in ("state", "name", "host"):
        said = strict_json.decode(status.read_text())
        said[place] = EVIL_LINES
        status.write_text(strict_json.encode(said))
        shutil.copytree(finished, desk / f"runs-{place}" / "one", symlinks=True)
        for words in (["compare", f"runs-{place}"], ["compare", f"runs-{place}", "--csv"], ["inspect", finished]):
            outcome = cnntrain(*words)
            assert harmless(outcome), (words, outcome)


def test_names_of_runs(cnntrain, desk, tmp_path):
    folder = desk / "all" / EVIL_LINES
    folder.parent.mkdir()
    run(write(tmp_path), folder, ("train.epochs=1",))
    for words in (
        ["compare", "all"],
        ["compare", "all", "--csv"],
        ["report", folder],
        ["eval", folder],
        ["inspect", folder],
    ):
        outcome = cnntrain(*words)
        assert harmless(outcome), (words, outcome)


def test_a_line_for_a_shell_that_would_steer_the_terminal_is_not_printed(cnntrain, tmp_path):
    write(tmp_path)
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text(f"config: full.yaml\ngrid: {{data.source.type: [{strict_json.encode(EVIL)}]}}\n")
    assert harmless(cnntrain("sweep", sweep, "--print-commands"))
