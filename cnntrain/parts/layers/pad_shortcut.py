"""A padding shortcut fits a residual block's input to its output without parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.config.fields import Pair, PositiveInt
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.ops.windows import pair
from cnntrain.parts.layers.base import Example, Frame, Layer, example, image


@register("pad_shortcut")
@dataclass(frozen=True)
class PadShortcut(Layer):
    """Every stride-th pixel, with channels of zeros behind its own up to `filters` (option A of He et al. 2015).

    y[h, w, c] = x[h * stride, w * stride, c] for the channels of x, else 0; so dx is dy at those pixels and 0 at
    the others.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((5, 4, 2), filters=5, stride=2),
        example((3, 3, 2), filters=3),
        example((6, 7, 2), filters=2, stride=(2, 3)),
    )
    keeps: ClassVar[tuple[str, ...]] = ()
    affine_map: ClassVar[bool] = True

    filters: PositiveInt  # channels of the output; those that are new hold zeros
    stride: Pair = 1  # distance between the pixels kept: one number, or [height, width]

    def output_shape(self, *inputs: Shape) -> Shape:
        """(height, width, channels) -> (ceil(height / stride), ceil(width / stride), filters)."""
        height, width, channels = image(inputs[0], "pad_shortcut")
        if channels > self.filters:
            raise ValueError(f"pad_shortcut adds channels: filters must be at least {channels}, got {self.filters}")
        down, across = pair(self.stride)
        return -(-height // down), -(-width // across), self.filters

    def flops(self, *inputs: Shape) -> int:  # noqa: ARG002
        """None: it only moves."""
        return 0

    def forward(self, f: Frame) -> None:
        """Copy the pixels, zero the new channels."""
        down, across = pair(self.stride)
        channels = f.x.shape[3]
        np.copyto(f.y[..., :channels], f.x[:, ::down, ::across])
        f.y[..., channels:] = 0

    def backward(self, f: Frame) -> None:
        """Copy the gradient of the pixels that were taken."""
        if f.dx is not None:
            down, across = pair(self.stride)
            f.dx.fill(0)
            np.copyto(f.dx[:, ::down, ::across], f.dy[..., : f.x.shape[3]])

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """Every stride-th pixel, and zeros behind its channels."""
        (height, across, channels), (down, right) = xs[0].shape, pair(self.stride)
        shape = self.output_shape(xs[0].shape)
        parts = ((0, height, down), (0, across, right), (0, channels, 1))
        pixels = t.op("slice", xs[0], shape=(*shape[:2], channels), parts=parts)
        return t.op("pad", pixels, shape=shape, sides=((0, 0), (0, 0), (0, shape[2] - channels)))
