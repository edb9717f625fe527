"""Every lesson in configs/lessons asks a question, can be trained, and is on the page that says what comes out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cnntrain.cli import main

ROOT = Path(__file__).parent.parent
LESSONS = sorted((ROOT / "configs" / "lessons").glob("*.yaml"))
PAGE = (ROOT / "configs" / "lessons" / "README.md").read_text()


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_page_tells_of_every_lesson_and_of_no_other():
    assert re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE) == [path.stem for path in LESSONS]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_asks_a_question_and_every_run_of_it_is_right(path, capsys):
    question = path.read_text().splitlines()[0]
    assert re.match(r"# [A-Z].*\?", question)
    assert main(["sweep", str(path.relative_to(ROOT)), "--print-commands"]) == 0
    out, _ = capsys.readouterr()
    assert len(out.splitlines()) in (2, 3, 4)


def test_a_lesson_ends_with_its_page(tmp_path, capsys):
    lesson = str(Path("configs/lessons/momentum.yaml"))
    assert main(["sweep", lesson, "-o", str(tmp_path / "momentum"), "-s", "train.epochs=1", "-p", "1"]) == 0
    runs = sorted(map(str, (tmp_path / "momentum").glob("momentum=*")))
    assert len(runs) == 3
    assert main(["report", *runs, "-o", str(tmp_path / "momentum.html")]) == 0
    page = (tmp_path / "momentum.html").read_text()
    assert "3 runs" in page
    capsys.readouterr()
