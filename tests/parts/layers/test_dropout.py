"""Dropout beyond the contracts: its share, its mean, its draws."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.parts.layers.dropout import Dropout
from tests.support.layers import run


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_drops_its_share_and_keeps_the_mean(rate):
    x = np.ones((100, 400))
    y = run(Dropout(rate=rate), [x], {}).y
    values = np.unique(y)
    np.testing.assert_allclose(values, [0, 1 / (1 - rate)])
    spread = np.sqrt(rate * (1 - rate) / x.size)
    assert abs(np.mean(y == 0) - rate) < 5 * spread
    assert abs(y.mean() - 1) < 5 * spread / (1 - rate)


def test_the_gradient_passes_where_the_value_did():
    x = np.ones((10, 40))
    result = run(Dropout(rate=0.3), [x], {}, x)
    np.testing.assert_array_equal(result.dxs[0], result.y)


def test_evaluation_is_the_identity():
    x = np.random.default_rng(0).standard_normal((4, 3, 2, 5))
    np.testing.assert_array_equal(run(Dropout(), [x], {}, training=False).y, x)


def test_float_types_drop_the_same_values_and_shards_do_not():
    x = np.ones((8, 50))
    wide, narrow = run(Dropout(), [x], {}).y, run(Dropout(), [x.astype(np.float32)], {}).y
    np.testing.assert_array_equal(wide, narrow)
    halves = np.split(run(Dropout(), [x], {}, cuts=[4]).y, 2)
    assert not np.array_equal(*halves)
