"""Noise layers beyond the contracts: their shares, their moments, what is drawn together."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.network.graph import weave
from tests.support.layers import run
from tests.support.networks import declared

DROPS = ["spatial_dropout2d", "drop_path"]


@pytest.mark.parametrize("name", DROPS)
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_drops_its_share_and_keeps_the_mean(name, rate):
    x = np.ones((4000, 2, 2, 5))
    y = run(registry.make("layers", name, rate=rate), [x], {}).y
    draws = 4000 * (5 if name == "spatial_dropout2d" else 1)
    spread = np.sqrt(rate * (1 - rate) / draws)
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - rate)])
    assert abs(np.mean(y == 0) - rate) < 5 * spread
    assert abs(y.mean() - 1) < 5 * spread / (1 - rate)


def test_what_is_dropped_together():
    x = np.ones((50, 3, 4, 6))
    by_channel = run(registry.make("layers", "spatial_dropout2d"), [x], {}).y
    np.testing.assert_array_equal(by_channel, np.broadcast_to(by_channel[:, :1, :1], x.shape))
    assert np.unique(by_channel[:, 0, 0, 0]).size == 2
    assert len(np.unique(by_channel[:, 0, 0], axis=0)) > 10
    by_sample = run(registry.make("layers", "drop_path", rate=0.5), [x], {}).y
    np.testing.assert_array_equal(by_sample, np.broadcast_to(by_sample[:, :1, :1, :1], x.shape))


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.7])
def test_alpha_dropout_keeps_mean_0_and_variance_1(rate):
    x = np.random.default_rng(0).standard_normal((500, 400))
    y = run(registry.make("layers", "alpha_dropout", rate=rate), [x], {}).y
    assert abs(y.mean()) < 0.02
    assert abs(y.var() - 1) < 0.03
    assert abs(np.unique(y, return_counts=True)[1].max() / x.size - rate) < 0.01


def test_gaussian_noise_has_its_deviation_and_mean_0():
    x = np.full((300, 400), 3.0)
    y = run(registry.make("layers", "gaussian_noise", std=0.5), [x], {}).y
    assert abs(y.mean() - 3) < 5 * 0.5 / np.sqrt(x.size)
    assert abs(y.std() / 0.5 - 1) < 5 / np.sqrt(2 * x.size)


@pytest.mark.parametrize(
    ("name", "fields"),
    [("spatial_dropout2d", {}), ("drop_path", {}), ("alpha_dropout", {}), ("gaussian_noise", {"std": 2.0})],
)
def test_evaluation_is_the_identity_and_types_draw_alike(name, fields):
    layer = registry.make("layers", name, **fields)
    x = np.random.default_rng(0).standard_normal((4, 3, 2, 5)).astype(np.float32).astype(np.float64)
    np.testing.assert_array_equal(run(layer, [x], {}, training=False).y, x)
    narrow = run(layer, [x.astype(np.float32)], {}).y
    np.testing.assert_allclose(run(layer, [x], {}).y, narrow, rtol=1e-5, atol=1e-5)
    halves = run(layer, [np.concatenate([x, x])], {}, cuts=[4]).y
    assert not np.array_equal(*np.split(halves, 2)) or name == "drop_path"


def rates(*layers):
    graph = weave([declared(name, **fields) for name, fields in layers], (4, 4, 2), 3)
    return [node.layer.rate for node in graph.nodes if node.layer.name_in_config == "drop_path"]


def test_drop_path_is_linear_in_depth_unless_told():
    drop, dense = ("drop_path", {"rate": 0.3}), ("relu", {})
    assert rates(drop) == [0.3]
    assert rates(drop, dense, drop, dense, dense, drop, drop) == pytest.approx([0, 0.1, 0.2, 0.3])
    body = (declared("relu"), declared("residual", body=(declared("drop_path", rate=0.2),)))
    assert rates(("repeat", {"n": 3, "body": body})) == pytest.approx([0, 0.1, 0.2])
    own = ("drop_path", {"rate": 0.3, "linear": False})
    assert rates(own, own, drop) == [0.3, 0.3, 0.3]
