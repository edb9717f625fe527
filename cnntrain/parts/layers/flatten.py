"""Flatten lays an image or a clip out as features, for the dense layers that follow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, example


@register("flatten")
@dataclass(frozen=True)
class Flatten(Layer):
    """The same values in memory order: moment by moment, row by row, pixel by pixel, a pixel's channels together.

    PyTorch, whose images are channels first, flattens in another order; weights carried over must be permuted. In
    place, y is x reshaped and nothing is copied (NumPy sees that both are the same memory).
    """

    examples: ClassVar[tuple[Example, ...]] = (example((3, 2, 4)), example((5,)), example((2, 3, 1, 2)))
    keeps: ClassVar[tuple[str, ...]] = ()
    inplace: ClassVar[bool] = True
    affine_map: ClassVar[bool] = True
    flattens: ClassVar[bool] = True
    whole_clips: ClassVar[bool] = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """(height, width, channels) -> (height * width * channels,); a clip's moments are a further factor."""
        return (math.prod(inputs[0]),)

    def flops(self, *inputs: Shape) -> int:  # noqa: ARG002
        """None: it only moves."""
        return 0

    def forward(self, f: Frame) -> None:
        """Write y = x, in another shape."""
        np.copyto(f.y, f.x.reshape(f.y.shape))

    def backward(self, f: Frame) -> None:
        """Write dx = dy, in the other shape."""
        if f.dx is not None:
            np.copyto(f.dx, f.dy.reshape(f.dx.shape))

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """The same values."""
        return t.reshape(xs[0], self.output_shape(xs[0].shape))
