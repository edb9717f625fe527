"""Transposed convolution runs a convolution backward: every pixel spreads a learned patch over a larger image."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Classes, NonNegativeInt, Pair, PositiveInt
from cnntrain.core.arrays import Array, Param, Shape
from cnntrain.core.registry import register
from cnntrain.ops.calls import Calls, PassName
from cnntrain.ops.convolution import Convolution, sum_over_windows
from cnntrain.ops.trace import Trace, Value
from cnntrain.ops.windows import pair, windows
from cnntrain.parts.layers.base import Buffers, Example, Frame, Prepared, Workspace, example, image, width

Cut = NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt, NonNegativeInt]
Extra = NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt]


@register("conv_transpose2d")
@dataclass(frozen=True)
class ConvTranspose2d(Prepared):
    """The adjoint of a conv2d C with the same settings, plus a bias (Zeiler et al. 2010): y = C^T x + bias.

    C takes images of y's shape to x's, so y[h * stride + i * dilation - top, w * stride + j * dilation - left, f] is
    the sum of x[h, w, c] * weight[i, j, f, c] over all that land there. Backward needs nothing new: dx = C dy, dweight
    is C's for the input dy and the gradient x, dbias = sum of dy.

    Per axis the output has (size - 1) * stride - padding + dilation * (kernel - 1) + 1 + output_padding positions: C
    takes up to `stride` sizes to the same one; output_padding, less than the stride, chooses among them. padding is a
    number or [top, bottom, left, right], and cuts y. With `groups`, as conv2d's.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 4, 2), filters=3, kernel_size=3),
        example((3, 3, 2), filters=3, kernel_size=3, stride=2, padding=1, output_padding=1),
        example((2, 3, 4), filters=6, kernel_size=(2, 3), stride=(3, 2), output_padding=(2, 0), groups=2, bias=False),
        example((4, 3, 3), filters=2, kernel_size=2, dilation=2, padding=(1, 0, 0, 1)),
        example((2, 2, 3), filters=4, kernel_size=2, stride=2),
        example((3, 3, 2), filters=2, kernel_size=1),
    )
    affine_map: ClassVar[bool] = True

    filters: Classes  # channels of the output; `auto` is the number of classes
    kernel_size: Pair  # size of the kernel: one number, or [height, width]
    stride: Pair = 1  # factor by which the output is larger than the input: one number, or [height, width]
    padding: Cut = 0  # pixels cut off the border of the output: one number, or [top, bottom, left, right]
    output_padding: Extra = 0  # rows and columns by which the output is larger still: one number, or [height, width]
    dilation: Pair = 1  # distance between the pixels under the kernel: one number, or [height, width]
    groups: PositiveInt = 1  # equal parts into which channels and filters are divided, each filter seeing one of them
    bias: bool = True  # add a trained bias to each channel of the output

    def __post_init__(self) -> None:
        super().__post_init__()
        for extra, step in zip(pair(self.output_padding), pair(self.stride), strict=True):
            if extra >= step:
                raise ValueError(f"output_padding must be less than the stride of {step}, got {extra}")

    def output_shape(self, *inputs: Shape) -> Shape:
        """(height, width, channels) -> (*sizes of the formula, filters)."""
        plan = _plan(self, inputs[0])
        return plan.windows.rows.size, plan.windows.columns.size, plan.channels

    def params(self, *inputs: Shape) -> dict[str, Param]:
        """Declare weight (kh, kw, filters / groups, channels) and, unless switched off, bias (filters,)."""
        plan = _plan(self, inputs[0])
        per_group = plan.channels // plan.groups
        fan_in, fan_out = plan.windows.taps * per_group, plan.windows.taps * plan.filters  # as PyTorch counts
        shape = (*pair(self.kernel_size), per_group, plan.filters)
        declared = {"weight": Param(shape, "weight", fan_in, fan_out, groups_read=plan.groups)}
        if self.bias:
            declared["bias"] = Param((plan.channels,), "bias", fan_in, fan_out)
        return declared

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """Nothing kept: backward makes the columns again. What C^T makes of the weights is held."""
        plan = _plan(self, inputs[0])
        buffers = plan.scratch(n, dtype)
        held: Buffers = {"forward": buffers.pop("backward")} if "backward" in buffers else {}
        return Workspace(scratch=buffers, held=held)

    def flops(self, *inputs: Shape) -> int:
        """Two for each weight a pixel of x is multiplied with, one for each bias added."""
        plan = _plan(self, inputs[0])
        spots = plan.windows.rows.out * plan.windows.columns.out
        biased = self.bias * plan.windows.rows.size * plan.windows.columns.size * plan.channels
        return spots * plan.filters * 2 * plan.columns.depth + biased

    def fill_calls(self, f: Frame, do: PassName) -> list[Calls]:
        """What C^T makes of the weights."""
        if do not in f.held:
            return []
        return _plan(self, f.x.shape[1:]).fill("backward", f.p["weight"], {"backward": f.held["forward"]})

    def forward_calls(self, f: Frame) -> Calls:
        """Write y = C^T x."""
        plan, buffers = _plan(self, f.x.shape[1:]), dict(f.scratch)
        if "forward" in f.held:
            buffers["backward"] = f.held["forward"]
        return plan.backward(f.y, f.p["weight"], f.x, None, None, f.y, buffers)  # reads no image

    def backward_calls(self, f: Frame) -> Calls:
        """Write dx = C dy, dweight and dbias."""
        plan, calls = _plan(self, f.x.shape[1:]), []
        if f.dp is not None:
            calls = plan.backward(f.dy, f.p["weight"], f.x, f.dp["weight"], None, None, f.scratch)
            if self.bias:
                calls += sum_over_windows(f.dy, f.dp["bias"])
        if f.dx is not None:
            calls += plan.forward(f.dy, f.p["weight"], f.dx, f.scratch)
        return calls

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:
        """C^T x + bias."""
        plan = _plan(self, xs[0].shape)
        rows, columns = plan.windows.rows, plan.windows.columns
        return t.op(
            "conv_transpose",
            xs[0],
            t.constant("weight", p["weight"]),
            t.constant("bias", p["bias"]) if "bias" in p else None,
            shape=self.output_shape(xs[0].shape),
            stride=(rows.stride, columns.stride),
            padding=((rows.before, rows.after), (columns.before, columns.after)),
            dilation=(rows.dilation, columns.dilation),
            groups=plan.groups,
        )


@functools.lru_cache(maxsize=1024)
def _plan(layer: ConvTranspose2d, shape: Shape) -> Convolution:
    """C for inputs x of this shape. Raises ValueError where they do not fit the layer."""
    height, across, channels = image(shape, "conv_transpose2d")
    filters, groups = width(layer.filters), layer.groups
    for name, count in (("channels of the input", channels), ("filters", filters)):
        if count % groups:
            divisors = [g for g in range(1, count + 1) if count % g == 0]
            raise ValueError(f"groups {groups} does not divide the {count} {name}: use one of {divisors}")
    cut = (layer.padding,) * 4 if isinstance(layer.padding, int) else layer.padding
    sizes = [
        (size - 1) * stride - sum(cut[2 * axis : 2 * axis + 2]) + dilation * (kernel - 1) + 1 + extra
        for axis, (size, kernel, stride, dilation, extra) in enumerate(
            zip(
                (height, across),
                *map(pair, (layer.kernel_size, layer.stride, layer.dilation, layer.output_padding)),
                strict=True,
            )
        )
    ]
    if min(sizes) < 1:
        raise ValueError(f"padding {layer.padding} cuts everything off: the output would be {sizes[0]}x{sizes[1]}")
    where = windows(sizes[0], sizes[1], layer.kernel_size, layer.stride, layer.dilation, cut)
    return Convolution(where, filters, channels, groups)
