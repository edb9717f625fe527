"""A pooling layer sums up each window of an image in one value: its maximum or its mean."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegativeInt, Pair
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops import pooling
from cnntrain.ops.calls import Calls
from cnntrain.ops.trace import Trace, Value
from cnntrain.ops.windows import Windows, windows
from cnntrain.parts.layers.base import Example, Frame, Prepared, RowBand, Workspace, example, image

Margin = NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt, NonNegativeInt]


@dataclass(frozen=True)
class Pool2d(Prepared):
    """The windows the pooling layers share.

    kernel_size and stride are one number or [height, width], the stride by default the kernel's size; padding is a
    number or [top, bottom, left, right], at most half the kernel. With `ceil_mode` the number of windows is rounded
    up, and the last may stick out.
    """

    keeps: ClassVar[tuple[str, ...]] = ()

    kernel_size: Pair  # size of the window: one number, or [height, width]
    # distance between windows: one number, or [height, width]; by default the size of the window
    stride: Pair | None = None
    padding: Margin = 0  # border around the input: one number, or [top, bottom, left, right]
    ceil_mode: bool = False  # round the number of windows up, so that the last may stick out

    def output_shape(self, *inputs: Shape) -> Shape:
        """(height, width, channels) -> (windows along height, windows along width, channels)."""
        where = _windows(self, inputs[0])
        return where.rows.out, where.columns.out, inputs[0][2]

    def flops(self, *inputs: Shape) -> int:
        """One for each value a window reads."""
        return super().flops(*inputs) * _windows(self, inputs[0]).taps

    def band(self, rows: slice, *inputs: Shape) -> RowBand | None:
        """The same windows on the rows that these read, unless some may stick out."""
        where = _windows(self, inputs[0])
        reads, ends = where.rows.reads(rows)
        if self.ceil_mode or reads.start >= reads.stop:
            return None
        return RowBand(replace(self, padding=(*ends, where.columns.before, where.columns.after)), (reads,))

    def _chunk(self, shape: Shape, n: int) -> Shape:
        """Shape of a chunk of outputs."""
        images = pooling.images_per_chunk(_windows(self, shape), shape[2], n)
        return (images, *self.output_shape(shape))

    def _pooled(self, t: Trace, kind: str, x: Value) -> Value:
        """The windows' maximum or sum; those that stick out, in ceil_mode, get as much padding as they need."""
        where = _windows(self, x.shape)
        axes = (where.rows, where.columns)
        ends = [max((axis.out - 1) * axis.stride + axis.extent - axis.before - axis.size, 0) for axis in axes]
        return t.op(
            kind,
            x,
            shape=self.output_shape(x.shape),
            kernel=tuple(axis.kernel for axis in axes),
            stride=tuple(axis.stride for axis in axes),
            padding=tuple((axis.before, end) for axis, end in zip(axes, ends, strict=True)),
        )


@functools.lru_cache(maxsize=1024)
def _windows(layer: Pool2d, shape: Shape) -> Windows:
    """The windows on images of this shape. Raises ValueError where they do not fit."""
    height, width, _ = image(shape, layer.name_in_config)
    stride = layer.kernel_size if layer.stride is None else layer.stride
    where = windows(height, width, layer.kernel_size, stride, 1, layer.padding, layer.ceil_mode)
    for axis in (where.rows, where.columns):
        if max(axis.before, axis.after) > axis.kernel // 2:
            raise ValueError(
                f"padding {max(axis.before, axis.after)} is more than half the kernel's {axis.kernel}: "
                "a window could lie in the padding alone"
            )
    return where


@register("max_pool2d")
@dataclass(frozen=True)
class MaxPool2d(Pool2d):
    """y = maximum of the window, the padding never taking part; NaN stays NaN.

    So dx is dy at the pixel that was taken, the first of equals, row by row (PyTorch), summed over windows.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((4, 6, 2), kernel_size=2),
        example((7, 6, 3), kernel_size=3, stride=2),
        example((5, 6, 2), kernel_size=3, stride=2, padding=1),
        example((6, 7, 2), kernel_size=(2, 3), stride=(3, 2), padding=(1, 0, 0, 1), ceil_mode=True),
        example((7, 5, 1), kernel_size=2, ceil_mode=True),
        example((4, 4, 2), kernel_size=2, stride=3),
        example((2, 3, 2), kernel_size=4, ceil_mode=True),
    )

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """kept: the number of the tap each output was taken from."""
        tap, chunk = pooling.tap_type(_windows(self, inputs[0])), self._chunk(inputs[0], n)
        return Workspace(
            kept={"winner": ((n, *self.output_shape(*inputs)), tap)},
            scratch={"mask": (chunk, np.bool_), "number": (chunk, tap), "share": (chunk, dtype)},
        )

    def forward_calls(self, f: Frame) -> Calls:
        """Write y = max over taps; in training also which tap."""
        winner, s = f.kept["winner"] if f.training else None, f.scratch
        where = _windows(self, f.x.shape[1:])
        return pooling.max_forward(where, f.x, f.y, winner, s["mask"], s["number"], s["share"])

    def backward_calls(self, f: Frame) -> Calls:
        """dx[taken] += dy."""
        if f.dx is None:
            return []
        where = _windows(self, f.x.shape[1:])
        return pooling.max_backward(where, f.dy, f.kept["winner"], f.dx, f.scratch["mask"], f.scratch["share"])

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """The largest of each window."""
        return self._pooled(t, "max_pool", xs[0])


@register("avg_pool2d")
@dataclass(frozen=True)
class AvgPool2d(Pool2d):
    """y = mean of the window, so dx = dy / count at each of its pixels, summed over windows.

    With `count_include_pad` the zeros of the padding count, without they do not; what sticks out beyond the padding
    in ceil_mode never does (PyTorch).
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((4, 6, 2), kernel_size=2),
        example((7, 6, 3), kernel_size=3, stride=2),
        example((5, 6, 2), kernel_size=3, stride=2, padding=1),
        example((5, 6, 2), kernel_size=3, stride=2, padding=1, count_include_pad=False),
        example((6, 8, 2), kernel_size=(2, 3), stride=(3, 2), padding=(1, 0, 0, 1), ceil_mode=True),
        example((6, 8, 2), kernel_size=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
        example((4, 4, 2), kernel_size=2, stride=3),
        example((2, 3, 2), kernel_size=4, ceil_mode=True),
    )
    affine_map: ClassVar[bool] = True

    count_include_pad: bool = True  # count the zeros of the padding in the mean

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """What one tap of each window reads, and each window's share of the gradient."""
        return Workspace(scratch={"share": (self._chunk(inputs[0], n), dtype)})

    def forward_calls(self, f: Frame) -> Calls:
        """Write y = sum over taps / count."""
        where = _windows(self, f.x.shape[1:])
        return pooling.mean_forward(where, f.x, f.y, self.count_include_pad, f.scratch["share"])

    def backward_calls(self, f: Frame) -> Calls:
        """dx[read] += dy / count."""
        if f.dx is None:
            return []
        where = _windows(self, f.x.shape[1:])
        return pooling.mean_backward(where, f.dy, f.dx, self.count_include_pad, f.scratch["share"])

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """The sum of each window, divided by its count."""
        where = _windows(self, xs[0].shape)
        weights = pooling.shares(where, self.count_include_pad, np.dtype(np.float32))
        return t.op("mul", self._pooled(t, "sum_pool", xs[0]), t.constant("shares", weights))
