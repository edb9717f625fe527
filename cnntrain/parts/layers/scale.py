"""Scale gives every channel a learned factor and shift."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Finite
from cnntrain.core.arrays import Array, Param, Shape
from cnntrain.core.registry import register
from cnntrain.ops.blocks import longest_rows, row_blocks
from cnntrain.ops.sums import over_rows
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, Workspace, example


@register("scale")
@dataclass(frozen=True)
class Scale(Layer):
    """y[..., c] = x[..., c] * scale[c] + shift[c], which Caffe has as a layer of its own (Scale).

    So dscale = sum of dy * x and dshift = sum of dy, over samples and pixels, and dx = dy * scale. The factors start
    at `initial`: 1, or as small as 1e-6 for the layer scale of Touvron et al. (2021). Both have the role "norm": no
    weight decay.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 2, 4)),
        example((5,), initial=0.1),
        example((2, 2, 3), bias=False),
    )
    rowwise: ClassVar[bool] = True
    affine_map: ClassVar[bool] = True

    initial: Finite = 1.0  # factor to start with
    bias: bool = True  # train a shift for each channel too

    @property
    def rescales(self) -> bool:
        """It does nothing else."""
        return True

    def params(self, *inputs: Shape) -> dict[str, Param]:
        """Declare scale and, unless switched off, shift: (channels,)."""
        shape = inputs[0][-1:]
        scale = {"scale": Param(shape, "norm", start=self.initial)}
        return scale | {"shift": Param(shape, "norm", start=0)} if self.bias else scale

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """A block of products."""
        return Workspace(scratch={"block": (longest_rows(n, inputs[0]), dtype)})

    def flops(self, *inputs: Shape) -> int:
        """One multiplication for each value, and one addition."""
        return (1 + self.bias) * math.prod(inputs[0])

    def forward(self, f: Frame) -> None:
        """Write y = x * scale + shift."""
        np.multiply(f.x, f.p["scale"], out=f.y)
        if self.bias:
            np.add(f.y, f.p["shift"], out=f.y)

    def backward(self, f: Frame) -> None:
        """Write dscale = sum(dy * x), dshift = sum(dy), dx = dy * scale."""
        if f.dp is not None:
            totals = {name: np.zeros(gradient.shape) for name, gradient in f.dp.items()}
            for x, dy in row_blocks(f.x.shape[-1], f.x, f.dy):
                totals["scale"] += over_rows(np.multiply(x, dy, out=f.scratch["block"][: len(x)]))
                if self.bias:
                    totals["shift"] += over_rows(dy)
            for name, total in totals.items():
                f.dp[name][...] = total
        if f.dx is not None:
            np.multiply(f.dy, f.p["scale"], out=f.dx)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:
        """Record x * scale + shift."""
        y = t.op("mul", xs[0], t.constant("scale", p["scale"]))
        return t.op("add", y, t.constant("shift", p["shift"])) if self.bias else y
