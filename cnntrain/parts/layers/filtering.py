"""A filtering layer slides learned filters over an image: how it does so is a convolution and a kernel of ops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Pair
from cnntrain.core.arrays import Array, Param, Shape
from cnntrain.ops.calls import Calls, PassName
from cnntrain.ops.convolution import Convolution
from cnntrain.ops.depthwise import Depthwise
from cnntrain.ops.trace import Trace, Value
from cnntrain.ops.windows import pair
from cnntrain.ops.winograd import Winograd
from cnntrain.parts.layers.base import Frame, Prepared, RowBand, Workspace


@dataclass(frozen=True)
class ByKernel:
    """A kernel of ops at work on the images of a frame, or on the moments of its clips."""

    kernel: Convolution | Winograd | Depthwise

    def fill_calls(self, f: Frame, do: PassName) -> list[Calls]:
        """The kernel's."""
        return self.kernel.fill(do, f.p["weight"], {**f.scratch, **f.held})

    def forward_calls(self, f: Frame) -> Calls:
        """The kernel's."""
        return self.kernel.forward(_images(f.x), f.p["weight"], _images(f.y), {**f.scratch, **f.held})

    def backward_calls(self, f: Frame) -> Calls:
        """The kernel's."""
        buffers, dp, dx = {**f.scratch, **f.held}, f.dp or {}, None if f.dx is None else _images(f.dx)
        x, dy = _images(f.x), _images(f.dy)
        return self.kernel.backward(x, f.p["weight"], dy, dp.get("weight"), dp.get("bias"), dx, buffers)


class Filtering(Prepared):
    """Base of the convolutions of images; a subclass has these fields and `padding`, and `plan` and `kernel`."""

    affine_map: ClassVar[bool] = True
    absorbs_scale: ClassVar[bool] = True

    kernel_size: Pair
    bias: bool

    def plan(self, shape: Shape) -> Convolution:
        """The convolution of images of this shape. Raises ValueError where they do not fit the layer."""
        raise NotImplementedError

    def kernel(self, shape: Shape) -> Convolution | Winograd | Depthwise:
        """The algorithm that computes it."""
        raise NotImplementedError

    def output_shape(self, *inputs: Shape) -> Shape:
        """(height, width, channels) -> (windows along height, windows along width, filters)."""
        plan = self.plan(inputs[0])
        return plan.windows.rows.out, plan.windows.columns.out, plan.filters

    def params(self, *inputs: Shape) -> dict[str, Param]:
        """Declare weight (kh, kw, channels / groups, filters) and, unless switched off, bias (filters,)."""
        plan = self.plan(inputs[0])
        taps, per_group = plan.windows.taps, plan.channels // plan.groups
        fan_in, fan_out = taps * per_group, taps * plan.filters  # as PyTorch counts, groups or not
        shape = (*pair(self.kernel_size), per_group, plan.filters)
        declared = {"weight": Param(shape, "weight", fan_in, fan_out)}
        if self.bias:
            declared["bias"] = Param((plan.filters,), "bias", fan_in, fan_out)
        return declared

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """Nothing kept: backward makes the columns again. What the kernel makes of the weights is held."""
        kernel = self.kernel(inputs[0])
        evaluated = kernel.evaluated(dtype) if isinstance(kernel, Convolution) else {}
        return Workspace.of_kernel(kernel.scratch(n, dtype), evaluated)

    def flops(self, *inputs: Shape) -> int:
        """Two for each weight a window is multiplied with, one for each bias added."""
        plan = self.plan(inputs[0])
        depth = plan.windows.taps * plan.channels // plan.groups
        return plan.windows.rows.out * plan.windows.columns.out * plan.filters * (2 * depth + self.bias)

    def band(self, rows: slice, *inputs: Shape) -> RowBand | None:
        """The same convolution of the rows that these read."""
        axis, across = self.plan(inputs[0]).windows.rows, self.plan(inputs[0]).windows.columns
        reads, ends = axis.reads(rows)
        if reads.start >= reads.stop:
            return None
        layer = replace(self, padding=(*ends, across.before, across.after))  # type: ignore[call-arg]  # a field of all
        return RowBand(layer, (reads,))

    def fill_calls(self, f: Frame, do: PassName) -> list[Calls]:
        """What the kernel makes of the weights."""
        return ByKernel(self.kernel(f.x.shape[1:])).fill_calls(f, do)

    def forward_calls(self, f: Frame) -> Calls:
        """Write y = x * weight."""
        return ByKernel(self.kernel(f.x.shape[1:])).forward_calls(f)

    def backward_calls(self, f: Frame) -> Calls:
        """The adjoints of forward in weight, bias and x: see ops/convolution.py, winograd.py and depthwise.py."""
        return ByKernel(self.kernel(f.x.shape[1:])).backward_calls(f)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:
        """The windows' products with weight, and bias."""
        plan = self.plan(xs[0].shape)
        axes = (plan.windows.rows, plan.windows.columns)
        return t.convolution(xs[0], p, axes, plan.groups, self.output_shape(xs[0].shape))


def _images(samples: Array) -> Array:
    """Images (n, h, w, c), or all moments of clips (n, t, h, w, c) as such."""
    return samples.reshape(-1, *samples.shape[-3:])
