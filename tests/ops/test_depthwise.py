"""The sum over taps equals the products of the grouped convolution, whatever the windows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntrain.core.arrays import aligned
from cnntrain.ops.convolution import Convolution
from cnntrain.ops.depthwise import Depthwise
from cnntrain.ops.windows import windows
from tests.support.kernels import passes


def filled(rng, *shape):
    array = aligned(shape, float)
    array[...] = rng.standard_normal(shape)
    return array


sides = st.integers(1, 4)


@settings(deadline=None, max_examples=200)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(sides, sides),
    stride=st.tuples(sides, sides),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.one_of(st.just("same"), st.tuples(*[st.integers(0, 4)] * 4)),
    channels=st.integers(2, 3),
)
def test_equals_the_grouped_convolution(size, kernel, stride, dilation, padding, channels):
    try:
        where = windows(*size, kernel, stride, dilation, padding)
    except ValueError:
        return
    rng = np.random.default_rng(0)
    x, w = filled(rng, 2, *size, channels), filled(rng, *kernel, 1, channels)
    b, dy = filled(rng, channels), filled(rng, 2, where.rows.out, where.columns.out, channels)
    products = passes(Convolution(where, channels, channels, channels), x, w, b, dy)
    for ours, theirs in zip(passes(Depthwise(where, channels), x, w, b, dy), products, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)
