"""Depthwise convolution filters every channel by itself: the cheap half of a separable convolution."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Pair, PositiveInt
from cnntrain.core.arrays import Array, Param, Shape
from cnntrain.core.registry import register
from cnntrain.ops.calls import Calls, PassName
from cnntrain.ops.convolution import Convolution
from cnntrain.ops.depthwise import Depthwise
from cnntrain.ops.trace import Trace, Value
from cnntrain.ops.windows import Padding, pair, windows
from cnntrain.parts.layers.base import Example, Frame, Prepared, Workspace, example, image


@register("depthwise_conv2d")
@dataclass(frozen=True)
class DepthwiseConv2d(Prepared):
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
    affine_map: ClassVar[bool] = True
    absorbs_scale: ClassVar[bool] = True

    kernel_size: Pair  # size of the kernel: one number, or [height, width]
    multiplier: PositiveInt = 1  # filters for each channel of the input
    stride: Pair = 1  # distance between outputs: one number, or [height, width]
    padding: Padding = 0  # zeros around the input: one number, [top, bottom, left, right], `valid` (none) or `same`
    dilation: Pair = 1  # distance between the pixels under the kernel: one number, or [height, width]
    bias: bool = True  # add a trained bias to each channel of the output

    def output_shape(self, *inputs: Shape) -> Shape:
        """(height, width, channels) -> (windows along height, windows along width, channels * multiplier)."""
        plan = _plan(self, inputs[0])
        return plan.windows.rows.out, plan.windows.columns.out, plan.filters

    def params(self, *inputs: Shape) -> dict[str, Param]:
        """Declare weight (kh, kw, 1, channels * multiplier) and, unless switched off, bias (channels * multiplier,)."""
        plan = _plan(self, inputs[0])
        fan_in, fan_out = plan.windows.taps, plan.windows.taps * plan.filters  # as PyTorch counts
        declared = {"weight": Param((*pair(self.kernel_size), 1, plan.filters), "weight", fan_in, fan_out)}
        if self.bias:
            declared["bias"] = Param((plan.filters,), "bias", fan_in, fan_out)
        return declared

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """Nothing kept: backward makes the columns again. What the kernel makes of the weights is held."""
        return Workspace.of_kernel(_kernel(self, inputs[0]).scratch(n, dtype))

    def flops(self, *inputs: Shape) -> int:
        """Two for each weight a window is multiplied with, one for each bias added."""
        plan = _plan(self, inputs[0])
        return plan.windows.rows.out * plan.windows.columns.out * plan.filters * (2 * plan.windows.taps + self.bias)

    def fill_calls(self, f: Frame, do: PassName) -> list[Calls]:
        """What the kernel makes of the weights."""
        return _kernel(self, f.x.shape[1:]).fill(do, f.p["weight"], {**f.scratch, **f.held})

    def forward_calls(self, f: Frame) -> Calls:
        """Write y = x * weight."""
        return _kernel(self, f.x.shape[1:]).forward(f.x, f.p["weight"], f.y, {**f.scratch, **f.held})

    def backward_calls(self, f: Frame) -> Calls:
        """The adjoints of forward in weight, bias and x: see ops/depthwise.py."""
        kernel, buffers, dp = _kernel(self, f.x.shape[1:]), {**f.scratch, **f.held}, f.dp or {}
        return kernel.backward(f.x, f.p["weight"], f.dy, dp.get("weight"), dp.get("bias"), f.dx, buffers)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:
        """The windows' products with weight, and bias."""
        plan = _plan(self, xs[0].shape)
        axes = (plan.windows.rows, plan.windows.columns)
        return t.convolution(xs[0], p, axes, plan.groups, self.output_shape(xs[0].shape))


@functools.lru_cache(maxsize=1024)
def _plan(layer: DepthwiseConv2d, shape: Shape) -> Convolution:
    """The convolution on images of this shape. Raises ValueError where they do not fit the layer."""
    height, across, channels = image(shape, "depthwise_conv2d")
    where = windows(height, across, layer.kernel_size, layer.stride, layer.dilation, layer.padding)
    return Convolution(where, channels, channels * layer.multiplier, channels)


@functools.lru_cache(maxsize=1024)
def _kernel(layer: DepthwiseConv2d, shape: Shape) -> Convolution | Depthwise:
    """Sums over taps; with several filters for a channel, products of matrices."""
    plan = _plan(layer, shape)
    return Depthwise(plan.windows, plan.channels) if layer.multiplier == 1 else plan
