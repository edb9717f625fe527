"""Statistics that SWA measures anew are the mean of the batches', however large activations are."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.engine import average
from cnntrain.engine.average import Averaged
from cnntrain.engine.pool import Pool
from cnntrain.network.freezing import Stretch
from tests.support.networks import Fixed, declared, engine_of


@pytest.mark.parametrize("scale", [1e-3, 1, 1e3, 1e5])
@pytest.mark.parametrize("momentum", [0.1, 0.01])
def test_running_statistics_are_measured_anew_at_any_scale(scale, momentum):
    layers = [declared("batch_norm", name="bn", momentum=momentum), declared("flatten"), declared("dense", units=3)]
    rng = np.random.default_rng(0)
    batches = [(scale * rng.normal(1, 1, (32, 4, 4, 6))).astype(np.float32) for _ in range(5)]
    with Pool(1) as pool:
        engine = engine_of(layers, pool, shape=(4, 4, 6), shard=8)
        averaged = Averaged(registry.make("averages", "swa"), engine)
        averaged.vector[...] = engine.params
        averaged.remeasure([(step, [Fixed(x, np.arange(32) % 3)]) for step, x in enumerate(batches)])
        found = engine.graph.layout.views(averaged.vector)
        np.testing.assert_allclose(
            found["bn.running_mean"], np.mean([x.mean((0, 1, 2), np.float64) for x in batches], axis=0), rtol=1e-3
        )
        np.testing.assert_allclose(
            found["bn.running_var"],
            np.mean([x.var((0, 1, 2), np.float64, ddof=1) for x in batches], axis=0),
            rtol=1e-3,
        )


@pytest.mark.parametrize(
    ("freeze", "trained"), [(True, {}), (False, {"still": Stretch(9)}), (False, {"still": Stretch(0, 2)})]
)
def test_statistics_of_a_frozen_norm_stay_and_those_behind_it_are_measured_on_what_it_gives(freeze, trained):
    """Frozen always, or in any of the steps."""
    layers = [
        declared("batch_norm", name="still", freeze=freeze),
        declared("batch_norm", name="behind"),
        declared("flatten"),
        declared("dense", units=3),
    ]
    rng = np.random.default_rng(0)
    batches = [Fixed(rng.normal(6, 2, (32, 4, 4, 6)).astype(np.float32), np.arange(32) % 3) for _ in range(3)]
    with Pool(1) as pool:
        engine = engine_of(layers, pool, shape=(4, 4, 6), shard=8, trained=trained)
        held = engine.graph.layout.views(engine.params)
        held["still.running_mean"][...], held["still.running_var"][...] = 5, 4
        averaged = Averaged(registry.make("averages", "swa"), engine)
        averaged.vector[...] = engine.params
        averaged.remeasure([(step, [batch]) for step, batch in enumerate(batches)])
        found = engine.graph.layout.views(averaged.vector)
        assert (found["still.running_mean"] == 5).all()
        assert (found["still.running_var"] == 4).all()
        if freeze:
            mean = np.mean([batch.x for batch in batches], axis=(0, 1, 2, 3))
            expected = (mean - 5) / 2 * held["still.scale"] + held["still.shift"]
            np.testing.assert_allclose(found["behind.running_mean"], expected, rtol=1e-3)


@pytest.mark.parametrize("name", ["ema", "swa"])
def test_weights_that_overflow_are_no_warning_of_numpys(name):
    """They end in an error of their own."""
    with Pool(1) as pool:
        engine = engine_of([declared("flatten"), declared("dense", units=3)], pool)
        averaged = Averaged(registry.make("averages", name), engine)
        for step, value in enumerate((3e38, -3e38, np.inf, -np.inf, np.inf)):
            engine.params[...] = value
            averaged.follow(step + 7, 10, 1)
        assert averaged.count > 1


@pytest.mark.parametrize("block", [16, 100, average.BLOCK])
def test_every_parameter_is_averaged_whatever_is_averaged_at_a_time(monkeypatch, block):
    monkeypatch.setattr(average, "BLOCK", block)
    rng = np.random.default_rng(0)
    with Pool(1) as pool:
        engine = engine_of([declared("flatten"), declared("dense", units=3)], pool)
        averaged = Averaged(registry.make("averages", "ema", decay=0.75), engine)
        first, second = rng.normal(size=(2, engine.params.size)).astype(np.float32)
        for step, params in enumerate((first, second)):
            engine.params[...] = params
            averaged.follow(step, 10, 5)
        share = averaged.part.share(1, 1, 10, 5)
        assert 0 < share < 1
        np.testing.assert_allclose(averaged.vector, first + share * (second - first), rtol=1e-6, atol=1e-6)
