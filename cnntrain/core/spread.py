"""A spread is some of many things, taken at even distances: enough to tell what all are like."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T", bound=Any)


def spread(things: T, most: int) -> T:
    """Every n-th of a sequence or an array, of the same type, from the first on, so that there are at most so many."""
    found: T = things[:: max(-(-len(things) // most), 1)]
    return found
