"""Depthwise convolution filters every channel by itself: the cheap half of a separable convolution."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

from cnntrain.config.fields import Pair, PositiveInt
from cnntrain.core.arrays import Shape
from cnntrain.core.registry import register
from cnntrain.ops.convolution import Convolution
from cnntrain.ops.depthwise import Depthwise
from cnntrain.ops.windows import Padding, windows
from cnntrain.parts.layers.base import Example, example, image
from cnntrain.parts.layers.filtering import Filtering


@register("depthwise_conv2d")
@dataclass(frozen=True)
class DepthwiseConv2d(Filtering):
    """conv2d with as many groups as channels, and `multiplier` filters for each (Sifre 2014; Howard et al. 2017).

    y[h, w, c * multiplier + m] = bias + sum over i, j of x[h * stride + i * dilation - top, w * stride + j * dilation
    - left, c] * weight[i, j, 0, c * multiplier + m]. kernel_size, stride, padding and dilation are those of conv2d;
    the derivation of backward is in ops/depthwise.py.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((5, 4, 3), kernel_size=3, padding="same"),
        example((6, 7, 2), kernel_size=(3, 2), stride=2, multiplier=2),
        example((6, 5, 4), kernel_size=2, dilation=2, padding=(1, 0, 2, 1), bias=False),
    )

    kernel_size: Pair  # size of the kernel: one number, or [height, width]
    multiplier: PositiveInt = 1  # filters for each channel of the input
    stride: Pair = 1  # distance between outputs: one number, or [height, width]
    padding: Padding = 0  # zeros around the input: one number, [top, bottom, left, right], `valid` (none) or `same`
    dilation: Pair = 1  # distance between the pixels under the kernel: one number, or [height, width]
    bias: bool = True  # add a trained bias to each channel of the output

    def plan(self, shape: Shape) -> Convolution:
        """The convolution of images of this shape. Raises ValueError where they do not fit the layer."""
        return _plan(self, shape)

    def kernel(self, shape: Shape) -> Convolution | Depthwise:
        """Sums over taps; with several filters for a channel, products of matrices."""
        return _kernel(self, shape)


@functools.lru_cache(maxsize=1024)
def _plan(layer: DepthwiseConv2d, shape: Shape) -> Convolution:
    """The convolution on images of this shape. Raises ValueError where they do not fit the layer."""
    height, across, channels = image(shape, "depthwise_conv2d")
    where = windows(height, across, layer.kernel_size, layer.stride, layer.dilation, layer.padding)
    return Convolution(where, channels, channels * layer.multiplier, channels)


@functools.lru_cache(maxsize=1024)
def _kernel(layer: DepthwiseConv2d, shape: Shape) -> Convolution | Depthwise:
    """The algorithm for images of this shape."""
    plan = _plan(layer, shape)
    return Depthwise(plan.windows, plan.channels) if layer.multiplier == 1 else plan
