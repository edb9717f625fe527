"""A gated activation multiplies each value by a smooth gate of itself: y = x * gate(x).

Its slope cannot be told from y, which falls before it rises, so forward keeps the slope.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.blocks import CACHED, blocks, longest_block
from cnntrain.ops.erf import erf, erf_scratch
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, Workspace, example

_MOST = CACHED // 2  # values in a block; half a dozen arrays of them are in use
_FAR = 25.0  # x from which mish's gate is 1 to the last bit of float64
_CUBIC = 0.044715  # of gelu's tanh form
_ROOT = math.sqrt(2 / math.pi)


@dataclass(frozen=True)
class Gated(Layer):
    """What they share: any shape, in place, computed in blocks that stay in the cache.

    y = x * g(x), so dx = dy * (g(x) + x * g'(x)). In training, forward keeps that slope, while x and the gate are at
    hand: then x need not be kept, and backward is one product.
    """

    examples: ClassVar[tuple[Example, ...]] = (example((3, 5, 2)), example((7,)))
    rowwise: ClassVar[bool] = True
    keeps: ClassVar[tuple[str, ...]] = ()
    inplace: ClassVar[bool] = True

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """kept: the slope; scratch: the gate and what it is computed from."""
        room = (longest_block(n, inputs[0], _MOST),)
        return Workspace(
            kept={"slope": ((n, *inputs[0]), dtype)}, scratch={"gate": (room, dtype), "inner": (room, dtype)}
        )

    def forward(self, f: Frame) -> None:
        """Write y = x * g(x), and in training the slope g(x) + x * g'(x)."""
        if not f.training:
            for x, y in blocks(f.x, f.y, most=_MOST):
                gate = f.scratch["gate"][: x.size]
                self.gate(x, gate, f)
                np.multiply(x, gate, out=y)
            return
        for x, y, slope in blocks(f.x, f.y, f.kept["slope"], most=_MOST):
            gate = f.scratch["gate"][: x.size]
            self.gate(x, gate, f)
            self.gate_slope(x, gate, slope, f)
            np.multiply(slope, x, out=slope)
            np.add(slope, gate, out=slope)
            np.multiply(x, gate, out=y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy * slope."""
        if f.dx is not None:
            np.multiply(f.dy, f.kept["slope"], out=f.dx)

    def gate(self, x: Array, out: Array, f: Frame) -> None:
        """Overwrite out with g(x)."""
        raise NotImplementedError

    def gate_slope(self, x: Array, gate: Array, out: Array, f: Frame) -> None:
        """Overwrite out with g'(x); `gate` is g(x), and f.scratch["inner"] as `gate` left it."""
        raise NotImplementedError


def _sigmoid(x: Array, out: Array) -> None:
    """Overwrite out with 1 / (1 + exp(-x)); where exp overflows, it is 0, its limit."""
    np.negative(x, out=out)
    with np.errstate(over="ignore"):
        np.exp(out, out=out)
    np.add(out, 1, out=out)
    np.reciprocal(out, out=out)


@register("silu")
@dataclass(frozen=True)
class Silu(Gated):
    """y = x * s with s = sigmoid(x) (Elfwing et al. 2018; swish of Ramachandran et al. 2017).

    ds/dx = s * (1 - s), so dx = dy * (s + x * s * (1 - s)).
    """

    def gate(self, x: Array, out: Array, f: Frame) -> None:  # noqa: ARG002
        """Write s = sigmoid(x)."""
        _sigmoid(x, out)

    def gate_slope(self, x: Array, gate: Array, out: Array, f: Frame) -> None:  # noqa: ARG002
        """Write s * (1 - s)."""
        np.subtract(1, gate, out=out)
        np.multiply(out, gate, out=out)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """Record x * sigmoid(x)."""
        return t.op("mul", xs[0], t.op("sigmoid", xs[0]))


@register("mish")
@dataclass(frozen=True)
class Mish(Gated):
    """y = x * t with t = tanh(log(1 + exp(x))) (Misra 2019).

    With w = exp(x), t = n / d, n = w * w + 2 * w and d = n + 2, so t' = 4 * w * (1 + w) / (d * d). From x = 25 on t is
    1 to the last bit, so that w stays as it is, and nothing overflows.
    """

    def gate(self, x: Array, out: Array, f: Frame) -> None:
        """Write t; leave w in "inner"."""
        w = f.scratch["inner"][: x.size]
        np.exp(np.clip(x, -np.inf, _FAR, out=w), out=w)
        np.multiply(np.add(w, 2, out=out), w, out=out)
        np.divide(out, np.add(out, 2, out=f.scratch["divisor"][: x.size]), out=out)

    def gate_slope(self, x: Array, gate: Array, out: Array, f: Frame) -> None:  # noqa: ARG002
        """4 * (w / d) * ((1 + w) / d), and 0 where t is 1."""
        w, d, near = (f.scratch[name][: x.size] for name in ("inner", "divisor", "near"))
        np.divide(np.add(w, 1, out=out), d, out=out)
        np.multiply(out, np.divide(w, d, out=w), out=out)
        np.multiply(out, 4, out=out)
        np.multiply(out, np.less(x, _FAR, out=near), out=out)  # x times it would not be small for huge x

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """What the others need, d, and where x is below 25."""
        space = super().workspace(*inputs, n=n, dtype=dtype)
        room, _ = space.scratch["gate"]
        return replace(space, scratch={**space.scratch, "divisor": (room, dtype), "near": (room, np.bool_)})

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """Record x * tanh(max(x, 0) + log(1 + exp(-abs(x))))."""
        rest = t.op("log", t.op("add", t.op("exp", t.op("neg", t.op("abs", xs[0]))), 1.0))
        return t.op("mul", xs[0], t.op("tanh", t.op("add", t.op("max", xs[0], 0.0), rest)))


@register("gelu")
@dataclass(frozen=True)
class Gelu(Gated):
    """y = x * P(x), P the standard normal distribution function (Hendrycks and Gimpel 2016).

    approximate "none" is the definition: P(x) = (1 + erf(x / sqrt(2))) / 2, whose slope is exp(-x * x / 2) /
    sqrt(2 * pi). "tanh" is the paper's P(x) = (1 + tanh(u)) / 2 with u = sqrt(2 / pi) * (x + 0.044715 * x^3), whose
    slope is (1 - tanh(u)^2) / 2 * sqrt(2 / pi) * (1 + 3 * 0.044715 * x * x). Either way dx = dy * (P + x * P').
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 5, 2)),
        example((7,), approximate="tanh"),
    )

    approximate: Literal["none", "tanh"] = "none"  # `tanh` is the usual approximation, `none` the exact function

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """What the others need, and for the definition what erf needs."""
        space, room = super().workspace(*inputs, n=n, dtype=dtype), longest_block(n, inputs[0], _MOST)
        return replace(space, scratch={**space.scratch, **(erf_scratch(room, dtype) if self._exact else {})})

    @property
    def _exact(self) -> bool:
        return self.approximate == "none"

    def gate(self, x: Array, out: Array, f: Frame) -> None:
        """P(x)."""
        inner = f.scratch["inner"][: x.size]
        if self._exact:
            np.multiply(x, math.sqrt(0.5), out=inner)
            erf(inner, out, f.scratch)
        else:
            np.multiply(x, x, out=inner)
            np.multiply(inner, _ROOT * _CUBIC, out=inner)
            np.add(inner, _ROOT, out=inner)
            np.multiply(inner, x, out=inner)
            np.tanh(inner, out=out)
        np.multiply(out, 0.5, out=out)
        np.add(out, 0.5, out=out)

    def gate_slope(self, x: Array, gate: Array, out: Array, f: Frame) -> None:
        """P'(x); for tanh, (1 - tanh^2) / 2 = 2 * P * (1 - P)."""
        np.multiply(x, x, out=out)
        if self._exact:
            np.multiply(out, -0.5, out=out)
            np.exp(out, out=out)
            np.multiply(out, 1 / math.sqrt(2 * math.pi), out=out)
            return
        np.multiply(out, 3 * _ROOT * _CUBIC, out=out)
        np.add(out, _ROOT, out=out)
        inner = f.scratch["inner"][: x.size]
        np.subtract(1, gate, out=inner)
        np.multiply(inner, gate, out=inner)
        np.multiply(inner, 2, out=inner)
        np.multiply(out, inner, out=out)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """Record x * P(x)."""
        x = xs[0]
        if self.approximate == "none":
            inner = t.op("erf", t.op("mul", x, math.sqrt(0.5)))
        else:
            cube = t.op("mul", t.op("mul", x, x), x)
            inner = t.op("tanh", t.op("mul", t.op("add", x, t.op("mul", cube, 0.044715)), math.sqrt(2 / math.pi)))
        return t.op("mul", t.op("mul", x, 0.5), t.op("add", inner, 1.0))


@register("hard_swish")
@dataclass(frozen=True)
class HardSwish(Gated):
    """y = x * g with g = min(max(x / 6 + 1/2, 0), 1) (Howard et al. 2019, MobileNetV3).

    g' = 1/6 where 0 < g < 1, else 0; so dx = dy * (x / 3 + 1/2) there, 0 below and dy above.
    """

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """What the others need, and where the gate is above 0 or below 1."""
        space, room = super().workspace(*inputs, n=n, dtype=dtype), (longest_block(n, inputs[0], _MOST),)
        return replace(space, scratch={**space.scratch, "above": (room, np.bool_), "below": (room, np.bool_)})

    def gate(self, x: Array, out: Array, f: Frame) -> None:  # noqa: ARG002
        """g(x)."""
        np.multiply(x, 1 / 6, out=out)
        np.add(out, 0.5, out=out)
        np.clip(out, 0, 1, out=out)

    def gate_slope(self, x: Array, gate: Array, out: Array, f: Frame) -> None:
        """1/6 where 0 < g < 1."""
        above = np.greater(gate, 0, out=f.scratch["above"][: x.size])
        below = np.less(gate, 1, out=f.scratch["below"][: x.size])
        np.copyto(out, np.logical_and(above, below, out=above))
        np.multiply(out, 1 / 6, out=out)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """Record x * min(max(x / 6 + 1/2, 0), 1)."""
        line = t.op("add", t.op("mul", xs[0], 1 / 6), 0.5)
        return t.op("mul", xs[0], t.op("min", t.op("max", line, 0.0), 1.0))
