"""Local response normalization divides each value by what the neighbouring channels hold at the same pixel."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegative, Positive, PositiveInt
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.blocks import longest_rows, row_blocks
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, Workspace, example, image


@register("lrn")
@dataclass(frozen=True)
class Lrn(Layer):
    """y = x / d^beta with d = k + alpha / size * sum of x * x over `size` channels around (Krizhevsky et al. 2012).

    The window of channel c reaches from c - size // 2 to c + (size - 1) // 2, less what is outside. alpha is divided by
    `size`, as in Caffe and PyTorch but not in the paper. With S the sum over a window and S' over the windows a channel
    is in,

        dx = dy / d^beta - 2 * alpha * beta / size * x * S'(dy * x / d^(beta + 1))
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((2, 3, 7)),
        example((2, 2, 4), size=3, alpha=0.5, beta=0.6, k=2.0),
        example((2, 1, 5), size=4, alpha=2.0),
        example((1, 2, 2), size=7, alpha=1.0),
    )
    rowwise: ClassVar[bool] = True

    size: PositiveInt = 5  # channels in the window
    alpha: NonNegative = 1e-4  # weight of the window's mean square
    beta: NonNegative = 0.75  # exponent of the divisor
    k: Positive = 1.0  # constant term of the divisor

    def output_shape(self, *inputs: Shape) -> Shape:
        """Unchanged; an image."""
        return image(inputs[0], "lrn")

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """Two blocks of pixels; two in which the windows' sums are taken, where zeros part the pixels."""
        rows, channels = longest_rows(n, inputs[0])
        apart = (rows + 2) * (channels + max(self._reach(channels)))
        return Workspace(scratch={"blocks": ((2, rows, channels), dtype), "apart": ((2, apart), dtype)})

    def flops(self, *inputs: Shape) -> int:
        """For each value: square, window, scale, shift, power, divide."""
        return (self.size + 5) * math.prod(inputs[0])

    def forward(self, f: Frame) -> None:
        """Write y = x / d^beta."""
        for x, y in row_blocks(f.x.shape[-1], f.x, f.y):
            d, power = (block[: len(x)] for block in f.scratch["blocks"])
            self._denominator(f, x, d)
            np.power(d, -self.beta, out=power)
            np.multiply(x, power, out=y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy / d^beta - 2 * alpha * beta / size * x * S'(dy * x / d^(beta + 1))."""
        if f.dx is None:
            return
        before, after = self._reach(f.x.shape[-1])
        for x, dy, dx in row_blocks(f.x.shape[-1], f.x, f.dy, f.dx):
            d, work = (block[: len(x)] for block in f.scratch["blocks"])
            self._denominator(f, x, d)
            np.power(d, -self.beta, out=work)
            np.multiply(dy, work, out=dx)
            np.multiply(dx, x, out=work)
            np.divide(work, d, out=work)
            crossed = _window_sums(f, work.shape, functools.partial(np.copyto, src=work), after, before)
            np.multiply(crossed, x, out=work)  # a channel is in the windows that reach it: the mirror image
            np.multiply(work, 2 * self.alpha * self.beta / self.size, out=work)
            np.subtract(dx, work, out=dx)

    def _reach(self, channels: int) -> tuple[int, int]:
        """How many channels before and after its own a window holds, of so many at most."""
        return min(self.size // 2, channels - 1), min((self.size - 1) // 2, channels - 1)

    def _denominator(self, f: Frame, x: Array, d: Array) -> None:
        """Overwrite d with k + alpha / size * S(x * x)."""
        sums = _window_sums(f, x.shape, lambda values: np.multiply(x, x, out=values), *self._reach(x.shape[-1]))
        np.multiply(sums, self.alpha / self.size, out=d)
        np.add(d, self.k, out=d)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """Record x / d^beta, the sum over a window of channels as a product with a matrix."""
        places, (before, after) = np.arange(xs[0].shape[2]), self._reach(xs[0].shape[2])
        offset = places - places[:, None]
        window = t.constant("window", ((offset >= -before) & (offset <= after)).astype(np.float32))
        sums = t.along(t.op("mul", xs[0], xs[0]), window, 2)
        denominator = t.op("add", t.op("mul", sums, self.alpha / self.size), self.k)
        return t.op("mul", xs[0], t.op("pow", denominator, -self.beta))


def _window_sums(f: Frame, shape: Shape, write: Callable[[Array], object], before: int, after: int) -> Array:
    """The sums over channels c - before to c + after, of those that exist, of the values (rows, channels) that `write`
    is given the place for.

    Zeros part the rows, so that all of them together are shifted and added: channels alone would be short operations.
    """
    rows, channels = shape
    gap = max(before, after)
    length = rows * (channels + gap)
    values, sums = f.scratch["apart"][0], f.scratch["apart"][1, :length]
    values[: length + 2 * gap].fill(0)
    write(values[gap : gap + length].reshape(rows, -1)[:, :channels])
    np.copyto(sums, values[gap : gap + length])
    for offset in (*range(-before, 0), *range(1, after + 1)):
        np.add(sums, values[gap + offset : gap + offset + length], out=sums)
    return sums.reshape(rows, -1)[:, :channels]
