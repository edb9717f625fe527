"""Norms of samples beyond the contracts: pictures without contrast, whose neighbours do not notice."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core.registry import make
from tests.support.layers import run

NORMS = pytest.mark.parametrize(
    ("name", "settings"),
    [("group_norm", {"groups": 1}), ("group_norm", {"groups": 3}), ("instance_norm", {}), ("layer_norm", {})],
)


@NORMS
@pytest.mark.parametrize("value", [0.7, 255.3, 12345.678])
def test_a_picture_of_one_colour_becomes_0(name, settings, value):
    layer = make("layers", name, affine=False, **settings)
    x = np.full((2, 32, 32, 3), value, np.float32)
    dy = np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)
    result = run(layer, [x], {}, dy)
    exact = run(layer, [x.astype(float)], {}, dy.astype(float))
    assert not result.y.any()
    largest = np.abs(exact.dxs[0]).max()
    assert np.abs(result.dxs[0] - exact.dxs[0]).max() <= 1e-6 * largest


@NORMS
def test_a_picture_of_one_colour_changes_no_bit_of_another(name, settings):
    layer = make("layers", name, affine=False, **settings)
    x = np.random.default_rng(0).standard_normal((3, 16, 16, 3)).astype(np.float32) + 7
    alone = run(layer, [x], {}).y
    x[1] = 255.3
    beside = run(layer, [x], {}).y
    np.testing.assert_array_equal(alone[[0, 2]], beside[[0, 2]])
