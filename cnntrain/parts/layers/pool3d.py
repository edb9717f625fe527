"""Pooling of clips sums up each window of moments, rows and columns in one value: its maximum or its mean."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from cnntrain.config.fields import NonNegativeInt, Triple
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import make, register
from cnntrain.ops.trace import Trace, Value
from cnntrain.ops.windows import triple
from cnntrain.parts.layers.base import Example, Frame, Layer, Workspace, clip, example

Margin3d = NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]
_STAGES = ("space", "time")


@dataclass(frozen=True)
class Pool3d(Layer):
    """The windows the pooling layers of clips share.

    A maximum, and a mean, over a window are those over time of those over each moment's part: two poolings of images,
    the second of images whose rows are moments and whose columns are pixels.
    """

    keeps: ClassVar[tuple[str, ...]] = ()
    whole_clips: ClassVar[bool] = True
    flat: ClassVar[str]  # the pooling of images

    kernel_size: Triple  # size of the window: one number, or [time, height, width]
    # distance between windows: one number, or [time, height, width]; by default the size of the window
    stride: Triple | None = None
    padding: Margin3d = 0  # border on both sides: one number, or [time, height, width]; at most half the kernel
    ceil_mode: bool = False  # round the number of windows up, so that the last may stick out

    def output_shape(self, *inputs: Shape) -> Shape:
        """(t, height, width, channels) -> (windows along t, along height, along width, channels)."""
        (space, frame), (time, column) = _stages(self, inputs[0])
        height, across, channels = space.output_shape(frame)
        return time.output_shape(column)[0], height, across, channels

    def flops(self, *inputs: Shape) -> int:
        """One for each value that one of the two poolings reads."""
        (space, frame), (time, column) = _stages(self, inputs[0])
        return inputs[0][0] * space.flops(frame) + time.flops(column)

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """What the two poolings need, and what lies between them, with its gradient."""
        (space, frame), (time, column) = _stages(self, inputs[0])
        images = n * inputs[0][0]
        between = ((images, *space.output_shape(frame)), dtype)
        spaces = space.workspace(frame, n=images, dtype=dtype), time.workspace(column, n=n, dtype=dtype)
        named = list(zip(_STAGES, spaces, strict=True))
        return Workspace(
            kept={f"{stage}_{key}": buffer for stage, own in named for key, buffer in own.kept.items()},
            scratch={f"{stage}_{key}": buffer for stage, own in named for key, buffer in own.scratch.items()}
            | {"between": between, "d_between": between},
        )

    def forward(self, f: Frame) -> None:
        """Pool every moment, then over time."""
        space, time = f.once("forward", self._frames)
        first, second = (stage for stage, _ in _stages(self, f.x.shape[1:]))
        first.forward(space)
        second.forward(time)

    def backward(self, f: Frame) -> None:
        """Back over time, then in every moment."""
        if f.dx is None:
            return
        space, time = f.once("backward", self._frames)
        first, second = (stage for stage, _ in _stages(self, f.x.shape[1:]))
        second.backward(time)
        first.backward(space)

    def _frames(self, f: Frame) -> tuple[Frame, Frame]:
        """The frames of the two poolings, on the memory of this one."""
        n, moments, _, _, channels = f.x.shape
        between, d_between = f.scratch["between"], f.scratch["d_between"]
        x, dx = (a if a is None else a.reshape(n * moments, *a.shape[2:]) for a in (f.x, f.dx))
        y, dy = (a if a is None else a.reshape(n, a.shape[1], -1, channels) for a in (f.y, f.dy))
        column, d_column = (a.reshape(n, moments, -1, channels) for a in (between, d_between))
        kept, scratch = (
            [{k.removeprefix(f"{s}_"): a for k, a in held.items() if k.startswith(f"{s}_")} for s in _STAGES]
            for held in (f.kept, f.scratch)
        )
        assert x is not None
        assert y is not None
        return (
            Frame((x,), between, {}, kept[0], scratch[0], f.training, f.rng, d_between, (dx,)),
            Frame((column,), y, {}, kept[1], scratch[1], f.training, f.rng, dy, (d_column,)),
        )

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:
        """Every moment pooled, then over time."""
        (space, frame), (time, column) = _stages(self, xs[0].shape)
        moments = t.moments(xs[0])
        assert moments.shape == frame
        between = t.clip(space.trace(t, p, moments), xs[0].shape[0])
        return t.reshape(time.trace(t, p, t.reshape(between, column)), self.output_shape(xs[0].shape))


@functools.lru_cache(maxsize=1024)
def _stages(layer: Pool3d, shape: Shape) -> tuple[tuple[Layer, Shape], tuple[Layer, Shape]]:
    """The pooling of every moment and that over time, each with the shape of its images."""
    moments, *image, channels = clip(shape, layer.name_in_config)
    kernel = triple(layer.kernel_size)
    stride = kernel if layer.stride is None else triple(layer.stride)
    margin = triple(layer.padding) if layer.padding else (0, 0, 0)
    further = {"ceil_mode": layer.ceil_mode}
    if hasattr(layer, "count_include_pad"):
        further["count_include_pad"] = layer.count_include_pad

    def pool(kernel: tuple[int, int], stride: tuple[int, int], margin: tuple[int, int]) -> Layer:
        padding = (margin[0], margin[0], margin[1], margin[1])
        return cast(Layer, make("layers", layer.flat, kernel_size=kernel, stride=stride, padding=padding, **further))

    space = pool(kernel[1:], stride[1:], margin[1:])
    time = pool((kernel[0], 1), (stride[0], 1), (margin[0], 0))
    height, across, _ = space.output_shape((*image, channels))
    return (space, (*image, channels)), (time, (moments, height * across, channels))


@register("max_pool3d")
@dataclass(frozen=True)
class MaxPool3d(Pool3d):
    """y = maximum of the window of moments, rows and columns, the padding never taking part; NaN stays NaN.

    So dx is dy at the value that was taken, the first of equals, moment by moment, row by row (PyTorch), summed over
    windows.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((2, 4, 4, 2), kernel_size=2),
        example((5, 4, 3, 2), kernel_size=(3, 2, 3), stride=(2, 1, 2), padding=(1, 0, 1)),
        example((3, 4, 5, 1), kernel_size=(1, 2, 2), ceil_mode=True),
    )
    flat: ClassVar[str] = "max_pool2d"


@register("avg_pool3d")
@dataclass(frozen=True)
class AvgPool3d(Pool3d):
    """y = mean of the window of moments, rows and columns, so dx = dy / count, summed over windows.

    With `count_include_pad` the zeros of the padding count, without they do not; what sticks out beyond the padding in
    ceil_mode never does (PyTorch).
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((2, 4, 4, 2), kernel_size=2),
        example((5, 4, 3, 2), kernel_size=(3, 2, 3), stride=(2, 1, 2), padding=(1, 0, 1), count_include_pad=False),
        example((3, 4, 5, 1), kernel_size=(2, 2, 2), padding=1, ceil_mode=True),
    )
    affine_map: ClassVar[bool] = True
    flat: ClassVar[str] = "avg_pool2d"

    count_include_pad: bool = True  # count the zeros of the padding in the mean
