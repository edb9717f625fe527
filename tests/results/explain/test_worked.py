"""What is worked in numbers is what the layer computes, term by term."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core.registry import make
from cnntrain.engine.passes import Passes
from cnntrain.ops.trace import Trace, Value
from cnntrain.results.explain.worked import convolved, pooled

CONVOLUTIONS = {
    "valid": ((7, 6, 3), {"filters": 4, "kernel_size": 3}),
    "same": ((6, 6, 2), {"filters": 3, "kernel_size": 5, "padding": "same"}),
    "strides": ((9, 8, 2), {"filters": 3, "kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 0, 2, 1)}),
    "dilated": ((9, 9, 1), {"filters": 2, "kernel_size": 3, "dilation": 2, "padding": 1}),
    "groups": ((5, 5, 6), {"filters": 4, "kernel_size": 3, "groups": 2, "bias": False}),
}
POOLINGS = {
    "max": ("max_pool2d", (6, 6, 3), {"kernel_size": 2}, np.max),
    "padded": ("max_pool2d", (7, 7, 2), {"kernel_size": 3, "stride": 2, "padding": 1}, np.max),
    "mean": ("avg_pool2d", (6, 8, 2), {"kernel_size": (2, 4)}, np.mean),
}


def _walked(layer, shape):
    """The frame of one random sample, and the first operation that the layer says it consists of."""
    rng = np.random.default_rng(0)
    p = {name: rng.standard_normal(param.shape).astype(np.float32) for name, param in layer.params(shape).items()}
    x = rng.standard_normal((1, *shape)).astype(np.float32) + 3  # padding is never the largest of a window
    (frame,) = Passes(layer, [shape], training=True, trained=False).forward([(x,)], p, np.random.default_rng)
    trace = Trace()
    trace.begin("layer")
    layer.trace(trace, p, Value("x", shape))
    return frame, trace.operations[0]


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_window_times_filter_and_bias_is_what_the_convolution_gives(case):
    shape, keys = CONVOLUTIONS[case]
    frame, operation = _walked(make("layers", "conv2d", **keys), shape)
    one = convolved(frame, operation)
    assert one.y == frame.y.max()
    assert one.sums.sum() + one.bias == pytest.approx(one.y, rel=1e-5)
    assert one.sums.shape == (shape[2] // keys.get("groups", 1),)


@pytest.mark.parametrize("case", POOLINGS)
def test_a_window_holds_what_the_pooling_gives(case):
    name, shape, keys, does = POOLINGS[case]
    frame, operation = _walked(make("layers", name, **keys), shape)
    one = pooled(frame, operation)
    assert one.y == frame.y.max()
    assert does(one.values) == pytest.approx(one.y, rel=1e-6)
