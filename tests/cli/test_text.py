"""Tables and paragraphs for people: aligned, folded, harmless."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from cnntrain.cli.text import duration, pairs, paragraphs, sentence, table
from cnntrain.core.errors import Mark, Problem, printable


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (99.4, "99 s"), (99.5, "1.7 min"), (5999, "100.0 min"), (6000, "1.7 h"), (360_000, "100.0 h")],
)
def test_a_length_of_time_has_one_unit(seconds, text):
    assert duration(seconds) == text


def test_a_table_is_aligned_under_its_header():
    rows = [["name", "count", "what"], ["a", "1", "first"], ["long name", "1,234", "x"]]
    assert table(rows, right={1}) == (
        "name       count  what\n"
        "---------  -----  -----\n"
        "a              1  first\n"
        "long name  1,234  x"
    )  # fmt: skip


def test_a_column_folds_where_the_table_would_be_too_wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "31")
    rows = [["name", "text", "n"], ["a", "one two three four five six", "1"], ["b", "short", "2"]]
    assert table(rows, right={2}, fold=1) == (
        "name  text                    n\n"
        "----  ----------------------  -\n"
        "a     one two three four      1\n"
        "      five six\n"
        "b     short                   2"
    )


def test_a_folded_column_is_never_too_narrow_to_read(monkeypatch):
    monkeypatch.setenv("COLUMNS", "1")
    assert table([["n", "text"], ["a", "w" * 15 + " " + "w" * 15]], fold=1).splitlines()[2:] == [
        "a  " + "w" * 15,
        "   " + "w" * 15,
    ]


def test_what_a_terminal_would_act_upon_is_escaped():
    assert table([["class"], ["\x1b[31mred\n\x07"]]).splitlines()[2] == r"\x1b[31mred\n\x07"


def test_pairs_are_aligned():
    assert pairs([("a", "1"), ("long", "2")]) == "a     1\nlong  2"


@pytest.mark.parametrize(("text", "whole"), [("a", "a."), ("a.", "a."), ("a?", "a?"), ("(a)", "(a)")])
def test_a_sentence_has_an_end(text, whole):
    assert sentence(text) == whole


def test_paragraphs_are_refilled_but_for_formulas_and_tables(monkeypatch):
    text = "one two three\nfour five\n\n    y = x  and  z, which is quite long\n\nsix"
    assert paragraphs(text) == text
    monkeypatch.setenv("COLUMNS", "20")
    assert paragraphs(text) == "one two three four\nfive\n\n    y = x  and  z, which is quite long\n\nsix"


def test_a_terminal_tells_its_width():
    program = "from cnntrain.cli.text import width; print(width())"
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 77, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    subprocess.run([sys.executable, "-c", program], stdout=side, env=environment, check=True, timeout=60)
    assert os.read(main, 100).split() == [b"77"]
    os.close(main)
    os.close(side)
    piped = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, timeout=60)
    assert piped.stdout == b"None\n"


NAMES = ["plain", "停车", "🚗 cars", "cafe\u0301", "한국", "שלום", "❤\ufe0f", "👩\u200d🔬"]


def columns_of(text: str) -> list[int]:
    """The column in which each letter of a line stands on a terminal, by another way: one cell after the other."""
    cells: list[int] = []
    at = 0
    for letter in text:
        cells.append(at)
        at += 0 if letter in "\u0301\ufe0f" else 2 if letter in "停车🚗한국❤👩🔬" else 1
    return cells


def test_columns_stand_below_each_other_whatever_the_letters():
    rows = [["class", "samples"], *([name, "12"] for name in NAMES)]
    for text in (table(rows), table(rows, right={0}), pairs([(printable(name), "12") for name in NAMES])):
        lines = [line for line in text.splitlines() if line.endswith("12")]
        assert len(lines) == len(NAMES)
        assert len({columns_of(line)[-2] for line in lines}) == 1


def test_wide_letters_fold_within_the_column(monkeypatch):
    monkeypatch.setenv("COLUMNS", "24")
    lines = table([["n", "text"], ["1", "停车" * 9 + " a " + "cafe\u0301" * 5]], fold=1).splitlines()[2:]
    assert [columns_of(f"{line} ")[-1] <= 24 for line in lines] == [True] * 3
    assert "".join("".join(lines).split()) == "1" + "停车" * 9 + "a" + "cafe\u0301" * 5


def test_a_caret_stands_below_what_it_means():
    _, line, caret = str(Problem(Mark("f.yaml", 1, 10, "停车: {a: b, 车: 1}"), "wrong")).splitlines()
    assert columns_of(line).index(caret.index("^")) == 4 + 9  # letters before it, two of which are wide


def test_names_that_stdout_cannot_say_are_aligned_as_they_are_shown(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii", "backslashreplace"))
    shown = [pairs([("é", "1"), ("cat", "2")]), table([["name", "n"], ["é", "1"], ["cat", "2"]])]
    for text in shown:
        rows = text.encode("ascii", "backslashreplace").decode().splitlines()[-2:]
        assert rows[0].index("1") == rows[1].index("2")
