"""Dense layers that subclasses of users make otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core.arrays import Param
from cnntrain.engine.pool import Pool
from cnntrain.engine.solo import Solo
from cnntrain.parts.layers.dense import Dense
from tests.support.networks import declared, engine_of, random_batch


class Normalized(Dense):
    """Whose weight has a name of its own."""

    def params(self, *inputs):
        weight = super().params(*inputs)["weight"]
        return {"direction": Param(weight.shape, "weight", weight.fan_in, weight.fan_out)}

    def forward(self, f) -> None:
        np.matmul(f.x, f.p["direction"] / np.linalg.norm(f.p["direction"], axis=0), out=f.y)


@pytest.mark.parametrize("units", [3, 600])
def test_a_subclass_may_call_its_weight_otherwise(units):
    layer = Normalized(units=units, bias=False)
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((4, 7)), rng.standard_normal((7, units))
    y = Solo(layer, [(7,)], training=False).forward([x], {"direction": weight})
    np.testing.assert_allclose(y, x @ (weight / np.linalg.norm(weight, axis=0)))


@pytest.mark.parametrize("units", [3, 255, 256, 700])
def test_evaluation_gives_what_training_does_however_wide_the_weight(units):
    with Pool(2) as pool:
        layers = [declared("flatten"), declared("dense", units=units), declared("dense", units=3)]
        engine = engine_of(layers, pool, dtype=np.float64)
        batch = random_batch(11)
        first = engine.outputs(batch)
        weights = engine.node_params(1)["weight"], engine.node_params(2)["weight"]
        biases = engine.node_params(1)["bias"], engine.node_params(2)["bias"]
        hidden = batch.x.reshape(11, -1) @ weights[0] + biases[0]
        np.testing.assert_allclose(first, hidden @ weights[1] + biases[1], rtol=1e-9, atol=1e-9)
