"""Adaptive average pooling brings images of any size to one: a grid of windows that cover them evenly."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Pair
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.sums import FEW, over_rows
from cnntrain.ops.trace import Trace, Value
from cnntrain.ops.windows import pair
from cnntrain.parts.layers.base import Example, Frame, Layer, Workspace, example, image


@register("adaptive_avg_pool2d")
@dataclass(frozen=True)
class AdaptiveAvgPool2d(Layer):
    """y[i, j] = mean of x over rows floor(i * H / h) to ceil((i + 1) * H / h) - 1, and columns likewise (PyTorch).

    h is output_size, one number or [height, width]; where it does not divide the image, windows differ by a pixel and
    overlap. So dx[r, s] = sum of dy[i, j] / count[i, j] over the windows that hold the pixel. An output larger than
    the image repeats pixels.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((6, 8, 2), output_size=2),
        example((5, 7, 3), output_size=(3, 2)),
        example((2, 3, 1), output_size=(3, 3)),
    )
    keeps: ClassVar[tuple[str, ...]] = ()
    affine_map: ClassVar[bool] = True

    output_size: Pair  # size of the output: one number, or [height, width]

    def output_shape(self, *inputs: Shape) -> Shape:
        """(height, width, channels) -> (*output_size, channels)."""
        return *pair(self.output_size), image(inputs[0], "adaptive_avg_pool2d")[2]

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """One window's share of the gradient."""
        return Workspace(scratch={"share": ((n, 1, 1, inputs[0][2]), dtype)})

    def flops(self, *inputs: Shape) -> int:
        """One for each value a window reads."""
        read: int = sum((r.stop - r.start) * (s.stop - s.start) for _, r, s in self._windows(inputs[0]))
        return read * inputs[0][2]

    def forward(self, f: Frame) -> None:
        """Write y = sum over the window / count."""
        for (i, j), rows, columns in self._windows(f.x.shape[1:]):
            window = f.x[:, rows, columns]
            if math.prod(window.shape[1:3]) <= FEW:
                np.add.reduce(window, axis=(1, 2), out=f.y[:, i, j])
            else:
                for pixels, y in zip(window, f.y[:, i, j], strict=True):
                    y[...] = over_rows(pixels.reshape(-1, len(y)))
            np.multiply(f.y[:, i, j], 1 / math.prod(window.shape[1:3]), out=f.y[:, i, j])

    def backward(self, f: Frame) -> None:
        """dx[window] += dy / count."""
        if f.dx is None:
            return
        f.dx.fill(0)
        for (i, j), rows, columns in self._windows(f.x.shape[1:]):
            window = f.dx[:, rows, columns]
            share = f.scratch["share"]
            np.multiply(f.dy[:, i : i + 1, j : j + 1], 1 / math.prod(window.shape[1:3]), out=share)
            np.add(window, share, out=window)

    def _windows(self, shape: Shape) -> Iterator[tuple[tuple[int, int], slice, slice]]:
        """Every output's place, and the rows and columns it is the mean of."""
        down, across = pair(self.output_size)
        for i in range(down):
            for j in range(across):
                yield (i, j), _stretch(i, shape[0], down), _stretch(j, shape[1], across)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """A x B^T, the matrices of the means of stretches."""
        y = xs[0]
        for axis, count in enumerate(pair(self.output_size)):
            matrix = np.zeros((count, xs[0].shape[axis]), np.float32)
            for i in range(count):
                stretch = _stretch(i, matrix.shape[1], count)
                matrix[i, stretch] = 1 / (stretch.stop - stretch.start)
            y = t.along(y, t.constant(f"axis{axis}", matrix), axis)
        return y


def _stretch(i: int, size: int, count: int) -> slice:
    """The i-th of `count` windows over `size` positions."""
    return slice(i * size // count, -(-(i + 1) * size // count))
