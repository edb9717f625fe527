"""The gradient of a dense weight, x.T @ dy, is cut in slices where it is large, so that each can be computed alone.

Every slice multiplies all of dy, which lies in panels meanwhile (panels.py): otherwise BLAS would copy it for each.
"""

from __future__ import annotations

import numpy as np

from cnntrain.core.arrays import Array, round_up
from cnntrain.ops.calls import Calls
from cnntrain.ops.panels import Panels
from cnntrain.ops.products import LEAST_ROWS, product

SLICES = 16  # of the gradient of a large matrix: as many workers have equal work
SLICE_VALUES = 64 * 1024  # of a slice: a quarter of a MB of float32; below this a gradient is not cut


def outer(x: Array, dy: Array, out: Array) -> Calls:
    """The calls that write x.T @ dy into out, slice by slice where it is large, so that each can be computed alone."""
    rows, n = slice_rows(*out.shape), out.shape[1]
    if rows == len(out):
        return product(x.T, dy, out)
    panels, memory, calls = Panels(*dy.shape), dy.reshape(-1), Calls()
    if panels.cut:
        memory = np.empty(dy.size, dy.dtype)
        calls += panels.pour(dy, memory)
    whole = len(out) - len(out) % rows
    left = x[:, :whole].T.reshape(-1, rows, len(x))
    calls += panels.product(left, memory, out[:whole].reshape(-1, rows, n))
    return calls if whole == len(out) else calls + panels.product(x[:, whole:].T, memory, out[whole:])


def slice_rows(m: int, n: int) -> int:
    """The rows of a slice of an (m, n) gradient: all m where it is not cut."""
    if not is_sliced(m, n):
        return m
    fitting = max(SLICE_VALUES // n // LEAST_ROWS, 1) * LEAST_ROWS
    return min(round_up(-(-m // SLICES), LEAST_ROWS), fitting, m)


def is_sliced(m: int, n: int) -> bool:
    """Whether an (m, n) gradient is large enough to be computed by slices."""
    return m > LEAST_ROWS and m * n >= SLICE_VALUES
