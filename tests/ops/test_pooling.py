"""Pooling against a loop over windows."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.ops import pooling
from cnntrain.parts.layers.pool2d import AvgPool2d, MaxPool2d
from tests.support.layers import run

SETTINGS = [
    ((5, 7, 2), {"kernel_size": 2}),
    ((6, 7, 1), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((6, 6, 2), {"kernel_size": (3, 2), "stride": 1, "padding": (1, 0, 0, 1), "ceil_mode": True}),
    ((7, 8, 3), {"kernel_size": 2, "stride": 3, "ceil_mode": True}),
    ((3, 2, 2), {"kernel_size": 4, "ceil_mode": True}),  # larger than the image
    ((2, 1, 2), {"kernel_size": (4, 5), "stride": (3, 6), "padding": (1, 0, 0, 0), "ceil_mode": True}),
    ((2, 300, 1), {"kernel_size": (2, 150), "stride": (2, 50)}),  # more taps than a byte can number
]


def places(layer, shape, r, c):
    """The pixels window (r, c) reads, row by row."""
    kernel, stride = np.broadcast_to(layer.kernel_size, 2), np.broadcast_to(layer.stride or layer.kernel_size, 2)
    top, _, left, _ = np.broadcast_to(layer.padding, 4)
    for i, j in np.ndindex(*kernel):
        at = (r * stride[0] - top + i, c * stride[1] - left + j)
        if 0 <= at[0] < shape[0] and 0 <= at[1] < shape[1]:
            yield at


@pytest.mark.parametrize(("shape", "settings"), SETTINGS)
@pytest.mark.parametrize("chunk", [1, 10**6])
def test_max_takes_the_first_of_equals(shape, settings, chunk, monkeypatch):
    monkeypatch.setattr(pooling, "CHUNK_VALUES", chunk)
    rng = np.random.default_rng(0)
    layer = MaxPool2d(**settings)
    x = rng.integers(-3, 1, (3, *shape)).astype(float)
    x[0] = -np.inf
    x[1, x[1] < -1] = -np.inf
    dy = rng.standard_normal((3, *layer.output_shape(shape)))
    y, dx = np.empty_like(dy), np.zeros_like(x)
    for n, r, c, k in np.ndindex(*dy.shape):
        best = max(places(layer, shape, r, c), key=lambda at: x[n, *at, k])  # the first of equals
        y[n, r, c, k] = x[n, *best, k]
        dx[n, *best, k] += dy[n, r, c, k]
    result = run(layer, [x], {}, dy)
    np.testing.assert_array_equal(result.y, y)
    np.testing.assert_allclose(result.dxs[0], dx, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(run(layer, [x], {}, training=False).y, y)


@pytest.mark.parametrize(("shape", "settings"), SETTINGS)
def test_mean_of_the_image_alone(shape, settings):
    layer = AvgPool2d(**settings, count_include_pad=False)
    x = np.random.default_rng(0).standard_normal((2, *shape))
    y = run(layer, [x], {}).y
    for n, r, c, k in np.ndindex(*y.shape):
        assert y[n, r, c, k] == pytest.approx(np.mean([x[n, *at, k] for at in places(layer, shape, r, c)]), abs=1e-13)


def test_one_nan_makes_its_windows_nan():
    x = np.zeros((1, 4, 4, 1))
    x[0, 1, 2] = np.nan
    y = run(MaxPool2d(kernel_size=2), [x], {}).y[0, ..., 0]
    np.testing.assert_array_equal(np.isnan(y), [[False, True], [False, False]])
