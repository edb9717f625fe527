"""Identity hands its input on: a branch that does nothing, or a name for a junction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, example


@register("identity")
@dataclass(frozen=True)
class Identity(Layer):
    """y = x (PyTorch's Identity), so dx = dy."""

    examples: ClassVar[tuple[Example, ...]] = (example((3, 2, 4)), example((5,)))
    rowwise: ClassVar[bool] = True
    keeps: ClassVar[tuple[str, ...]] = ()
    inplace: ClassVar[bool] = True
    affine_map: ClassVar[bool] = True

    def flops(self, *inputs: Shape) -> int:  # noqa: ARG002
        """None: it only moves."""
        return 0

    def forward(self, f: Frame) -> None:
        """Write y = x."""
        np.copyto(f.y, f.x)

    def backward(self, f: Frame) -> None:
        """Write dx = dy."""
        if f.dx is not None:
            np.copyto(f.dx, f.dy)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """Record x."""
        return xs[0]
