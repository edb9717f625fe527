"""Convolution slides learned filters over an image: each output pixel is a weighted sum of a window of the input."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from cnntrain.config.fields import Classes, Pair, PositiveInt
from cnntrain.core.arrays import Shape
from cnntrain.core.registry import register
from cnntrain.ops.convolution import Convolution
from cnntrain.ops.depthwise import Depthwise
from cnntrain.ops.windows import Padding, windows
from cnntrain.ops.winograd import Winograd
from cnntrain.parts.layers.base import Example, RowBand, example, image, width
from cnntrain.parts.layers.filtering import Filtering

FEW_TILES = 4  # of a band


@register("conv2d")
@dataclass(frozen=True)
class Conv2d(Filtering):
    """Two-dimensional convolution (LeCun et al. 1989), in the sense of every framework: a cross-correlation.

    y[h, w, f] = bias[f] + sum over i, j, c of x[h * stride + i * dilation - top, w * stride + j * dilation - left, c]
    * weight[i, j, c, f], and zero outside the image. With `groups`, filters and channels are cut into that many equal
    parts and each part of the filters sees one part of the channels. The derivation of backward is in
    ops/convolution.py.

    kernel_size, stride and dilation are one number or [height, width]; padding is a number, [top, bottom, left,
    right], "valid" (none), or "same": ceil(size / stride) outputs, the odd pixel at the bottom right (TensorFlow).

    algorithm "direct" multiplies and adds as the formula says, "winograd" (3x3 and 5x5, stride 1) saves three quarters
    or five sixths of the multiplications for a digit of precision (ops/winograd.py); "auto" chooses by shapes alone,
    never by timing.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((5, 6, 2), filters=3, kernel_size=3),
        example((5, 5, 3), filters=4, kernel_size=3, padding="same"),
        example((7, 6, 1), filters=2, kernel_size=5, padding=2, bias=False),
        example((7, 8, 5), filters=2, kernel_size=3, stride=2, padding="same"),
        example((8, 7, 6), filters=3, kernel_size=(3, 2), stride=(2, 1), padding=(1, 0, 2, 1)),
        example((7, 7, 2), filters=2, kernel_size=3, dilation=2, padding="same"),
        example((9, 8, 5), filters=2, kernel_size=(2, 3), stride=2, dilation=(3, 1), padding=1),
        example((5, 4, 6), filters=9, kernel_size=3, padding=1, groups=3),
        example((6, 6, 10), filters=4, kernel_size=3, stride=2, groups=2, bias=False),
        example((5, 5, 4), filters=4, kernel_size=3, padding=1, groups=4),
        example((4, 5, 7), filters=3, kernel_size=1),
        example((5, 5, 4), filters=6, kernel_size=1, stride=2, groups=2),
        example((4, 4, 4), filters=6, kernel_size=1, groups=2),
        example((4, 4, 3), filters=5, kernel_size=4, padding="valid"),
        example((2, 3, 6), filters=2, kernel_size=3, padding=4),
        example((5, 9, 2), filters=3, kernel_size=3, padding=1, algorithm="winograd"),
        example((8, 6, 1), filters=2, kernel_size=3, padding=(0, 2, 1, 0), bias=False, algorithm="winograd"),
        example((3, 3, 2), filters=2, kernel_size=3, algorithm="winograd"),
        example((7, 9, 2), filters=3, kernel_size=5, padding=(0, 4, 2, 1), algorithm="winograd"),
    )

    filters: Classes  # channels of the output; `auto` is the number of classes
    kernel_size: Pair  # size of the kernel: one number, or [height, width]
    stride: Pair = 1  # distance between outputs: one number, or [height, width]
    padding: Padding = 0  # zeros around the input: one number, [top, bottom, left, right], `valid` (none) or `same`
    dilation: Pair = 1  # distance between the pixels under the kernel: one number, or [height, width]
    groups: PositiveInt = 1  # equal parts into which channels and filters are divided, each filter seeing one of them
    bias: bool = True  # add a trained bias to each channel of the output
    algorithm: Literal["auto", "direct", "winograd"] = "auto"  # how it is computed; `auto` chooses by the shapes alone

    def plan(self, shape: Shape) -> Convolution:
        """The convolution of images of this shape. Raises ValueError where they do not fit the layer."""
        return _plan(self, shape)

    def kernel(self, shape: Shape) -> Convolution | Winograd | Depthwise:
        """By `algorithm`, and by the shapes."""
        return _kernel(self, shape)

    def output_shape(self, *inputs: Shape) -> Shape:
        """(height, width, channels) -> (windows along height, windows along width, filters)."""
        plan = self.plan(inputs[0])
        if self.algorithm == "winograd" and not Winograd.possible(plan.windows, plan.groups):
            raise ValueError(
                "algorithm winograd computes kernels of 3x3 and 5x5 with stride 1, dilation 1 and groups 1: leave the "
                "algorithm to 'auto'"
            )
        return super().output_shape(*inputs)

    def band(self, rows: slice, *inputs: Shape) -> RowBand | None:
        """By the algorithm of the whole. None where that is Winograd's and a band would have a few tiles only, which
        would take it most of the time to read the weights.
        """
        found, kernel = super().band(rows, *inputs), self.kernel(inputs[0])
        if isinstance(kernel, Winograd) and kernel.count_tiles(rows) < FEW_TILES:
            return None
        algorithm = "winograd" if isinstance(kernel, Winograd) else "direct"
        return found and found._replace(layer=replace(found.layer, algorithm=algorithm))  # type: ignore[call-arg]

    def algorithm_for(self, *inputs: Shape) -> str:
        """One of "winograd", "depthwise" and "direct"."""
        kernel = self.kernel(inputs[0])
        return "direct" if isinstance(kernel, Convolution) else type(kernel).__name__.lower()


@functools.lru_cache(maxsize=1024)
def _plan(layer: Conv2d, shape: Shape) -> Convolution:
    """The convolution on images of this shape. Raises ValueError where they do not fit the layer."""
    height, width_, channels = image(shape, "conv2d")
    filters, groups = width(layer.filters), layer.groups
    for name, count in (("channels of the input", channels), ("filters", filters)):
        if count % groups:
            small = [g for g in range(1, math.isqrt(count) + 1) if count % g == 0]
            divisors = sorted({*small, *(count // g for g in small)})
            raise ValueError(f"groups {groups} does not divide the {count} {name}: use one of {divisors}")
    where = windows(height, width_, layer.kernel_size, layer.stride, layer.dilation, layer.padding)
    return Convolution(where, channels, filters, groups)


@functools.lru_cache(maxsize=1024)
def _kernel(layer: Conv2d, shape: Shape) -> Convolution | Winograd | Depthwise:
    """The algorithm for images of this shape."""
    plan = _plan(layer, shape)
    if plan.groups == plan.channels == plan.filters > 1:
        return Depthwise(plan.windows, plan.channels)
    if layer.algorithm == "direct" or not Winograd.possible(plan.windows, plan.groups):
        return plan
    if layer.algorithm == "auto" and not Winograd.worthwhile(plan.windows, plan.channels, plan.filters):
        return plan
    return Winograd(plan.windows, plan.channels, plan.filters)
