"""Tables and paragraphs for people: aligned, folded, harmless."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from cnntrain.cli.text import pairs, paragraphs, sentence, table


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)


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
