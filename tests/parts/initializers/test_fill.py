"""Initializers: the moments and bounds they promise, and the same numbers in every float type."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.arrays import Param
from cnntrain.core.random import stream
from tests.parts.test_catalogue import CATALOGUE
from tests.support.layers import run

TRUNCATED = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))  # by calculus
SHAPE = (3, 3, 50, 80)
PARAM = Param(SHAPE, "weight", fan_in=450, fan_out=720)
RANDOM = [
    # name, fields, mean, std, bound of a uniform one
    ("uniform", {}, 0.0, 0.1 / math.sqrt(12), (-0.05, 0.05)),
    ("uniform", {"low": 1.0, "high": 3.0}, 2.0, 2 / math.sqrt(12), (1, 3)),
    ("normal", {}, 0.0, 0.05, None),
    ("normal", {"mean": 2.0, "std": 0.5}, 2.0, 0.5, None),
    ("glorot_uniform", {}, 0.0, math.sqrt(2 / 1170), math.sqrt(6 / 1170)),
    ("glorot_normal", {"gain": 2.0}, 0.0, 2 * math.sqrt(2 / 1170), None),
    ("he_uniform", {}, 0.0, math.sqrt(2 / 450), math.sqrt(6 / 450)),
    ("he_uniform", {"mode": "fan_out", "nonlinearity": "linear"}, 0.0, math.sqrt(1 / 720), math.sqrt(3 / 720)),
    ("he_normal", {}, 0.0, math.sqrt(2 / 450), None),
    ("he_normal", {"mode": "fan_out"}, 0.0, math.sqrt(2 / 720), None),
    ("he_normal", {"nonlinearity": "tanh"}, 0.0, 5 / 3 / math.sqrt(450), None),
    ("he_normal", {"nonlinearity": "sigmoid"}, 0.0, 1 / math.sqrt(450), None),
    ("he_normal", {"nonlinearity": "leaky_relu"}, 0.0, math.sqrt(2 / 1.0001 / 450), None),
    ("truncated_normal", {}, 0.0, TRUNCATED * 0.05, 0.1),
    ("truncated_normal", {"mean": 1.0, "std": 2.0}, 1.0, TRUNCATED * 2, (-3, 5)),
    ("lecun_uniform", {}, 0.0, math.sqrt(1 / 450), math.sqrt(3 / 450)),
    ("lecun_normal", {}, 0.0, math.sqrt(1 / 450), None),
    ("variance_scaling", {}, 0.0, math.sqrt(1 / 450), 2 * math.sqrt(1 / 450) / TRUNCATED),
    ("variance_scaling", {"scale": 2.0, "mode": "fan_out", "distribution": "normal"}, 0.0, math.sqrt(2 / 720), None),
    ("variance_scaling", {"mode": "fan_avg", "distribution": "uniform"}, 0.0, 585**-0.5, (3 / 585) ** 0.5),
    ("torch_default", {}, 0.0, math.sqrt(1 / 450 / 3), math.sqrt(1 / 450)),
]
CERTAIN = {"zeros": 0.0, "ones": 1.0}
SHAPED = {"constant", "orthogonal", "dirac"}


def filled(name, fields, dtype=np.float64, seed=0, param=PARAM):
    out = np.full(param.shape, np.nan, dtype)
    initializer = registry.make("initializers", name, **fields)
    initializer.check(param)
    initializer.fill(out, param, stream(seed, "test"))
    return out


def test_every_initializer_of_the_catalogue_is_tested():
    """One beyond it is held by its contract (tests/parts/test_contracts.py)."""
    tested = {name for name, *_ in RANDOM} | set(CERTAIN) | SHAPED
    assert set(CATALOGUE["initializers"].split()) - tested == set()


@pytest.mark.parametrize(("name", "fields", "mean", "std", "bound"), RANDOM)
def test_mean_deviation_and_bounds(name, fields, mean, std, bound):
    values = filled(name, fields)
    count = values.size
    assert abs(values.mean() - mean) < 5 * std / math.sqrt(count)
    assert abs(values.std() / std - 1) < 5 / math.sqrt(2 * count)
    if bound is not None:
        low, high = bound if isinstance(bound, tuple) else (-bound, bound)
        assert low <= values.min() < low + 1e-3 * (high - low)
        assert high - 1e-3 * (high - low) < values.max() <= high
    else:
        assert np.abs(values - mean).max() > 3.5 * std  # a normal one has tails


@pytest.mark.parametrize(("name", "fields"), [case[:2] for case in RANDOM])
def test_a_seed_gives_the_same_numbers_in_every_type(name, fields):
    values = filled(name, fields)
    np.testing.assert_array_equal(values, filled(name, fields))
    np.testing.assert_array_equal(filled(name, fields, np.float32), values.astype(np.float32))
    assert not np.array_equal(values, filled(name, fields, seed=1))


@pytest.mark.parametrize(
    ("name", "fields", "value"), [("zeros", {}, 0.0), ("ones", {}, 1.0), ("constant", {"value": 0.3}, 0.3)]
)
def test_the_constant_ones(name, fields, value):
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(filled(name, fields, dtype), np.full(SHAPE, value, dtype))


@pytest.mark.parametrize(
    "name",
    ["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal", "variance_scaling", "torch_default"],
)
def test_a_parameter_without_inputs_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} needs a parameter with inputs to count"):
        filled(name, {}, param=Param((4,), "norm"))


def test_bounds_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="low must be at most high, got low 1 and high 0"):
        registry.make("initializers", "uniform", low=1.0, high=0.0)


def test_layers_count_their_fans_as_pytorch_does():
    conv = registry.make("layers", "conv2d", filters=8, kernel_size=(3, 5), groups=2)
    weight = conv.params((9, 9, 6))["weight"]
    assert (weight.fan_in, weight.fan_out) == (3 * 5 * 3, 3 * 5 * 8)
    dense = registry.make("layers", "dense", units=7).params((5,))["weight"]
    assert (dense.fan_in, dense.fan_out) == (5, 7)


@pytest.mark.parametrize("shape", [(3, 3, 4, 10), (2, 2, 3, 20), (30, 30), (5, 12)])
def test_orthogonal_columns_or_rows(shape):
    w = filled("orthogonal", {"gain": 1.5}, param=Param(shape, "weight", 1, 1)).reshape(-1, shape[-1])
    product = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    np.testing.assert_allclose(product, 1.5**2 * np.eye(len(product)), atol=1e-13)
    assert not np.array_equal(w, filled("orthogonal", {"gain": 1.5}, seed=1, param=Param(shape)).reshape(w.shape))


def test_orthogonal_signs_are_those_of_a_uniform_matrix():
    """Without the sign of R's diagonal, LAPACK's Q has negative entries in the upper left corner more often."""
    corners = [filled("orthogonal", {}, seed=seed, param=Param((3, 3)))[0, 0] for seed in range(400)]
    assert abs(np.mean(np.sign(corners))) < 5 / math.sqrt(400)


@pytest.mark.parametrize(("channels", "filters"), [(4, 4), (4, 6), (6, 4)])
def test_a_dirac_convolution_is_the_identity(channels, filters):
    conv = registry.make("layers", "conv2d", filters=filters, kernel_size=3, padding="same", bias=False)
    x = np.random.default_rng(0).standard_normal((2, 5, 4, channels))
    y = run(conv, [x], {"weight": filled("dirac", {}, param=conv.params(x.shape[1:])["weight"])}).y
    both = min(channels, filters)
    np.testing.assert_allclose(y[..., :both], x[..., :both], atol=1e-14)
    np.testing.assert_allclose(y[..., both:], 0, atol=1e-14)


def test_filters_beyond_those_of_a_dirac_start_as_asked():
    param = Param((3, 3, 2, 5), "weight", fan_in=18, fan_out=45)
    out, plain = filled("dirac", {"others": "torch_default"}, param=param), filled("dirac", {}, param=param)
    np.testing.assert_array_equal(out[..., :2], plain[..., :2])
    assert (out[..., 2:] != 0).all()
    assert np.abs(out[..., 2:]).max() <= 1 / 18**0.5


def test_a_dirac_depthwise_convolution_is_the_identity():
    conv = registry.make("layers", "depthwise_conv2d", kernel_size=5, padding="same", bias=False)
    x = np.random.default_rng(0).standard_normal((2, 5, 4, 3))
    p = {"weight": filled("dirac", {}, param=conv.params(x.shape[1:])["weight"])}
    np.testing.assert_array_equal(run(conv, [x], p).y, x)


@pytest.mark.parametrize(
    ("name", "message"), [("orthogonal", "needs a matrix or a kernel"), ("dirac", "needs the kernels of a convolution")]
)
def test_shaped_starts_refuse_vectors(name, message):
    with pytest.raises(ValueError, match=message):
        filled(name, {}, param=Param((4,), "bias", 3, 4))
