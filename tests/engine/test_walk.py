"""A walk computes what the engine computes in evaluation, and its gradients are those of that function."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.config.load import load_text
from cnntrain.data import build_data
from cnntrain.engine.engine import Engine
from cnntrain.engine.fixed import Fixed
from cnntrain.engine.pool import Pool
from cnntrain.engine.vitals import SAMPLES, Vitals
from cnntrain.engine.walk import Walk
from cnntrain.network import build
from tests.support import networks
from tests.support.experiments import FULL
from tests.support.networks import declared

EXTRA = """\
    - {type: max_pool2d, kernel_size: 2}
    - {type: drop_path, rate: 0.3}
    - {type: gaussian_noise, std: 0.5}
    - {type: alpha_dropout, rate: 0.1}
    - tanh
    - global_avg_pool
"""


@pytest.fixture
def network():
    loaded = load_text(FULL.replace("    - global_avg_pool\n", EXTRA), "full.yaml")
    return loaded, build.network(loaded, build_data.describe(loaded))


def engine_of(loaded, network, pool, dtype=np.float32):
    engine = Engine(network.graph, network.tally, pool, dtype=dtype)
    build.initialize(network.graph, loaded.experiment.init, 3, engine.params)
    return engine


def samples(graph, count, dtype=np.float32):
    x = np.random.default_rng(1).standard_normal((count, *graph.input_shape)).astype(dtype)
    return x, Fixed(x, np.zeros(count, np.int64))


def test_its_output_is_the_engines(network):
    loaded, built = network
    x, batch = samples(built.graph, 5)
    with Pool(1) as pool:
        engine = engine_of(loaded, built, pool)
        *_, (last,) = Walk(built.graph, engine.params).forward([x])
        np.testing.assert_allclose(last.y, engine.outputs(batch), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("at", [0, 1, 3, 6, 8])
def test_its_gradient_is_that_of_the_evaluation_function(network, at):
    loaded, built = network
    graph = built.graph
    with Pool(1) as pool:
        engine = engine_of(loaded, built, pool, np.float64)
        walk = Walk(graph, engine.params)
        x, _ = samples(graph, 2, np.float64)
        nodes = list(walk.forward([x]))
        dy = np.random.default_rng(2).standard_normal(nodes[-1][0].y.shape)
        (gradient,) = walk.gradient(nodes, [dy], at)
        direction = np.random.default_rng(3).standard_normal(gradient.shape)
        moved = [_after(walk, x, at, nodes[at][0].y + sign * 1e-6 * direction) for sign in (1, -1)]
    expected = np.sum((moved[0] - moved[1]) * dy) / 2e-6
    assert np.sum(gradient * direction) == pytest.approx(expected, rel=1e-4)


def _after(walk, x, at, value):
    """The output when node `at` gives this value."""
    for i, (frame,) in enumerate(walk.forward([x])):
        if i == at:
            frame.y[...] = value
    return frame.y


def test_dead_rectifiers_are_counted_channel_by_channel(network):
    loaded, built = network
    _, batch = samples(built.graph, SAMPLES + 10)
    with Pool(1) as pool:
        engine = engine_of(loaded, built, pool)
        vitals = Vitals(engine, batch)
        assert vitals.dead_relu() == 0
        shift = built.graph.layout.views(engine.params)["batch_norm_1.shift"]
        shift[:2] = -1e6  # of 6 channels, and 6 more after the residual block, which the block cannot revive alone
        second = built.graph.layout.views(engine.params)["residual_1.batch_norm_1.shift"]
        second[0] = -1e6
        assert vitals.dead_relu() == pytest.approx(3 / 12)


def test_a_rectifier_that_any_sample_reaches_is_alive():
    """Also where the sample is not of the first shard."""
    layers = [declared("flatten"), declared("dense", units=2), declared("relu"), declared("dense", units=3)]
    with Pool(1) as pool:
        engine = networks.engine_of(layers, pool, shape=(1, 1, 2))
        engine.graph.shard = 4
        engine.params[...] = 0
        engine.graph.layout.views(engine.params)["dense_1.weight"][...] = np.eye(2)
        x = np.full((9, 1, 1, 2), -1.0)
        x[6, ..., 1] = 1
        assert Vitals(engine, Fixed(x, np.arange(9) % 3)).dead_relu() == 0.5


def test_without_rectifiers_there_is_no_share(network):
    loaded, _ = network
    plain = load_text(FULL.replace("    - relu\n", "    - tanh\n").replace("activation: relu", "activation: tanh"), "f")
    built = build.network(plain, build_data.describe(loaded))
    with Pool(1) as pool:
        assert Vitals(engine_of(plain, built, pool), samples(built.graph, 3)[1]).dead_relu() is None


def test_the_update_ratio_is_that_of_the_trained_weights(network):
    loaded, built = network
    with Pool(1) as pool:
        engine = engine_of(loaded, built, pool)
        vitals = Vitals(engine, samples(built.graph, 3)[1])
        trained = engine.params[: built.graph.layout.trained]
        vitals.remember()
        trained *= 1.01
        engine.params[built.graph.layout.trained :] += 5  # statistics do not count
        assert vitals.update_ratio() == pytest.approx(0.01, rel=1e-4)
        trained[...] = 0
        vitals.remember()
        assert np.isnan(vitals.update_ratio())
