"""Sums over many pixels: as good as a sum in float64 rounded once, in every layer that has one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnntrain.core.arrays import Array
from cnntrain.core.registry import make
from cnntrain.ops.sums import FEW, over_pixels, over_rows
from tests.support.layers import run

SIDE = 112
# PyTorch 2.13 on such arrays, of means 0.5 and 30: 2e-7 for the mean, 1e-7 for scale; for the scale of group_norm,
# whose xhat has lost digits before any sum, 2.6e-5 and 2.9e-3 where these are 2.6e-6 and 2.9e-4.
LAYERS: list[tuple[str, dict[str, Any], list[tuple[int, ...]]]] = [
    ("global_avg_pool", {}, [(SIDE, SIDE, 8)]),
    ("adaptive_avg_pool2d", {"output_size": 2}, [(SIDE, SIDE, 8)]),
    ("multiply", {}, [(SIDE, SIDE, 8), (8,)]),
    ("scale", {}, [(SIDE, SIDE, 8)]),
    ("prelu", {}, [(SIDE, SIDE, 8)]),
    ("prelu", {"shared": False}, [(SIDE, SIDE, 8)]),
    ("group_norm", {"groups": 2}, [(SIDE, SIDE, 8)]),
    ("group_norm", {"groups": 8}, [(SIDE, SIDE, 8)]),
    ("instance_norm", {"affine": True}, [(SIDE, SIDE, 8)]),
    ("layer_norm", {}, [(SIDE, SIDE, 8)]),
    ("rms_norm", {"eps": 1e-5}, [(SIDE, SIDE, 8)]),
    ("conv2d", {"filters": 8, "kernel_size": 1}, [(SIDE, SIDE, 3)]),
    ("conv_transpose2d", {"filters": 8, "kernel_size": 2, "stride": 2}, [(SIDE // 2, SIDE // 2, 3)]),
    ("depthwise_conv2d", {"kernel_size": 3, "padding": 1}, [(SIDE, SIDE, 8)]),
]


@pytest.mark.parametrize("pixels", [1, FEW, FEW + 1, 196, 1000, SIDE * SIDE, 65537])
@pytest.mark.parametrize("mean", [0.5, 1000.0])
def test_a_sum_is_that_of_float64_rounded_once(pixels, mean):
    x = (mean + np.random.default_rng(pixels).normal(size=(2, pixels, 3))).astype(np.float32)
    exact = x.astype(np.float64).sum(axis=1)
    found = np.empty((2, 3), np.float32)
    over_pixels(x, found)
    assert np.abs(found / exact - 1).max() <= (4e-7 if pixels > FEW else 2e-6)
    for one, total in zip(x, exact, strict=True):
        assert np.abs(over_rows(one) / total - 1).max() <= (3e-7 if pixels > FEW else 2e-6)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1000.1])
def test_a_sum_of_equal_values_gathers_no_error(value):
    x = np.full((1, SIDE * SIDE, 2), value, np.float32)
    assert np.abs(over_rows(x[0]) / (np.float64(np.float32(value)) * SIDE * SIDE) - 1).max() <= 1e-6


def deviation(found: Array, exact: Array) -> float:
    """The largest difference, by the root mean square of what is exact."""
    return float(np.abs(found - exact).max() / np.sqrt(np.mean(exact**2)))


@pytest.mark.parametrize("mean", [0.5, 30.0])
@pytest.mark.parametrize(("kind", "fields", "shapes"), LAYERS, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(LAYERS)])
def test_sums_of_layers_over_many_pixels(kind, fields, shapes, mean):
    """Outputs and gradients of parameters in float32 against those in float64 of the same float32 numbers."""
    layer: Any = make("layers", kind, **fields)
    rng = np.random.default_rng(1)
    mean = 0.0 if kind == "prelu" else mean  # which needs negative values
    xs = [(mean + rng.normal(size=(2, *shape))).astype(np.float32) for shape in shapes]
    declared = layer.params(*shapes)
    params = {name: rng.normal(size=param.shape).astype(np.float32) for name, param in declared.items()}
    dy = (0.5 + rng.normal(size=(2, *layer.output_shape(*shapes)))).astype(np.float32)
    narrow = run(layer, xs, params, dy)
    wide = run(
        layer, [x.astype(np.float64) for x in xs], {n: p.astype(np.float64) for n, p in params.items()}, dy.astype("f8")
    )
    normalizes = "norm" in kind and kind != "rms_norm"
    if not normalizes:
        assert deviation(narrow.y, wide.y) <= 1e-6
    for name in declared:
        limit = 3e-5 if name == "weight" else 1e-6
        if normalizes and name == "scale":
            limit = 1e-5 if mean < 1 else 1e-3
        assert deviation(narrow.dp[name], wide.dp[name]) <= limit, name
    if kind == "multiply":
        assert deviation(narrow.dxs[1], wide.dxs[1]) <= 1e-6
