"""Softmax turns scores into shares that sum to 1; over the last axis, so for an image at each pixel over channels.

With the loss cross_entropy, which takes scores, neither of these is wanted at the end of a network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.blocks import longest_rows, row_blocks
from cnntrain.ops.scores import largest, total
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, Workspace, example


@dataclass(frozen=True)
class OverChannels(Layer):
    """What both share: any shape, y kept, in place, rows of channels."""

    examples: ClassVar[tuple[Example, ...]] = (example((7,)), example((2, 3, 4)))
    keeps: ClassVar[tuple[str, ...]] = ("y",)
    rowwise: ClassVar[bool] = True
    inplace: ClassVar[bool] = True
    emits_probabilities: ClassVar[bool] = True

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """A block of rows, and one value for each row."""
        rows, channels = longest_rows(n, inputs[0])
        return Workspace(scratch={"block": ((rows, channels), dtype), "of_row": ((rows, 1), dtype)})

    def flops(self, *inputs: Shape) -> int:
        """Four for each value: maximum, difference, exponential with its sum, division or difference."""
        return 4 * math.prod(inputs[0])


@register("softmax")
@dataclass(frozen=True)
class Softmax(OverChannels):
    """y = exp(x - m) / sum(exp(x - m)), m the maximum, which cancels and keeps exp from overflowing (Bridle 1990).

    dy_i/dx_j = y_i * (1[i = j] - y_j), so dx = y * (dy - sum(dy * y)).
    """

    def forward(self, f: Frame) -> None:
        """Write y = exp(x - max) / sum."""
        for x, y in row_blocks(f.x.shape[-1], f.x, f.y):
            of_row = f.scratch["of_row"][: len(x)]
            largest(x, of_row)
            np.subtract(x, of_row, out=y)
            np.exp(y, out=y)
            total(y, of_row)
            np.divide(y, of_row, out=y)

    def backward(self, f: Frame) -> None:
        """Write dx = y * (dy - sum(dy * y))."""
        if f.dx is not None:
            for y, dy, dx in row_blocks(f.y.shape[-1], f.y, f.dy, f.dx):
                of_row = f.scratch["of_row"][: len(y)]
                product = np.multiply(dy, y, out=f.scratch["block"][: len(y)])
                total(product, of_row)
                np.subtract(dy, of_row, out=dx)
                np.multiply(dx, y, out=dx)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """exp(x - max) / sum."""
        powers = t.op("exp", t.op("sub", xs[0], t.reduce("amax", xs[0], (-1,))))
        return t.op("div", powers, t.reduce("sum", powers, (-1,)))


@register("log_softmax")
@dataclass(frozen=True)
class LogSoftmax(OverChannels):
    """y = x - m - log(sum(exp(x - m))), m the maximum: the logarithm of softmax (Bridle 1990), without its underflow.

    dy_i/dx_j = 1[i = j] - softmax_j, so dx = dy - exp(y) * sum(dy).
    """

    def forward(self, f: Frame) -> None:
        """Write y = x - max - log(sum(exp(x - max)))."""
        for x, y in row_blocks(f.x.shape[-1], f.x, f.y):
            of_row, block = f.scratch["of_row"][: len(x)], f.scratch["block"][: len(x)]
            largest(x, of_row)
            np.subtract(x, of_row, out=y)
            np.exp(y, out=block)
            total(block, of_row)
            np.log(of_row, out=of_row)
            np.subtract(y, of_row, out=y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy - exp(y) * sum(dy)."""
        if f.dx is not None:
            for y, dy, dx in row_blocks(f.y.shape[-1], f.y, f.dy, f.dx):
                of_row = f.scratch["of_row"][: len(y)]
                total(dy, of_row)
                share = np.exp(y, out=f.scratch["block"][: len(y)])
                np.multiply(share, of_row, out=share)
                np.subtract(dy, share, out=dx)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """Record x - max - log(sum(exp(x - max)))."""
        shifted = t.op("sub", xs[0], t.reduce("amax", xs[0], (-1,)))
        return t.op("sub", shifted, t.op("log", t.reduce("sum", t.op("exp", shifted), (-1,))))
