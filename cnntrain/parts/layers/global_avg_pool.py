"""Global average pooling turns an image, or a clip, into features: the mean of each channel."""

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
from cnntrain.parts.layers.base import Example, Frame, Layer, example, pixels


@register("global_avg_pool")
@dataclass(frozen=True)
class GlobalAvgPool(Layer):
    """y[c] = mean of x[:, :, c] (Lin et al. 2014), so dx[h, w, c] = dy[c] / (height * width).

    For a clip, the mean is over its moments, too.
    """

    examples: ClassVar[tuple[Example, ...]] = (example((3, 5, 2)), example((1, 1, 4)), example((2, 3, 2, 2)))
    whole_clips: ClassVar[bool] = True
    keeps: ClassVar[tuple[str, ...]] = ()
    affine_map: ClassVar[bool] = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """(height, width, channels), or those of a clip -> (channels,)."""
        return (pixels(inputs[0], "global_avg_pool")[1],)

    def flops(self, *inputs: Shape) -> int:
        """One for each value of the input."""
        return math.prod(inputs[0])

    def forward(self, f: Frame) -> None:
        """Write y = sum of x over pixels, divided by their number."""
        count, channels = pixels(f.x.shape[1:], "global_avg_pool")
        over_pixels(f.x.reshape(-1, count, channels), f.y)
        np.multiply(f.y, 1 / count, out=f.y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy / number of pixels, for every pixel."""
        if f.dx is not None:
            count, channels = pixels(f.x.shape[1:], "global_avg_pool")
            np.multiply(f.dy[:, None, :], 1 / count, out=f.dx.reshape(-1, count, channels))

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """The mean over pixels."""
        return t.reshape(t.reduce("mean", xs[0], range(len(xs[0].shape) - 1)), xs[0].shape[-1:])
