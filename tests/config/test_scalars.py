from __future__ import annotations

import pytest

from cnntrain.config import scalars
from cnntrain.config.tree import Scalar
from cnntrain.core.errors import Mark


def scalar(text: str, plain: bool = True) -> Scalar:
    return Scalar(Mark("f", 1, 1), text, plain)


@pytest.mark.parametrize("text", ["0", "1", "-3", "+7", "123456789012345678901234567890"])
def test_integers(text: str) -> None:
    assert scalars.is_integer(scalar(text))
    assert not scalars.is_integer(scalar(text, plain=False))


@pytest.mark.parametrize("text", ["010", "00", "1_000", "0x1F", "0o17", "1e3", "1.0", "12:30", "", "-", "１", "true"])
def test_not_integers(text: str) -> None:
    assert not scalars.is_integer(scalar(text))


@pytest.mark.parametrize("text", ["1", "1e-3", ".5", "5.", "-1.5E+10", "0", "0.1", "0e5"])
def test_numbers_also_in_quotes(text: str) -> None:
    assert scalars.is_number(scalar(text))
    assert scalars.is_number(scalar(text, plain=False))


@pytest.mark.parametrize(
    "text", [".nan", "nan", ".inf", "inf", "Infinity", "1_0.5", "010.5", "1e", "e5", ".", "12:30", "0x10", "1,5", " 1"]
)
def test_not_numbers(text: str) -> None:
    assert not scalars.is_number(scalar(text))


def test_only_true_and_false_are_booleans() -> None:
    assert all(scalars.is_boolean(scalar(text)) for text in ["true", "True", "TRUE", "false", "False", "FALSE"])
    assert not any(scalars.is_boolean(scalar(text)) for text in ["yes", "on", "1", "tRue", "off", "n", ""])
    assert not scalars.is_boolean(scalar("true", plain=False))


def test_nothing_is_null_unless_in_quotes() -> None:
    assert all(scalars.is_null(scalar(text)) for text in ["", "~", "null", "Null", "NULL"])
    assert not scalars.is_null(scalar("", plain=False))
    assert not scalars.is_null(scalar("none"))


@pytest.mark.parametrize(
    ("text", "plain", "hint"),
    [
        ("010", True, "; write 10"),
        ("1_000", True, "; write 1000"),
        ("1e3", True, "; write 1000"),
        ("3.0", True, "; write 3"),
        ("3", False, "; write 3 without quotes"),
        ("1e300", True, "; write all its digits"),
        ("1e400", True, ""),
        ("2.5", True, ""),
        ("abc", True, ""),
    ],
)
def test_hints_for_integers(text: str, plain: bool, hint: str) -> None:
    assert scalars.hint_integer(scalar(text, plain)) == hint


def test_hints_for_numbers_and_booleans() -> None:
    assert scalars.hint_number(scalar("1_000.5")) == "; write 1000.5"
    assert scalars.hint_number(scalar("nan")) == ""
    assert [scalars.hint_boolean(scalar(text)) for text in ["yes", "Off", "1", "x"]] == [
        "; write true",
        "; write false",
        "; write true",
        "",
    ]


def test_what_was_found_is_shown_short_and_safe() -> None:
    assert scalars.found(scalar("abc")) == "'abc'"
    assert scalars.found(scalar("1.5")) == "1.5"
    assert scalars.found(scalar("1.5", plain=False)) == "'1.5'"
    assert scalars.found(scalar("true")) == "true"
    assert scalars.found(scalar("~")) == "nothing"
    assert scalars.found(scalar("\x1b[31m")) == "'\\x1b[31m'"
    assert len(scalars.found(scalar("9" * 5000))) < 50
