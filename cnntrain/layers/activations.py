"""An activation bends each value by itself: without one, a stack of layers would be one linear map.

Each keeps its output y alone, from which the derivative follows, so it may work in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from cnntrain.arrays import Array, Shape
from cnntrain.config.fields import Range
from cnntrain.layers.base import Example, Frame, Layer, Workspace, example
from cnntrain.registry import register

# isort: split
import numpy as np

BLOCK = 32 * 1024  # values worked on at a time where a temporary is needed: all of them stay in cache


class Elementwise(Layer):
    """What the activations share: any shape, y kept, in place."""

    examples: ClassVar[tuple[Example, ...]] = (example((3, 5, 2)), example((7,)))
    keeps: ClassVar[tuple[str, ...]] = ("y",)
    inplace: ClassVar[bool] = True


def _blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Contiguous arrays of one size as 1-D pieces of at most BLOCK values."""
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, BLOCK):
        yield tuple(array[start : start + BLOCK] for array in flat)


@register("relu")
@dataclass(frozen=True)
class Relu(Elementwise):
    """y = max(x, 0) (Nair and Hinton 2010), so dx = dy where y > 0, else 0. At x = 0 the derivative is taken as 0.

    NaN stays NaN.
    """

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:  # noqa: ARG002
        """Where y > 0."""
        return Workspace(scratch={"positive": ((BLOCK,), np.bool_)})

    def forward(self, f: Frame) -> None:
        """Write y = max(x, 0)."""
        np.maximum(f.x, 0, out=f.y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy * (y > 0)."""
        if f.dx is not None:
            for y, dy, dx in _blocks(f.y, f.dy, f.dx):
                positive = np.greater(y, 0, out=f.scratch["positive"][: y.size])
                np.multiply(dy, positive, out=dx)


@register("leaky_relu")
@dataclass(frozen=True)
class LeakyRelu(Elementwise):
    """y = max(x, slope * x) (Maas et al. 2013), so dx = dy where y > 0, else slope * dy. At 0 it is the slope."""

    examples: ClassVar[tuple[Example, ...]] = (example((3, 5, 2)), example((7,), slope=0.3))

    slope: Annotated[float, Range(0, 1, open_low=True)] = 0.01  # for 0, relu

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:  # noqa: ARG002
        """Where y > 0, and the values times the slope."""
        return Workspace(scratch={"positive": ((BLOCK,), np.bool_), "leak": ((BLOCK,), dtype)})

    def forward(self, f: Frame) -> None:
        """Write y = max(x, slope * x), as 0 < slope <= 1."""
        for x, y in _blocks(f.x, f.y):
            leak = np.multiply(x, self.slope, out=f.scratch["leak"][: x.size])
            np.maximum(x, leak, out=y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy * (1 where y > 0, else slope); y has the sign of x."""
        if f.dx is not None:
            for y, dy, dx in _blocks(f.y, f.dy, f.dx):
                positive = np.greater(y, 0, out=f.scratch["positive"][: y.size])
                slope = np.maximum(positive, self.slope, out=f.scratch["leak"][: y.size], dtype=y.dtype)  # 1 or slope
                np.multiply(dy, slope, out=dx)


@register("tanh")
@dataclass(frozen=True)
class Tanh(Elementwise):
    """y = tanh(x), so dx = dy * (1 - y * y)."""

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:  # noqa: ARG002
        """The derivative."""
        return Workspace(scratch={"slope": ((BLOCK,), dtype)})

    def forward(self, f: Frame) -> None:
        """Write y = tanh(x)."""
        np.tanh(f.x, out=f.y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy * (1 - y * y)."""
        if f.dx is not None:
            for y, dy, dx in _blocks(f.y, f.dy, f.dx):
                slope = np.multiply(y, y, out=f.scratch["slope"][: y.size])
                np.subtract(1, slope, out=slope)
                np.multiply(dy, slope, out=dx)


@register("sigmoid")
@dataclass(frozen=True)
class Sigmoid(Elementwise):
    """y = 1 / (1 + exp(-x)), so dx = dy * y * (1 - y)."""

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:  # noqa: ARG002
        """The derivative."""
        return Workspace(scratch={"slope": ((BLOCK,), dtype)})

    def forward(self, f: Frame) -> None:
        """Write y = 1 / (1 + exp(-x)); where exp overflows, y is 0, its limit."""
        np.negative(f.x, out=f.y)
        with np.errstate(over="ignore"):
            np.exp(f.y, out=f.y)
        np.add(f.y, 1, out=f.y)
        np.reciprocal(f.y, out=f.y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy * y * (1 - y)."""
        if f.dx is not None:
            for y, dy, dx in _blocks(f.y, f.dy, f.dx):
                slope = np.subtract(1, y, out=f.scratch["slope"][: y.size])
                np.multiply(slope, y, out=slope)
                np.multiply(dy, slope, out=dx)
