"""A check reports what does not hold as an AssertionError of one line, whatever Python's -O does to `assert`."""

from __future__ import annotations

from typing import Any

import numpy as np


def hold(condition: Any, message: str) -> None:
    """Raise AssertionError with the message unless the condition holds."""
    if not condition:
        raise AssertionError(message)


def equal(found: Any, expected: Any, what: str) -> None:
    """Raise AssertionError unless two arrays have the same shape and values, NaN included."""
    hold(np.array_equal(found, expected, equal_nan=True), f"{what}: {_difference(found, expected)}")


def close(found: Any, expected: Any, what: str, rtol: float, atol: float = 0.0) -> None:
    """Raise AssertionError unless |found - expected| <= atol + rtol |expected| everywhere, which NaN never is."""
    near = np.shape(found) == np.shape(expected) and np.allclose(found, expected, rtol, atol)
    hold(near, f"{what}: {_difference(found, expected)}")


def _difference(found: Any, expected: Any) -> str:
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape:
        return f"expected the shape {expected.shape}, got {found.shape}"
    with np.errstate(all="ignore"):
        distance = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    worst = np.unravel_index(np.argmax(np.where(np.isnan(distance), np.inf, distance)), found.shape)
    at = ", ".join(map(str, worst))
    return f"expected {expected[worst]:.9g} at [{at}], got {found[worst]:.9g}"
