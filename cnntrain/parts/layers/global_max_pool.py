"""Global max pooling turns an image, or a clip, into features: the maximum of each channel."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops import pooling
from cnntrain.ops.trace import Trace, Value
from cnntrain.ops.windows import Windows, windows
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
        """kept: the number of the pixel each output was taken from."""
        where, channels = _window(inputs[0]), inputs[0][-1]
        tap = pooling.tap_type(where)
        chunk = (pooling.images_per_chunk(where, channels, n), 1, 1, channels)
        return Workspace(
            kept={"winner": ((n, 1, 1, channels), tap)},
            scratch={"mask": (chunk, np.bool_), "number": (chunk, tap), "share": (chunk, dtype)},
        )

    def flops(self, *inputs: Shape) -> int:
        """One for each value of the input."""
        return math.prod(inputs[0])

    def forward(self, f: Frame) -> None:
        """Write y = max over pixels; in training also which pixel."""
        winner = f.kept["winner"] if f.training else None
        y = f.y[:, None, None, :]
        where, x = _window(f.x.shape[1:]), _column(f.x)
        pooling.max_forward(where, x, y, winner, f.scratch["mask"], f.scratch["number"])

    def backward(self, f: Frame) -> None:
        """dx[taken] = dy."""
        if f.dx is not None:
            dy, where = f.dy[:, None, None, :], _window(f.x.shape[1:])
            pooling.max_backward(where, dy, f.kept["winner"], _column(f.dx), f.scratch["mask"], f.scratch["share"])

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """The largest over pixels."""
        return t.reshape(t.reduce("amax", xs[0], range(len(xs[0].shape) - 1)), xs[0].shape[-1:])


@functools.lru_cache(maxsize=1024)
def _window(shape: Shape) -> Windows:
    """The one window that is the whole image, whose pixels are taken as one column."""
    count, _ = pixels(shape, "global_max_pool")
    return windows(count, 1, (count, 1), 1)


def _column(images: Array) -> Array:
    """Images or clips (n, ..., channels) as (n, pixels, 1, channels)."""
    return images.reshape(len(images), -1, 1, images.shape[-1])
