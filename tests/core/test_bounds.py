"""Bounds: which numbers options and arguments take, and in which words the others are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnntrain.core.bounds import APART, RATE, SIZE, SOME, Bounds
from cnntrain.core.errors import UsageError


@pytest.mark.parametrize(
    ("bounds", "given", "number"),
    [
        (SOME, np.int64(3), 3),
        (SOME, 10**12, 10**12),
        pytest.param(SOME, 10**400, 10**400, id="long"),
        (SIZE, 8, 8),
        (SIZE, 1024, 1024),
        (RATE, np.float32(0.5), 0.5),
        (RATE, 1, 1.0),
        (APART, 86_400, 86_400.0),
    ],
)
def test_a_number_within_becomes_pythons_own(bounds: Bounds, given: object, number: float) -> None:
    found = bounds.number("it", given)
    assert found == number
    assert type(found) is (int if bounds.whole else float)
    assert bounds.optional("it", given) == number


@pytest.mark.parametrize(
    ("bounds", "given", "words"),
    [
        (SOME, 0, "a whole number of at least 1, got 0"),
        (SOME, 1.5, "a whole number of at least 1, got 1.5"),
        (SOME, True, "a whole number of at least 1, got True"),
        (SOME, "3", "a whole number of at least 1, got '3'"),
        pytest.param(SIZE, 10**400, "a whole number from 8 to 1024, got 1", id="long"),
        (SIZE, 1025, "a whole number from 8 to 1024, got 1025"),
        (RATE, 0, "a number greater than 0, got 0"),
        (RATE, math.nan, "a number greater than 0, got nan"),
        (RATE, math.inf, "a number greater than 0, got inf"),
        (RATE, 10**400, "a number greater than 0, got 1"),
        (RATE, "0.1", "a number greater than 0, got '0.1'"),
        (RATE, [0.1], r"a number greater than 0, got \[0.1\]"),
    ],
)
def test_anything_else_is_refused(bounds: Bounds, given: object, words: str) -> None:
    with pytest.raises(UsageError, match=f"^it: expected {words}"):
        bounds.number("it", given)


def test_none_may_be_let_through() -> None:
    assert SOME.optional("it", None) is None
    with pytest.raises(UsageError, match="got None"):
        SOME.number("it", None)
