"""Snake bends periodically, so that a network can go on beyond the values it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Positive
from cnntrain.core.arrays import Array, Param, Shape
from cnntrain.core.registry import register
from cnntrain.ops.blocks import row_blocks, rows_per_block
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, Workspace, example


@register("snake")
@dataclass(frozen=True)
class Snake(Layer):
    """y = x + scale * sin(x)^2 (Ziyin et al. 2020, here with a learned amplitude for each channel).

    So dx = dy * (1 + scale * sin(2 x)) and dscale = sum of dy * sin(x)^2.
    """

    examples: ClassVar[tuple[Example, ...]] = (example((3, 5, 2)), example((7,), initial=0.5))

    initial: Positive = 1.0

    def params(self, *inputs: Shape) -> dict[str, Param]:
        """Declare scale (channels,)."""
        return {"scale": Param(inputs[0][-1:], "norm", start=self.initial)}

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """A block of sines, and its share of dscale."""
        block = (rows_per_block(inputs[0][-1]), inputs[0][-1])
        return Workspace(scratch={"sine": (block, dtype), "share": (inputs[0][-1:], dtype)})

    def forward(self, f: Frame) -> None:
        """Write y = x + scale * sin(x)^2."""
        for x, y in row_blocks(f.x.shape[-1], f.x, f.y):
            sine = np.sin(x, out=f.scratch["sine"][: len(x)])
            np.multiply(sine, sine, out=sine)
            np.multiply(sine, f.p["scale"], out=sine)
            np.add(x, sine, out=y)

    def backward(self, f: Frame) -> None:
        """Write dx and dscale."""
        if f.dp is not None:
            f.dp["scale"].fill(0)
            for x, dy in row_blocks(f.x.shape[-1], f.x, f.dy):
                sine = np.sin(x, out=f.scratch["sine"][: len(x)])
                np.multiply(sine, sine, out=sine)
                np.multiply(sine, dy, out=sine)
                f.dp["scale"] += np.add.reduce(sine, axis=0, out=f.scratch["share"])
        if f.dx is not None:
            for x, dy, dx in row_blocks(f.x.shape[-1], f.x, f.dy, f.dx):
                sine = np.multiply(x, 2, out=f.scratch["sine"][: len(x)])
                np.sin(sine, out=sine)
                np.multiply(sine, f.p["scale"], out=sine)
                np.add(sine, 1, out=sine)
                np.multiply(sine, dy, out=dx)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:
        """x + scale * sin(x)^2."""
        sine = t.op("sin", xs[0])
        return t.op("add", xs[0], t.op("mul", t.op("mul", sine, sine), t.constant("scale", p["scale"])))
