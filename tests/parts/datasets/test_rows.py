"""Rows that may be larger than memory: the same as the arrays they stand for, and never all of them at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnntrain.parts.datasets.images import Images, Rows, joined
from cnntrain.reading.stored import Stored, StoredFile, checksums


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    array = np.arange(60, dtype=np.uint8).reshape(10, 2, 3, 1)
    array.tofile(tmp_path / "a")
    return Stored(StoredFile(tmp_path / "a"), 0, array.shape, array.dtype, checksums(array), "Mend it")


@pytest.mark.parametrize(
    "index", [np.array([0, 13, 9, 10, 9]), slice(None, None, 4), slice(8, 12), np.array([], np.int64)]
)
def test_joined_rows_are_those_of_the_concatenation(stored: Stored, index: np.ndarray | slice) -> None:
    more = np.arange(100, 136, dtype=np.uint8).reshape(6, 2, 3, 1)
    rows = joined([stored, more, stored[:2]])
    whole = np.concatenate([stored[:], more, stored[:2]])
    assert isinstance(rows, Rows)
    assert (rows.shape, rows.dtype, len(rows)) == (whole.shape, whole.dtype, 18)
    assert np.array_equal(rows[index], whole[index])
    assert isinstance(joined([more, more]), np.ndarray)


def test_taking_from_what_is_stored_copies_nothing(stored: Stored) -> None:
    images = Images(stored, np.arange(10), ("a", "b"), ("c.png: damaged",))
    chosen = np.array([7, 2, 2, 9])
    taken = images.take(chosen)
    assert isinstance(taken.pixels, Rows)
    assert np.array_equal(taken.pixels[:], stored[chosen])
    assert taken.targets.tolist() == [7, 2, 2, 9]
    assert taken.skipped == images.skipped
    again = taken.take(np.array([1, 0]))
    assert np.array_equal(again.pixels[np.array([1])], stored[7:8])
    assert isinstance(Images(stored[:], np.arange(10), ()).take(chosen).pixels, np.ndarray)
