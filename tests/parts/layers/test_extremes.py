"""Layers at the ends of their ranges: values just short of infinity, and settings far beyond a picture's size."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.checks.contracts.alone import run
from cnntrain.core.registry import make


@pytest.mark.parametrize(
    "name", ["mish", "silu", "gelu", "hard_swish", "softplus", "elu", "leaky_relu", "relu", "prelu"]
)
@pytest.mark.parametrize("value", [30.0, 1e6, 1e15, 1e30, 3e38])
def test_the_gradient_of_huge_values_is_the_one_given(name, value):
    layer = make("layers", name)
    p = {key: np.full(param.shape, 0.25, np.float32) for key, param in layer.params((4,)).items()}
    with np.errstate(over="ignore"):  # as the engine does
        result = run(layer, [np.full((3, 4), value, np.float32)], p, np.full((3, 4), 0.5, np.float32))
    np.testing.assert_allclose(result.dxs[0], 0.5, rtol=1e-6)


@pytest.mark.parametrize(("name", "factor"), [("elu", 1.0), ("selu", 1.0507009873554805)])
def test_exponential_units_let_gradients_through_where_they_overflow(name, factor):
    x = np.full((2, 3), np.float32(3.4e38) if name == "selu" else np.inf, np.float32)
    with np.errstate(over="ignore"):
        result = run(make("layers", name), [x], {}, np.ones((2, 3), np.float32))
    assert np.isinf(result.y).all()
    np.testing.assert_allclose(result.dxs[0], factor, rtol=1e-6)


def test_a_window_of_lrn_beyond_the_channels_takes_no_more_than_one_as_wide_as_they():
    wide, whole = (make("layers", "lrn", size=size) for size in (1001, 13))
    spaces = [layer.workspace((5, 5, 7), n=3, dtype=np.dtype("f4")) for layer in (wide, whole)]
    assert spaces[0] == spaces[1]
    x = np.random.default_rng(0).normal(size=(3, 5, 5, 7))
    narrow = make("layers", "lrn", size=1001, alpha=1001.0)
    expected = x / (1 + (x * x).sum(axis=-1, keepdims=True)) ** 0.75
    np.testing.assert_allclose(run(narrow, [x], {}).y, expected, rtol=1e-12)


@pytest.mark.parametrize("filters", [3, 96, 10_000])  # a line of biases has 8,192 values or more, in whole pixels
@pytest.mark.parametrize("side", [1, 60])
def test_every_pixel_gets_the_bias_of_its_channel(filters, side):
    side = min(side, 180 // int(filters**0.5))
    layer = make("layers", "conv2d", filters=filters, kernel_size=1)
    p = {"weight": np.zeros((1, 1, 1, filters), np.float32), "bias": np.arange(filters, dtype=np.float32)}
    y = run(layer, [np.ones((2, side, side, 1), np.float32)], p).y
    assert (y == p["bias"]).all()
