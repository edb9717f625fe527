"""An activation bends each value by itself: without one, a stack of layers would be one linear map.

Each keeps its output y alone, from which the derivative follows, so it may work in place.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np

from cnntrain.config.fields import Finite, Positive, Range
from cnntrain.core.arrays import Array, Shape, aligned
from cnntrain.core.registry import register
from cnntrain.ops.blocks import CACHED, LINE, blocks, long_rows, longest_block
from cnntrain.ops.calls import Calls, copy, run
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, Workspace, example


class Activation(Layer):
    """What the activations share: any shape, y kept, in place."""

    examples: ClassVar[tuple[Example, ...]] = (example((3, 5, 2)), example((7,)))
    rowwise: ClassVar[bool] = True
    keeps: ClassVar[tuple[str, ...]] = ("y",)
    inplace: ClassVar[bool] = True


@register("relu")
@dataclass(frozen=True)
class Relu(Activation):
    """y = max(x, 0) (Nair and Hinton 2010), so dx = dy where y > 0, else 0. At x = 0 the derivative is taken as 0.

    NaN stays NaN.
    """

    rectifies: ClassVar[bool] = True
    recomputable: ClassVar[bool] = True

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """Where y > 0, as truth values and as numbers."""
        room = (longest_block(n, inputs[0], CACHED),)
        return Workspace(scratch={"positive": (room, np.bool_), "factor": (room, dtype)})

    def forward(self, f: Frame) -> None:
        """Write y = max(x, 0)."""
        run(f.once("forward", _rectify))

    def backward(self, f: Frame) -> None:
        """Write dx = dy * (y > 0)."""
        run(f.once("backward", _let_through))

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """max(x, 0)."""
        return t.op("max", xs[0], 0.0)


def _rectify(f: Frame) -> Calls:
    """The calls of relu's forward: the maximum with zeros, as NumPy does not vectorize that with a number."""
    zeros = _zeros(f.x.dtype)
    return [partial(np.maximum, x, zeros[: x.shape[-1]], out=y) for x, y in long_rows(len(zeros), f.x, f.y)]


@functools.cache
def _zeros(dtype: np.dtype[Any]) -> Array:
    """A line of zeros, always the same."""
    zeros = aligned(LINE, dtype)
    zeros.flags.writeable = False
    return zeros


def _let_through(f: Frame) -> Calls:
    """The calls of relu's backward."""
    calls: Calls = []
    for y, dy, dx in blocks(f.y, f.dy, f.dx, most=CACHED) if f.dx is not None else ():
        positive, factor = (f.scratch[name][: y.size] for name in ("positive", "factor"))
        calls.append(partial(np.greater, y, 0, positive))
        calls.append(copy(factor, positive))  # a product with booleans would convert in small chunks
        calls.append(partial(np.multiply, dy, factor, dx))
    return calls


@register("leaky_relu")
@dataclass(frozen=True)
class LeakyRelu(Activation):
    """y = max(x, slope * x) (Maas et al. 2013), so dx = dy where y > 0, else slope * dy. At 0 it is the slope."""

    examples: ClassVar[tuple[Example, ...]] = (example((3, 5, 2)), example((7,), slope=0.3))
    recomputable: ClassVar[bool] = True

    slope: Annotated[float, Range(0, 1, open_low=True)] = 0.01  # slope for negative inputs

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """Where y > 0, and the values times the slope."""
        room = longest_block(n, inputs[0])
        return Workspace(scratch={"positive": ((room,), np.bool_), "leak": ((room,), dtype)})

    def forward(self, f: Frame) -> None:
        """Write y = max(x, slope * x), as 0 < slope <= 1."""
        for x, y in blocks(f.x, f.y):
            leak = np.multiply(x, self.slope, out=f.scratch["leak"][: x.size])
            np.maximum(x, leak, out=y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy * (1 where y > 0, else slope); y has the sign of x."""
        if f.dx is not None:
            for y, dy, dx in blocks(f.y, f.dy, f.dx):
                positive, slope = (f.scratch[name][: y.size] for name in ("positive", "leak"))
                np.copyto(slope, np.greater(y, 0, out=positive))
                np.multiply(dy, np.clip(slope, self.slope, 1, out=slope), out=dx)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """max(x, slope * x)."""
        return t.op("max", xs[0], t.op("mul", xs[0], self.slope))


@register("tanh")
@dataclass(frozen=True)
class Tanh(Activation):
    """y = tanh(x), so dx = dy * (1 - y * y)."""

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """The derivative."""
        room = longest_block(n, inputs[0])
        return Workspace(scratch={"slope": ((room,), dtype)})

    def forward(self, f: Frame) -> None:
        """Write y = tanh(x)."""
        np.tanh(f.x, out=f.y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy * (1 - y * y)."""
        if f.dx is not None:
            for y, dy, dx in blocks(f.y, f.dy, f.dx):
                slope = np.multiply(y, y, out=f.scratch["slope"][: y.size])
                np.subtract(1, slope, out=slope)
                np.multiply(dy, slope, out=dx)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """tanh(x)."""
        return t.op("tanh", xs[0])


@register("sigmoid")
@dataclass(frozen=True)
class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x)), so dx = dy * y * (1 - y)."""

    emits_probabilities: ClassVar[bool] = True

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """The derivative."""
        room = longest_block(n, inputs[0])
        return Workspace(scratch={"slope": ((room,), dtype)})

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
            for y, dy, dx in blocks(f.y, f.dy, f.dx):
                slope = np.subtract(1, y, out=f.scratch["slope"][: y.size])
                np.multiply(slope, y, out=slope)
                np.multiply(dy, slope, out=dx)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """1 / (1 + exp(-x))."""
        return t.op("sigmoid", xs[0])


@dataclass(frozen=True)
class Clip(Activation):
    """y = x between two bounds, else the nearer one; so dx = dy where y is strictly between, else 0."""

    def bounds(self) -> tuple[float, float]:
        """The least and the largest y."""
        raise NotImplementedError

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:  # noqa: ARG002
        """Where y is above the lower bound, and where it is below the upper."""
        room = longest_block(n, inputs[0])
        return Workspace(scratch={"above": ((room,), np.bool_), "below": ((room,), np.bool_)})

    def forward(self, f: Frame) -> None:
        """Write y = min(max(x, low), high)."""
        np.clip(f.x, *self.bounds(), out=f.y)  # six times as fast as a maximum and a minimum with numbers

    def backward(self, f: Frame) -> None:
        """Write dx = dy * (low < y < high)."""
        low, high = self.bounds()
        if f.dx is not None:
            for y, dy, dx in blocks(f.y, f.dy, f.dx):
                np.multiply(dy, _between(f, y, low, high), out=dx)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """min(max(x, low), high)."""
        low, high = self.bounds()
        return t.op("min", t.op("max", xs[0], float(low)), float(high))


def _between(f: Frame, y: Array, low: float, high: float) -> Array:
    """Where low < y < high, in scratch."""
    above = np.greater(y, low, out=f.scratch["above"][: y.size])
    below = np.less(y, high, out=f.scratch["below"][: y.size])
    return np.logical_and(above, below, out=above)


@register("relu6")
@dataclass(frozen=True)
class Relu6(Clip):
    """y = min(max(x, 0), 6) (Krizhevsky 2010, on deep belief networks), so dx = dy where 0 < y < 6, else 0."""

    rectifies: ClassVar[bool] = True
    recomputable: ClassVar[bool] = True

    def bounds(self) -> tuple[float, float]:
        """0 and 6."""
        return 0.0, 6.0


@register("hard_tanh")
@dataclass(frozen=True)
class HardTanh(Clip):
    """y = min(max(x, low), high) (Collobert 2004), so dx = dy where low < y < high, else 0."""

    examples: ClassVar[tuple[Example, ...]] = (example((3, 5, 2)), example((7,), low=-0.5, high=1.5))

    low: Finite = -1.0  # smallest output
    high: Finite = 1.0  # largest output

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low >= self.high:
            raise ValueError(f"low must be below high, got low {self.low:g} and high {self.high:g}")

    def bounds(self) -> tuple[float, float]:
        """Low and high."""
        return self.low, self.high


@register("hard_sigmoid")
@dataclass(frozen=True)
class HardSigmoid(Activation):
    """y = min(max(x / 6 + 1/2, 0), 1) (Courbariaux et al. 2015, in PyTorch's slope), so dx = dy / 6 where 0 < y < 1."""

    emits_probabilities: ClassVar[bool] = True

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:  # noqa: ARG002
        """Where y is above 0, and where it is below 1."""
        room = longest_block(n, inputs[0])
        return Workspace(scratch={"above": ((room,), np.bool_), "below": ((room,), np.bool_)})

    def forward(self, f: Frame) -> None:
        """Write y = min(max(x / 6 + 1/2, 0), 1)."""
        np.multiply(f.x, 1 / 6, out=f.y)
        np.add(f.y, 0.5, out=f.y)
        np.clip(f.y, 0, 1, out=f.y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy / 6 * (0 < y < 1)."""
        if f.dx is not None:
            for y, dy, dx in blocks(f.y, f.dy, f.dx):
                np.multiply(dy, _between(f, y, 0, 1), out=dx)
                np.multiply(dx, 1 / 6, out=dx)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """min(max(x / 6 + 1/2, 0), 1)."""
        line = t.op("add", t.op("mul", xs[0], 1 / 6), 0.5)
        return t.op("min", t.op("max", line, 0.0), 1.0)


@dataclass(frozen=True)
class ExponentialUnit(Activation):
    """y = factor * x where x > 0, else factor * alpha * (exp(x) - 1).

    So dx = dy * factor where y > 0, else dy * factor * alpha * exp(x) = dy * (y + factor * alpha).
    """

    def constants(self) -> tuple[float, float]:
        """Factor and alpha."""
        raise NotImplementedError

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """Where y > 0, also as numbers; the exponential, and the derivative."""
        room = (longest_block(n, inputs[0]),)
        return Workspace(scratch={"positive": (room, np.bool_), "factor": (room, dtype), "slope": (room, dtype)})

    def forward(self, f: Frame) -> None:
        """Write y = factor * max(x, 0) + factor * alpha * (exp(min(x, 0)) - 1)."""
        factor, alpha = self.constants()
        for x, y in blocks(f.x, f.y):
            negative = np.clip(x, -np.inf, 0, out=f.scratch["slope"][: x.size])
            np.expm1(negative, out=negative)
            np.multiply(negative, factor * alpha, out=negative)
            np.clip(x, 0, np.inf, out=y)
            np.multiply(y, factor, out=y)
            np.add(y, negative, out=y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy * (factor where y > 0, else y + factor * alpha)."""
        factor, alpha = self.constants()
        if f.dx is not None:
            for y, dy, dx in blocks(f.y, f.dy, f.dx):
                positive, above, slope = (f.scratch[name][: y.size] for name in ("positive", "factor", "slope"))
                np.copyto(above, np.greater(y, 0, out=positive))
                np.multiply(above, factor, out=above)
                np.add(np.clip(y, -np.inf, 0, out=slope), factor * alpha, out=slope)
                np.multiply(slope, np.logical_not(positive, out=positive), out=slope)
                np.add(slope, above, out=slope)  # one of the two is 0; copying by a mask takes eight times as long
                np.multiply(dy, slope, out=dx)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """Factor * max(x, 0) + factor * alpha * (exp(min(x, 0)) - 1)."""
        factor, alpha = self.constants()
        negative = t.op("sub", t.op("exp", t.op("min", xs[0], 0.0)), 1.0)
        return t.op("add", t.op("mul", t.op("max", xs[0], 0.0), factor), t.op("mul", negative, factor * alpha))


@register("elu")
@dataclass(frozen=True)
class Elu(ExponentialUnit):
    """y = x where x > 0, else alpha * (exp(x) - 1) (Clevert et al. 2016); so dx = dy, or dy * (y + alpha)."""

    examples: ClassVar[tuple[Example, ...]] = (example((3, 5, 2)), example((7,), alpha=0.4))

    alpha: Positive = 1.0  # the limit for large negative inputs is -alpha

    def constants(self) -> tuple[float, float]:
        """1 and alpha."""
        return 1.0, self.alpha


@register("selu")
@dataclass(frozen=True)
class Selu(ExponentialUnit):
    """y = 1.0507 * elu(x, alpha=1.6733) (Klambauer et al. 2017), whose fixed point is mean 0 and variance 1.

    So dx = 1.0507 * dy where y > 0, else dy * (y + 1.0507 * 1.6733). Start it with lecun_normal, drop with
    alpha_dropout.
    """

    def constants(self) -> tuple[float, float]:
        """The paper's lambda and alpha."""
        return 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


@register("softplus")
@dataclass(frozen=True)
class Softplus(Activation):
    """y = log(1 + exp(beta * x)) / beta (Dugas et al. 2001).

    So dx = dy * sigmoid(beta * x) = dy * (1 - exp(-beta * y)).

    Exact for every x; PyTorch takes y = x from beta * x = 20 up, which differs by 2e-9 at most.
    """

    examples: ClassVar[tuple[Example, ...]] = (example((3, 5, 2)), example((7,), beta=2.5))

    beta: Positive = 1.0  # sharpness of the bend: the larger, the closer to relu

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """What exceeds max(x, 0), and the derivative."""
        room = longest_block(n, inputs[0])
        return Workspace(scratch={"slope": ((room,), dtype)})

    def forward(self, f: Frame) -> None:
        """Write y = (max(beta * x, 0) + log(1 + exp(-abs(beta * x)))) / beta."""
        for x, y in blocks(f.x, f.y):
            rest = f.scratch["slope"][: x.size]
            np.multiply(x, self.beta, out=y)
            np.negative(np.abs(y, out=rest), out=rest)
            np.log1p(np.exp(rest, out=rest), out=rest)
            np.add(np.clip(y, 0, np.inf, out=y), rest, out=y)
            np.multiply(y, 1 / self.beta, out=y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy * -(exp(-beta * y) - 1)."""
        if f.dx is not None:
            for y, dy, dx in blocks(f.y, f.dy, f.dx):
                slope = np.multiply(y, -self.beta, out=f.scratch["slope"][: y.size])
                np.expm1(slope, out=slope)
                np.negative(slope, out=slope)
                np.multiply(dy, slope, out=dx)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """(max(beta * x, 0) + log(1 + exp(-abs(beta * x)))) / beta, in which nothing overflows."""
        x = t.op("mul", xs[0], self.beta)
        return t.op("mul", t.op("add", t.op("max", x, 0.0), _soft_part(t, x)), 1 / self.beta)


def _soft_part(t: Trace, x: Value) -> Value:
    """log(1 + exp(-abs(x)))."""
    return t.op("log", t.op("add", t.op("exp", t.op("neg", t.op("abs", x))), 1.0))
