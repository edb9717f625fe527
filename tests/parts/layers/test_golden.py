"""Layers against PyTorch: outputs, gradients of inputs and parameters, running statistics."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.golden import cases, load
from tests.support.layers import run

TOLERANCE = {np.float64: 1e-10, np.float32: 1e-5}  # of the largest value of each array


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("path", cases("layers"))
def test_equals_pytorch(path, dtype):
    layer, kept = load(path)
    training = not path.stem.endswith("-evaluation")
    count = sum(name.startswith("x") for name in kept)
    xs = [kept[f"x{i}"].astype(dtype) for i in range(count)]
    p = {name[2:]: value.astype(dtype) for name, value in kept.items() if name.startswith("p_")}
    result = run(layer, xs, p, kept["dy"].astype(dtype) if training else None, training=training)
    pairs = [("y", result.y)]
    if training:
        pairs += [(f"dx{i}", dx) for i, dx in enumerate(result.dxs)]
        pairs += [(f"dp_{name}", value) for name, value in result.dp.items()]
    pairs += [(name, result.p[name.removeprefix("after_")]) for name in kept if name.startswith("after_")]
    assert {name for name in kept if name.startswith("dp_")} == {"dp_" + name for name in result.dp} or not training
    for name, ours in pairs:
        theirs = kept[name]
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE[dtype] * max(1e-30, np.abs(theirs).max()))
