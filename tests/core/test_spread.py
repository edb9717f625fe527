"""A spread is evenly taken, keeps its type, and never has more than was asked for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cnntrain.core.spread import spread


@pytest.mark.parametrize(("count", "most"), [(0, 3), (1, 3), (3, 3), (4, 3), (100, 7), (101, 50)])
def test_some_at_even_distances_from_the_first_on(count: int, most: int) -> None:
    found = spread(range(count), most)
    assert len(found) <= most
    assert list(found[:1]) == list(range(min(count, 1)))
    assert len({b - a for a, b in itertools.pairwise(found)}) <= 1
    assert len(found) == count or count > most


def test_it_is_of_the_same_type() -> None:
    assert spread([1, 2, 3], 2) == [1, 3]
    assert isinstance(spread(np.arange(9), 3), np.ndarray)
