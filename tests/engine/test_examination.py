"""An examination computes what the engine computes, and finds the first node with a number that is not finite."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.config.load import load_text
from cnntrain.data import build_data
from cnntrain.engine.engine import Engine
from cnntrain.engine.examination import Examination, NonFinite
from cnntrain.engine.fixed import Fixed
from cnntrain.engine.pool import Pool
from cnntrain.network import build
from cnntrain.network.freezing import Stretch
from cnntrain.network.graph import BATCH
from cnntrain.parts.layers.conv2d import Conv2d
from cnntrain.parts.layers.dense import Dense
from tests.support.experiments import FULL
from tests.support.networks import declared, engine_of, random_batch


@pytest.fixture(params=[True, False], ids=["batch norm", "no batch norm"])
def engine(request):
    text = FULL if request.param else FULL.replace("    - batch_norm\n", "").replace(", batch_norm]", "]")
    loaded = load_text(text, "full.yaml")
    network = build.network(loaded, build_data.describe(loaded))
    with Pool(1) as pool:
        engine = Engine(network.graph, network.tally, pool, seed=3)
        build.initialize(network.graph, loaded.experiment.init, 3, engine.params)
        yield engine


@pytest.fixture
def batches(engine):
    rng = np.random.default_rng(1)
    sizes = (2 * engine.shard + 3, 5)  # several shards, the last one short, and a second batch
    return [
        Fixed(rng.standard_normal((n, *engine.graph.input_shape)).astype(np.float32), rng.integers(0, 3, n))
        for n in sizes
    ]


@pytest.fixture
def looked_back(monkeypatch):
    """What examinations find of gradients: those of each shard, by parameter."""
    rows = {}

    def look_back(self, i, frames, original=Examination._look_back):
        original(self, i, frames)
        for f in frames:
            for name, dp in (f.dp or {}).items():
                rows.setdefault(f"{self.graph.nodes[i].name}.{name}", []).append(dp.astype(np.float64))

    monkeypatch.setattr(Examination, "_look_back", look_back)
    return rows


def is_the_engines(engine, rows, batches):
    """Whether these gradients are those of the engine's last step."""
    samples = sum(map(len, batches))
    for name, gradient in engine.graph.layout.views(engine.grads).items():
        if name in rows:
            np.testing.assert_allclose(sum(rows[name]) / samples, gradient, rtol=1e-3, atol=1e-6, err_msg=name)


def test_a_sound_step_has_nothing_to_find_and_its_gradients_are_the_engines(engine, batches, looked_back):
    examination = Examination(engine)
    examination.step(batches, 4)
    assert examination.finding is None
    engine.step(batches, 4)
    is_the_engines(engine, looked_back, batches)
    assert len(looked_back) >= 5
    examination.gradients()
    examination.parameters()
    assert examination.finding is None


@pytest.mark.parametrize(("step", "seen"), [(0, 7), (4, 2)])
def test_what_is_frozen_in_a_step_is_so_when_it_is_examined(step, seen, looked_back):
    layers = [
        declared("conv2d", filters=2, kernel_size=3, name="conv", bias=False),
        declared("batch_norm", name="norm"),
        declared("flatten"),
        declared("dense", units=4),
        declared("relu"),
        declared("dense", units=3),
    ]
    with Pool(1) as pool:
        engine = engine_of(layers, pool, trained={name: Stretch(0, 4) for name in ("conv", "norm", "dense_1")})
        batches = [random_batch(10)]
        engine.step(batches, step)
        Examination(engine).step(batches, step)
        assert len(looked_back) == seen
        is_the_engines(engine, looked_back, batches)


def test_its_outputs_in_evaluation_are_the_engines(engine, batches):
    examination = Examination(engine)
    examination.evaluation(batches[0])
    outputs = engine.outputs(batches[0])
    found = examination.ranges[len(engine.graph.nodes) - 1, "output"].document()
    assert found == {
        "min": pytest.approx(outputs.min(), rel=1e-5),
        "max": pytest.approx(outputs.max(), rel=1e-5),
        "nonfinite": 0,
    }


@pytest.mark.parametrize("way", ["step", "evaluation"])
def test_the_node_whose_weights_are_not_finite_is_named(engine, batches, way):
    for i, node in enumerate(engine.graph.nodes):
        for name, array in engine.node_params(i).items():
            before, array.flat[-1] = array.flat[-1], np.nan
            examination = Examination(engine)
            examination.parameters()
            what = "statistics" if name.startswith("running") else "weights"
            assert examination.finding == NonFinite(what, i), (node.name, name)
            examination = Examination(engine)
            examination.step(batches, 0) if way == "step" else examination.evaluation(batches[0])
            if way == "evaluation" or what == "weights":  # in training running statistics are not read
                assert examination.finding is not None
                assert (examination.finding.what, examination.finding.node) == (what, i), (node.name, name)
            array.flat[-1] = before


def test_a_sample_that_is_not_finite_is_named_by_its_place_in_the_step(engine, batches):
    batches[1].x[2, 0, 0, 0] = np.inf
    examination = Examination(engine)
    examination.step(batches, 0)
    assert examination.finding == NonFinite("input", BATCH, (len(batches[0]) + 2,))
    assert examination.ranges[BATCH, "output"].nonfinite == 1


def test_a_backward_that_gives_infinity_is_named(engine, batches, monkeypatch):
    original = Dense.backward

    def backward(self, f):
        original(self, f)
        f.dp["weight"][0, 0] = np.inf

    monkeypatch.setattr(Dense, "backward", backward)
    examination = Examination(engine)
    examination.step(batches, 0)
    dense = len(engine.graph.nodes) - 1
    assert examination.finding == NonFinite("gradient", dense)
    engine.step(batches, 0)
    examination = Examination(engine)
    examination.gradients()
    assert examination.finding == NonFinite("gradient", dense)


def test_a_gradient_is_looked_at_also_before_nodes_that_want_none(monkeypatch):
    layers = [
        declared("conv2d", filters=2, kernel_size=3, padding="same", name="first"),
        declared("identity", from_=("input",), name="beside"),
        declared("concat", from_=("first", "beside")),
        declared("flatten"),
        declared("dense", units=3),
    ]
    original = Conv2d.backward

    def backward(self, f):
        original(self, f)
        f.dp["weight"].flat[0] = np.inf

    monkeypatch.setattr(Conv2d, "backward", backward)
    with Pool(1) as pool:
        examination = Examination(engine_of(layers, pool))
        examination.step([random_batch(6)], 0)
    assert examination.finding == NonFinite("gradient", 0)


def test_it_changes_no_parameter_and_no_gradient(engine, batches):
    engine.step(batches, 0)
    before = engine.params.copy(), engine.grads.copy()
    examination = Examination(engine)
    examination.step(batches, 1)
    examination.evaluation(batches[0])
    np.testing.assert_array_equal(engine.params, before[0])
    np.testing.assert_array_equal(engine.grads, before[1])
