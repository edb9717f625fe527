from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntrain.config.describe import describe, describe_bounded
from cnntrain.config.fields import (
    Duration,
    Kind,
    Layers,
    NonNegative,
    Pair,
    Positive,
    PositiveInt,
    Range,
    Rate,
    RunName,
    annotations_of,
    check_fields,
    key_of,
    problem_with,
)
from cnntrain.core.registry import Part
from cnntrain.parts.schedules.base import Warmup


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (Range(), "finite"),
        (Range(0), "at least 0"),
        (Range(0, open_low=True), "greater than 0"),
        (Range(0, 1, open_high=True), "in [0, 1)"),
        (Range(0, 1, open_low=True), "in (0, 1]"),
        (Range(1, 2**31 - 1), "at least 1"),
    ],
)
def test_a_range_in_words(bounds: Range, words: str) -> None:
    assert str(bounds) == words


def test_a_range_names_the_side_that_was_crossed() -> None:
    assert Range(1, 2**31 - 1).problem(0) == "must be at least 1, got 0"
    assert Range(1, 2**31 - 1).problem(10**30) == f"must be at most 2147483647, got {10**30}"
    assert Range(0, 1).problem(2.0) == "must be in [0, 1], got 2.0"
    assert Range().problem(math.nan) == "must be finite, got nan"
    assert Range(0).problem(math.inf) == "must be finite, got inf"
    assert Range(0, 1).problem(1) is None


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("10", Duration(10, "ep")),
        ("2.5ep", Duration(2.5, "ep")),
        ("2000st", Duration(2000, "st")),
        ("10%", Duration(10, "%")),
        (" 1ep ", Duration(1, "ep")),
    ],
)
def test_durations_are_read(text: str, duration: Duration) -> None:
    assert Duration.parse(text) == duration


@pytest.mark.parametrize("unit", ["ep", "st", "%"])
def test_a_duration_made_from_python_holds_a_float_as_one_that_was_read(unit: Any) -> None:
    assert type(Duration(1, unit).value) is float  # whose methods integers of Python 3.11 have not
    assert str(Duration(1, unit)) == f"1{unit}"


@pytest.mark.parametrize("text", ["", "ep", "-1ep", "1e3", "1 ep", "2.5st", "101%", "10min", "٣ep", "9" * 400])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|whole|at most"):
        Duration.parse(text)


def test_a_duration_in_steps() -> None:
    assert Duration(2, "ep").steps(steps_per_epoch=10, total_steps=200) == 20
    assert Duration(7, "st").steps(steps_per_epoch=10, total_steps=200) == 7
    assert Duration(10, "%").steps(steps_per_epoch=10, total_steps=200) == 20


@given(st.floats(0, 100, allow_subnormal=False), st.sampled_from(["ep", "%"]))
def test_a_duration_survives_being_written(value: float, unit: Any) -> None:
    assert Duration.parse(str(Duration(value, unit))) == Duration(value, unit)


@dataclass(frozen=True)
class Example:
    rate: Rate = 0.5
    size: Pair = 1
    from_: str | None = None
    name: RunName = "a"

    def __post_init__(self) -> None:
        check_fields(self)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rate": 1.5}, "rate must be in [0, 1), got 1.5"),
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"size": (1, 0)}, "size must be at least 1, got 0"),
        ({"size": (1, 2, 3)}, "size must have 2 entries, got 3"),
        ({"name": "../a"}, "name must be up to 100 letters, digits, '.', '_' or '-', got '../a'"),
    ],
)
def test_a_dataclass_made_from_python_is_checked_too(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Example(**fields)


def test_keys_are_fields_without_the_trailing_underscore() -> None:
    assert [key_of(field) for field in Example.__dataclass_fields__.values()] == ["rate", "size", "from", "name"]
    assert list(annotations_of(Example)) == ["rate", "size", "from_", "name"]


def test_booleans_are_no_numbers_to_a_range() -> None:
    assert problem_with(True, PositiveInt) is None  # the reader refuses them by type, with a better message


@pytest.mark.parametrize(
    ("annotation", "words", "bounded"),
    [
        (PositiveInt, "an integer", "an integer, at least 1"),
        (Rate, "a number", "a number in [0, 1)"),
        (Positive, "a number", "a number, greater than 0"),
        (Annotated[float, Range()], "a number", "a number"),
        (RunName, "text", "text: up to 100 letters, digits, '.', '_' or '-'"),
        (Pair, "an integer or a list of 2 integers", "an integer or a list of 2 integers"),
        (tuple[str, int], "a list of 2: text, an integer", "a list of 2: text, an integer"),
        (tuple[int | str, ...], "a list of integers or texts", "a list of integers or texts"),
        (tuple[tuple[int, ...], ...], "a list of lists", "a list of lists"),
        (NonNegative | None, "a number or null", "a number or null"),
        (Layers, "a list of layers", "a list of layers"),
        (Annotated[Part, Kind("optimizers")], "an optimizer", "an optimizer"),
        (tuple[Annotated[Part, Kind("losses")], ...], "a list of losses", "a list of losses"),
        (
            Duration | Warmup,
            "a duration such as 10ep, 2000st or 10% or a mapping with the key duration",
            "a duration such as 10ep, 2000st or 10% or a mapping with the key duration",
        ),
    ],
)
def test_what_a_field_takes_in_words(annotation: Any, words: str, bounded: str) -> None:
    assert describe(annotation) == words
    assert describe_bounded(annotation) == bounded


def test_an_annotation_the_reader_cannot_read_is_a_bug() -> None:
    with pytest.raises(TypeError, match="no annotation for a key"):
        describe(complex)
