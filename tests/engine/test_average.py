"""Statistics that SWA measures anew are the mean of the batches', however large activations are."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.engine.average import Averaged
from cnntrain.engine.pool import Pool
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
        with averaged.in_place():
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
