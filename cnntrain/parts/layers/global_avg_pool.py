"""Global average pooling turns an image into features: the mean of each channel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.sums import over_pixels
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, example, image


@register("global_avg_pool")
@dataclass(frozen=True)
class GlobalAvgPool(Layer):
    """y[c] = mean of x[:, :, c] (Lin et al. 2014), so dx[h, w, c] = dy[c] / (height * width)."""

    examples: ClassVar[tuple[Example, ...]] = (example((3, 5, 2)), example((1, 1, 4)))
    keeps: ClassVar[tuple[str, ...]] = ()
    affine_map: ClassVar[bool] = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """(height, width, channels) -> (channels,)."""
        return (image(inputs[0], "global_avg_pool")[2],)

    def flops(self, *inputs: Shape) -> int:
        """One for each value of the input."""
        return math.prod(inputs[0])

    def forward(self, f: Frame) -> None:
        """Write y = sum of x over pixels, divided by their number."""
        n, height, width, channels = f.x.shape
        over_pixels(f.x.reshape(n, height * width, channels), f.y)
        np.multiply(f.y, 1 / (height * width), out=f.y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy / number of pixels, for every pixel."""
        if f.dx is not None:
            _, height, width, _ = f.x.shape
            np.multiply(f.dy[:, None, None, :], 1 / (height * width), out=f.dx)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """The mean over pixels."""
        return t.reshape(t.reduce("mean", xs[0], (0, 1)), xs[0].shape[2:])
