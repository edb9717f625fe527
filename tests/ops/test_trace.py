"""A trace refuses an operation that no format could write, where the layer records it."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core.errors import UsageError
from cnntrain.ops.trace import Trace, Value

X = Value("x", (4, 5, 2))


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("concat", "axis="), ("pad", "sides="), ("slice", "parts="), ("transpose", "order="), ("mean", "axes=")],
)
def test_an_operation_without_what_it_needs(kind: str, missing: str) -> None:
    trace = Trace()
    trace.begin("frame", "frame (frame, my.yaml:3:7)")
    with pytest.raises(UsageError) as caught:
        trace.op(kind, X, shape=X.shape)
    expected = f"its 'trace' has an operation {kind!r} without {missing}, see cnntrain/ops/trace.py"
    assert str(caught.value) == f"frame (frame, my.yaml:3:7) cannot be exported: {expected}"


def test_a_constant_among_values_that_are_put_one_after_the_other() -> None:
    trace = Trace()
    grid = trace.constant("grid", np.zeros((4, 5, 1)))
    with pytest.raises(UsageError, match="Pad the value, and add the constant to it"):
        trace.op("concat", X, grid, shape=(4, 5, 3), axis=2)


def test_two_values_of_one_name() -> None:
    """Formats find values by name: one of the two would silently be read for both."""
    trace = Trace()
    trace.begin("scale_1")
    trace.end(trace.op("mul", X, 2.0))
    trace.begin("scale_1")
    with pytest.raises(AssertionError, match="two values called 'scale_1/1'"):
        trace.op("mul", X, 2.0)


def test_a_value_of_the_inputs_name() -> None:
    trace = Trace()
    trace.begin("x")
    twice = trace.op("mul", X, 2.0)
    with pytest.raises(AssertionError, match="two values called 'x'"):
        trace.end(twice)
