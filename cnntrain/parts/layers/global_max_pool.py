"""Global max pooling turns an image, or a clip, into features: the maximum of each channel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, Workspace, example, pixels


@register("global_max_pool")
@dataclass(frozen=True)
class GlobalMaxPool(Layer):
    """y[c] = maximum of x[:, :, c], NaN staying NaN (Oquab et al. 2015).

    So dx is dy at the pixel that was taken, the first of equals, row by row (PyTorch's adaptive_max_pool2d), else 0.
    For a clip, it is the maximum over its moments, too.
    """

    examples: ClassVar[tuple[Example, ...]] = (example((3, 5, 2)), example((1, 1, 4)), example((2, 3, 2, 2)))
    whole_clips: ClassVar[bool] = True
    keeps: ClassVar[tuple[str, ...]] = ()

    def output_shape(self, *inputs: Shape) -> Shape:
        """(height, width, channels), or those of a clip -> (channels,)."""
        return (pixels(inputs[0], "global_max_pool")[1],)

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """kept: the number of the pixel each output was taken from; scratch: an image channel by channel."""
        count, channels = pixels(inputs[0], "global_max_pool")
        return Workspace(
            kept={"winner": ((n, channels), np.intp)},
            scratch={"by_channel": ((channels, count), dtype), "place": ((channels,), np.intp)},
        )

    def flops(self, *inputs: Shape) -> int:
        """One for each value of the input."""
        return math.prod(inputs[0])

    def forward(self, f: Frame) -> None:
        """Write y = max over pixels; in training also which pixel."""
        channels = f.x.shape[-1]
        images = f.x.reshape(len(f.x), -1, channels)
        if not f.training:
            np.maximum.reduce(images, axis=1, out=f.y)
            return
        by_channel = f.scratch["by_channel"]
        starts = np.arange(channels) * by_channel.shape[1]
        for image, winner, y in zip(images, f.kept["winner"], f.y, strict=True):
            np.copyto(by_channel, image.T)  # NumPy finds the place of a maximum fast only along the last axis
            np.argmax(by_channel, axis=1, out=winner)
            np.take(by_channel, np.add(starts, winner, out=f.scratch["place"]), out=y)

    def backward(self, f: Frame) -> None:
        """dx[taken] = dy."""
        if f.dx is not None:
            f.dx.fill(0)
            channels = np.arange(f.dy.shape[1])
            for dx, winner, dy in zip(f.dx.reshape(len(f.dx), -1, len(channels)), f.kept["winner"], f.dy, strict=True):
                dx[winner, channels] = dy

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """The largest over pixels."""
        return t.reshape(t.reduce("amax", xs[0], range(len(xs[0].shape) - 1)), xs[0].shape[-1:])
