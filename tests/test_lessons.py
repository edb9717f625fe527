"""Every lesson in configs/lessons asks a question, can be trained, and is on the page that says what comes out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cnntrain.cli import main

ROOT = Path(__file__).parent.parent
LESSONS = sorted((ROOT / "configs" / "lessons").glob("*.yaml"))
SHOWN = {"loss", "accuracy", "learning rate", "norm of the gradient", "update / weight", "at epoch"}
PAGE = (ROOT / "configs" / "lessons" / "README.md").read_text()


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_page_tells_of_every_lesson_and_of_no_other():
    assert re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE) == [path.stem for path in LESSONS]


def test_every_lesson_says_what_to_look_at_and_why():
    """What is to be looked at, in bold, is a chart of the report or a column of its table of runs."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    assert {len(row) for row in rows} == {5}
    for lesson, _, _, look, why in rows:
        assert set(re.findall(r"\*\*([^*]+)\*\*", look)) & SHOWN, lesson
        assert why.endswith("."), lesson


@pytest.mark.faults
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_its_page(path, tmp_path, capsys):
    """Two of its runs, one step each."""
    assert main(["sweep", str(path.relative_to(ROOT)), "-o", str(tmp_path / "runs"), "--print-commands"]) == 0
    for line in capsys.readouterr().out.splitlines()[:2]:
        words = shlex.split(line)
        assert main([*words[words.index("fit") :], "--pause-at", "1st", "-q"]) == 75
    assert main(["report", str(tmp_path / "runs"), "-o", str(tmp_path / "page.html")]) == 0
    assert "2 runs" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_asks_a_question_and_every_run_of_it_is_right(path, capsys):
    question = path.read_text().splitlines()[0]
    assert re.match(r"# [A-Z].*\?", question)
    assert main(["sweep", str(path.relative_to(ROOT)), "--print-commands"]) == 0
    out, _ = capsys.readouterr()
    assert len(out.splitlines()) in (2, 3, 4)


def test_a_lesson_ends_with_its_page(tmp_path, capsys):
    lesson = str(Path("configs/lessons/momentum.yaml"))
    assert (
        main(
            [
                "sweep",
                lesson,
                "-o",
                str(tmp_path / "momentum"),
                "-s",
                "train.epochs=1",
                "-s",
                "train.log_every=20",
                "-p",
                "1",
            ]
        )
        == 0
    )
    runs = sorted(map(str, (tmp_path / "momentum").glob("momentum=*")))
    assert len(runs) == 3
    assert main(["report", *runs, "-o", str(tmp_path / "momentum.html")]) == 0
    page = (tmp_path / "momentum.html").read_text()
    assert "3 runs" in page
    assert set(re.findall(r'aria-label="([^"]+)"', page)) | set(re.findall("<th[^>]*>([^<]+)</th>", page)) >= SHOWN
    capsys.readouterr()
