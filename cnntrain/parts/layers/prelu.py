"""PReLU is a leaky rectifier that learns its leak."""

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


@register("prelu")
@dataclass(frozen=True)
class Prelu(Layer):
    """y = max(x, 0) + slope * min(x, 0), the slope learned (He et al. 2015, Delving deep into rectifiers).

    So dx = dy where x > 0, else slope * dy, and dslope = sum of dy * min(x, 0). As in PyTorch one slope serves all
    channels unless `shared` is false, which gives each channel its own, as in the paper; and it starts at `initial`.
    Its role is "norm": weight decay would push it to a plain ReLU.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 5, 2)),
        example((2, 3, 4), shared=False),
        example((7,), initial=-0.1, shared=False),
    )
    rowwise: ClassVar[bool] = True

    initial: Finite = 0.25  # slope to start with
    shared: bool = True  # train one slope for all channels rather than one for each

    def params(self, *inputs: Shape) -> dict[str, Param]:
        """Declare slope: (1,), or (channels,)."""
        return {"slope": Param((1 if self.shared else inputs[0][-1],), "norm", start=self.initial)}

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """The negative parts, or the gradient where x > 0; and where that is."""
        block = longest_rows(n, inputs[0])
        return Workspace(scratch={"negative": (block, dtype), "positive": (block, np.bool_)})

    def flops(self, *inputs: Shape) -> int:
        """Two for each value: multiply and add."""
        return 2 * math.prod(inputs[0])

    def forward(self, f: Frame) -> None:
        """Write y = max(x, 0) + slope * min(x, 0)."""
        for x, y in row_blocks(f.x.shape[-1], f.x, f.y):
            negative = np.clip(x, -np.inf, 0, out=f.scratch["negative"][: len(x)])
            np.multiply(negative, f.p["slope"], out=negative)
            np.clip(x, 0, np.inf, out=y)
            np.add(y, negative, out=y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy * (1 where x > 0, else slope) and dslope = sum of dy * min(x, 0)."""
        if f.dp is not None:
            total = np.zeros(f.dp["slope"].shape)
            for x, dy in row_blocks(f.x.shape[-1], f.x, f.dy):
                self._add_share(f, x, dy, total)
            f.dp["slope"][...] = total
        if f.dx is not None:
            for x, dy, dx in row_blocks(f.x.shape[-1], f.x, f.dy, f.dx):
                above, positive = (f.scratch[name][: len(x)] for name in ("negative", "positive"))
                np.multiply(dy, np.greater(x, 0, out=positive), out=above)
                np.multiply(dy, f.p["slope"], out=dx)
                np.multiply(dx, np.logical_not(positive, out=positive), out=dx)
                np.add(dx, above, out=dx)  # one is 0, if dy is finite; copying by a mask takes eight times as long

    def _add_share(self, f: Frame, x: Array, dy: Array, total: Array) -> None:
        """Add a block's part of the slope's gradient."""
        product = np.clip(x, -np.inf, 0, out=f.scratch["negative"][: len(x)])
        np.multiply(product, dy, out=product)
        share = over_rows(product)
        total += np.add.reduce(share) if self.shared else share

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:
        """max(x, 0) + slope * min(x, 0)."""
        negative = t.op("mul", t.op("min", xs[0], 0.0), t.constant("slope", p["slope"]))
        return t.op("add", t.op("max", xs[0], 0.0), negative)
