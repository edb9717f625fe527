"""Add sums several inputs of one shape: the junction of a residual connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, example


@register("add")
@dataclass(frozen=True)
class Add(Layer):
    """y = xs[0] + xs[1] + ..., in this order; so the gradient of each input is dy.

    In place, y is the first input, and its gradient is dy.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 4, 2), (3, 4, 2)),
        example((5,), (5,), (5,)),
    )
    rowwise: ClassVar[bool] = True
    inputs: ClassVar[tuple[int, int | None]] = (2, None)
    keeps: ClassVar[tuple[str, ...]] = ()
    inplace: ClassVar[bool] = True
    affine_map: ClassVar[bool] = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """The shape all inputs share."""
        if any(shape != inputs[0] for shape in inputs):
            raise ValueError(f"add needs inputs of one shape, got {' and '.join(map(str, inputs))}")
        return inputs[0]

    def flops(self, *inputs: Shape) -> int:
        """One for each value and input after the first."""
        return super().flops(*inputs) * (len(inputs) - 1)

    def forward(self, f: Frame) -> None:
        """Write y = sum of xs, from left to right."""
        np.add(f.xs[0], f.xs[1], out=f.y)
        for x in f.xs[2:]:
            np.add(f.y, x, out=f.y)

    def backward(self, f: Frame) -> None:
        """Every dx = dy."""
        for dx in f.dxs:
            if dx is not None:
                np.copyto(dx, f.dy)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """The sum, from left to right."""
        y = xs[0]
        for x in xs[1:]:
            y = t.op("add", y, x)
        return y
