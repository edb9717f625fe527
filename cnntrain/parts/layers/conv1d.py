"""One-dimensional convolution and pooling see a sound as an image of one row, whose columns are moments."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import numpy as np

from cnntrain.config.fields import Classes, NonNegativeInt, PositiveInt
from cnntrain.core.arrays import Array, Param, Shape
from cnntrain.core.registry import make, register
from cnntrain.ops.calls import Calls, PassName
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, Prepared, Workspace, example, image


@register("conv1d")
@dataclass(frozen=True)
class Conv1d(Prepared):
    """Convolution along the width alone (Waibel et al. 1989): conv2d with a kernel of one row, for sounds (1, t, c).

    y[t, f] = bias[f] + sum over j, c of x[t * stride + j * dilation - left, c] * weight[j, c, f], and zero beyond the
    ends; the weight is kept as (1, kernel_size, c / groups, filters). In an image of several rows, such as a
    spectrogram, each row is a sound of its own, under the same weights.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((1, 9, 2), filters=3, kernel_size=3),
        example((1, 10, 3), filters=2, kernel_size=4, stride=3, padding="same"),
        example((1, 12, 4), filters=4, kernel_size=3, dilation=2, groups=2, padding=(2, 1), bias=False),
        example((3, 7, 2), filters=2, kernel_size=3, padding=1),
    )
    affine_map: ClassVar[bool] = True
    absorbs_scale: ClassVar[bool] = True

    filters: Classes  # channels of the output; `auto` is the number of classes
    kernel_size: PositiveInt  # moments under the kernel
    stride: PositiveInt = 1  # distance between outputs
    # zeros before and after: one number, [before, after], `valid` (none) or `same` (ceil(t / stride) outputs)
    padding: NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt] | Literal["same", "valid"] = 0
    dilation: PositiveInt = 1  # distance between the moments under the kernel
    groups: PositiveInt = 1  # equal parts into which channels and filters are divided, each filter seeing one of them
    bias: bool = True  # add a trained bias to each channel of the output

    def output_shape(self, *inputs: Shape) -> Shape:
        """(rows, t, channels) -> (rows, windows along t, filters)."""
        image(inputs[0], self.name_in_config)
        return _convolution(self).output_shape(*inputs)

    def params(self, *inputs: Shape) -> dict[str, Param]:
        """Declare weight (1, kernel_size, channels / groups, filters) and, unless switched off, bias (filters,)."""
        return _convolution(self).params(*inputs)

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """As conv2d's."""
        return _convolution(self).workspace(*inputs, n=n, dtype=dtype)

    def flops(self, *inputs: Shape) -> int:
        """As conv2d's."""
        return _convolution(self).flops(*inputs)

    def fill_calls(self, f: Frame, do: PassName) -> list[Calls]:
        """As conv2d's."""
        return _convolution(self).fill_calls(f, do)

    def forward_calls(self, f: Frame) -> Calls:
        """Write y = x * weight."""
        return _convolution(self).forward_calls(f)

    def backward_calls(self, f: Frame) -> Calls:
        """The adjoints of forward in weight, bias and x."""
        return _convolution(self).backward_calls(f)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:
        """As conv2d's."""
        return _convolution(self).trace(t, p, *xs)


@functools.lru_cache(maxsize=1024)
def _convolution(layer: Conv1d) -> Prepared:
    """The same as a convolution of images. Along the rows "same" pads nothing, since the kernel has one."""
    padding: Any = layer.padding
    if not isinstance(padding, str):
        padding = (0, 0, *((padding, padding) if isinstance(padding, int) else padding))
    found = make(
        "layers",
        "conv2d",
        filters=layer.filters,
        kernel_size=(1, layer.kernel_size),
        stride=(1, layer.stride),
        padding=padding,
        dilation=(1, layer.dilation),
        groups=layer.groups,
        bias=layer.bias,
    )
    return cast(Prepared, found)


@dataclass(frozen=True)
class Pool1d(Layer):
    """Pooling along the width alone, by the layer of images that `_pool` gives."""

    keeps: ClassVar[tuple[str, ...]] = ()

    kernel_size: PositiveInt  # moments in a window
    stride: PositiveInt | None = None  # distance between windows; by default the size of the window
    padding: NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt] = 0  # before and after: one number, or two
    ceil_mode: bool = False  # round the number of windows up, so that the last may stick out

    @property
    def _pool(self) -> Layer:
        raise NotImplementedError

    def _fields(self) -> dict[str, Any]:
        """The settings of the layer of images."""
        before, after = (self.padding, self.padding) if isinstance(self.padding, int) else self.padding
        stride = self.kernel_size if self.stride is None else self.stride
        return {
            "kernel_size": (1, self.kernel_size),
            "stride": (1, stride),
            "padding": (0, 0, before, after),
            "ceil_mode": self.ceil_mode,
        }

    def output_shape(self, *inputs: Shape) -> Shape:
        """(rows, t, channels) -> (rows, windows along t, channels)."""
        image(inputs[0], self.name_in_config)
        return self._pool.output_shape(*inputs)

    def flops(self, *inputs: Shape) -> int:
        """One for each value a window reads."""
        return self._pool.flops(*inputs)

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """As that of the layer of images."""
        return self._pool.workspace(*inputs, n=n, dtype=dtype)

    def forward(self, f: Frame) -> None:
        """Write y."""
        self._pool.forward(f)

    def backward(self, f: Frame) -> None:
        """Write dx."""
        self._pool.backward(f)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:
        """As the layer of images."""
        return self._pool.trace(t, p, *xs)


@register("max_pool1d")
@dataclass(frozen=True)
class MaxPool1d(Pool1d):
    """y = maximum of the window along the width: max_pool2d with a window of one row, for sounds (1, t, channels)."""

    examples: ClassVar[tuple[Example, ...]] = (
        example((1, 8, 2), kernel_size=2),
        example((1, 10, 3), kernel_size=3, stride=2, padding=1),
        example((2, 7, 2), kernel_size=3, padding=(1, 0), ceil_mode=True),
    )

    @property
    def _pool(self) -> Layer:
        return cast(Layer, make("layers", "max_pool2d", **self._fields()))


@register("avg_pool1d")
@dataclass(frozen=True)
class AvgPool1d(Pool1d):
    """y = mean of the window along the width: avg_pool2d with a window of one row, for sounds (1, t, channels)."""

    examples: ClassVar[tuple[Example, ...]] = (
        example((1, 8, 2), kernel_size=2),
        example((1, 10, 3), kernel_size=3, stride=2, padding=1, count_include_pad=False),
        example((2, 7, 2), kernel_size=3, padding=(1, 0), ceil_mode=True),
    )
    affine_map: ClassVar[bool] = True

    count_include_pad: bool = True  # count the zeros of the padding in the mean

    @property
    def _pool(self) -> Layer:
        fields = {**self._fields(), "count_include_pad": self.count_include_pad}
        return cast(Layer, make("layers", "avg_pool2d", **fields))
