"""Kernels of convolutions, run by themselves."""

from __future__ import annotations

from typing import Any

from cnntrain.core.arrays import Array
from cnntrain.engine.solo import spoiled
from cnntrain.ops.calls import PASSES, run


def passes(kernel: Any, x: Array, w: Array, b: Array, dy: Array) -> tuple[Array, ...]:
    """Output and gradients (y, dx, dw, db), every buffer spoiled beforehand, portions in reverse."""
    scratch = {name: spoiled(shape, dtype) for name, (shape, dtype) in kernel.scratch(len(x), x.dtype).items()}
    y, dx, dw, db = (spoiled(a.shape, x.dtype) for a in (dy, x, w, b))
    for do in PASSES:
        for portion in reversed(kernel.fill(do, w, scratch)):
            run(portion)
    run(kernel.forward(x, w, y, scratch))
    y += b  # as the layers do
    run(kernel.backward(x, w, dy, dw, db, dx, scratch))
    return y, dx, dw, db
