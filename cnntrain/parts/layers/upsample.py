"""Upsampling enlarges an image by a whole factor: each pixel repeated, or linear interpolation between pixels."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import Pair
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.ops.windows import pair
from cnntrain.parts.layers.base import Example, Frame, Layer, RowBand, Workspace, example, image


@register("upsample")
@dataclass(frozen=True)
class Upsample(Layer):
    """y is x, `factor` times as large: one number or [height, width].

    nearest: y[i, j] = x[i // factor, j // factor], so dx sums dy over each pixel's copies. bilinear: pixels are squares
    of which x gives the centers (PyTorch's align_corners=False, OpenCV's), so row i of y lies at (i + 1/2) / factor -
    1/2 of x and is a mean of the two rows around, the border repeated. That is y = A x B^T with one matrix for rows
    and one for columns, so dx = A^T dy B.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 2, 2)),
        example((2, 3, 1), factor=(3, 1)),
        example((3, 4, 2), mode="bilinear"),
        example((1, 3, 2), factor=(2, 3), mode="bilinear"),
    )
    keeps: ClassVar[tuple[str, ...]] = ()
    affine_map: ClassVar[bool] = True

    factor: Pair = 2  # factor by which height and width grow: one number, or [height, width]
    mode: Literal["nearest", "bilinear"] = "nearest"  # repeat each pixel, or interpolate between pixels

    def output_shape(self, *inputs: Shape) -> Shape:
        """(height, width, channels) -> (height * factor, width * factor, channels)."""
        height, width, channels = image(inputs[0], "upsample")
        down, across = pair(self.factor)
        return height * down, width * across, channels

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """bilinear: the image enlarged in height only."""
        height, width, channels = inputs[0]
        half = (n, height * pair(self.factor)[0], width, channels)
        return Workspace(scratch={"half": (half, dtype)} if self.mode == "bilinear" else {})

    def flops(self, *inputs: Shape) -> int:
        """None for nearest, which only moves; bilinear: three for each value and direction."""
        return 6 * math.prod(self.output_shape(*inputs)) if self.mode == "bilinear" else 0

    def band(self, rows: slice, *inputs: Shape) -> RowBand | None:  # noqa: ARG002
        """The copies of whole rows."""
        down = pair(self.factor)[0]
        if self.mode != "nearest" or rows.start % down or rows.stop % down:
            return None
        return RowBand(self, (slice(rows.start // down, rows.stop // down),))

    def forward(self, f: Frame) -> None:
        """Write y = x repeated, or y = A x B^T."""
        n, height, width, channels = f.x.shape
        down, across = pair(self.factor)
        if self.mode == "nearest":
            np.copyto(f.y.reshape(n, height, down, width, across, channels), f.x[:, :, None, :, None])
            return
        half = f.scratch["half"]
        flat = half.reshape(n, height * down, -1)
        np.matmul(_weights(height, down, f.x.dtype), f.x.reshape(n, height, -1), out=flat)
        lines = half.reshape(-1, width, channels)
        np.matmul(_weights(width, across, f.x.dtype), lines, out=f.y.reshape(-1, width * across, channels))

    def backward(self, f: Frame) -> None:
        """Write dx = sum of dy over copies, or dx = A^T dy B."""
        if f.dx is None:
            return
        n, height, width, channels = f.x.shape
        down, across = pair(self.factor)
        if self.mode == "nearest":
            np.add.reduce(f.dy.reshape(n, height, down, width, across, channels), axis=(2, 4), out=f.dx)
            return
        half = f.scratch["half"]
        lines = half.reshape(-1, width, channels)
        np.matmul(_weights(width, across, f.dy.dtype).T, f.dy.reshape(-1, width * across, channels), out=lines)
        flat = half.reshape(n, height * down, -1)
        np.matmul(_weights(height, down, f.dy.dtype).T, flat, out=f.dx.reshape(n, height, -1))

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """A x B^T, the matrices of repetition or of linear interpolation."""
        y = xs[0]
        for axis, factor in enumerate(pair(self.factor)):
            size = xs[0].shape[axis]
            repeated = np.repeat(np.eye(size, dtype=np.float32), factor, axis=0)
            matrix = repeated if self.mode == "nearest" else _weights(size, factor, np.dtype(np.float32))
            y = t.along(y, t.constant(f"axis{axis}", matrix), axis)
        return y


@functools.lru_cache(maxsize=256)
def _weights(size: int, factor: int, dtype: np.dtype[Any]) -> Array:
    """The matrix (size * factor, size) of linear interpolation along one axis; shared, not to be written."""
    place = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    distance = np.abs(place[:, None] - np.arange(size))
    matrix: Array = np.maximum(1 - distance, 0).astype(dtype)
    matrix.flags.writeable = False
    return matrix
