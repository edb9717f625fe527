"""Maxima and sums of scores have NumPy's bits, whichever way they are taken."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.ops.scores import IN_ORDER, MANY, largest, total


@pytest.mark.parametrize("classes", [1, 2, IN_ORDER, IN_ORDER + 1, 31, 32, 100])
@pytest.mark.parametrize("rows", [0, 1, MANY - 1, MANY, 3 * MANY])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_they_have_numpys_bits(rows, classes, dtype):
    scores = np.random.default_rng(0).normal(size=(rows, classes)).astype(dtype)
    for ours, ufunc in ((largest, np.maximum), (total, np.add)):
        expected = ufunc.reduce(scores, axis=-1, keepdims=True)
        into = np.empty_like(expected)
        assert np.array_equal(ours(scores), expected)
        assert ours(scores, into) is into
        assert np.array_equal(into, expected)


def test_maps_are_taken_pixel_by_pixel():
    scores = np.random.default_rng(0).normal(size=(2, 30, 20, 4))
    assert np.array_equal(largest(scores), scores.max(axis=-1, keepdims=True))
    assert np.array_equal(total(scores), scores.sum(axis=-1, keepdims=True))


def test_nan_stays():
    scores = np.zeros((MANY, 3))
    scores[[0, 1, 2], [0, 1, 2]] = np.nan
    for of in (largest, total):
        assert np.flatnonzero(np.isnan(of(scores))).tolist() == [0, 1, 2]
