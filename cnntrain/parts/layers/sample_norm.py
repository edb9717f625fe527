"""A sample norm gives the values of one sample mean 0 and variance 1, over the whole of it or over parts.

Unlike batch normalization it is the same in training and evaluation, and does not care how large a batch is.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Positive, PositiveInt
from cnntrain.core.arrays import Array, Param, Shape
from cnntrain.core.registry import register
from cnntrain.ops.blocks import rows_per_block
from cnntrain.ops.sums import FEW, over_rows
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, Workspace, example, pixels

ROUNDED = 4096.0  # mean^2 / variance of a set beyond which it shows that the mean was rounded
_LINE = 1024  # values of a line, about


@dataclass(frozen=True)
class SampleNorm(Layer):
    """y = (x - mean) * r * scale + shift with r = 1 / sqrt(var + eps), over sets of values of one sample.

    The variance is divided by the count, as PyTorch's; scale and shift belong to a channel. Seen as (rows, pixels,
    groups, depth), a set is the pixels and depth of one row and group. With xhat = (x - mean) * r and g = dy * scale,

        dshift = sum(dy)    dscale = sum(dy * xhat)    dx = r * (g - mean(g) - xhat * mean(g * xhat))

    where the sums run over rows and pixels, the means over the set; the two terms that are subtracted are what mean
    and var take away. Where a mean is large against its standard deviation (ROUNDED), as in a picture of one colour,
    the mean of what is left is taken off, too.
    """

    eps: Positive = 1e-5  # added to the variance, against division by zero
    affine: bool = True  # train a scale and a shift

    centers: ClassVar[bool] = True  # whether the mean is taken off; else var is the mean of squares
    shifts: ClassVar[bool] = True  # whether affine has a shift

    def sets(self, shape: Shape) -> tuple[int, int, int, int]:
        """One sample as (rows, pixels, groups, depth): here every pixel is a row."""
        return math.prod(shape[:-1]), 1, 1, shape[-1]

    def check_inputs(self, *inputs: Shape) -> None:
        """Raise ValueError where a set is a single value, which is its own mean."""
        _, pixels, _, depth = self.sets(inputs[0])
        if self.centers and pixels * depth == 1:
            left = "the shift" if self.affine else "0"
            raise ValueError(f"{self.normalizing_one()}: every output would be {left}; {self.remedy}")

    def normalizing_one(self) -> str:
        """What is said where a set is a single value."""
        return f"{self.name_in_config} has one channel here"

    @property
    def remedy(self) -> str:
        """What to do where a set is a single value."""
        return "leave it out"

    @property
    def rescales(self) -> bool:
        """With a scale of its own."""
        return self.affine

    def params(self, *inputs: Shape) -> dict[str, Param]:
        """Declare scale and shift (channels,) where affine."""
        if not self.affine:
            return {}
        shape = inputs[0][-1:]
        scale = {"scale": Param(shape, "norm", start=1)}
        return scale | {"shift": Param(shape, "norm", start=0)} if self.shifts else scale

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """kept: mean and r of each set. scratch: two blocks of rows, two values for each set, and for rows of several
        pixels or groups what is spread over a line, or added up to one and to its channels.
        """
        rows, pixels, groups, depth = self.sets(inputs[0])
        step = min(rows_per_block(pixels * groups * depth), n * rows)
        line = _pixels_in_line(pixels, groups * depth) * groups * depth
        block, of_set = (step, pixels * groups * depth // line, line), (step, groups)
        moment = ((n * rows, groups), dtype)
        return Workspace(
            kept={"mean": moment, "r": moment} if self.centers else {"r": moment},
            scratch={
                "xhat": (block, dtype),
                "product": (block, dtype),
                "first": (of_set, dtype),
                "second": (of_set, dtype),
                "line": ((0 if pixels == groups == 1 else step, line), dtype),
                "channels": ((0 if pixels == 1 else step, groups * depth), dtype),
            },
        )

    def flops(self, *inputs: Shape) -> int:
        """Eight for each value: sum, center, square, sum, and subtract, multiply, multiply, add."""
        return 8 * math.prod(inputs[0])

    def epsilon(self, dtype: np.dtype[Any]) -> float:  # noqa: ARG002
        """What is added to the variance."""
        return self.eps

    def forward(self, f: Frame) -> None:
        """Write y = xhat * scale + shift."""
        for at, x, y in self._blocks(f, f.x, f.y):
            r = f.kept["r"][at]
            if self.centers:
                x = self._centered(f, x, f.kept["mean"][at], r)
            else:
                self._mean_square(f, x, r)
            np.add(r, self.epsilon(r.dtype), out=r)
            np.sqrt(r, out=r)
            np.reciprocal(r, out=r)
            np.multiply(x, self._spread(f, r), out=y)
            if self.affine:
                np.multiply(y, _along(f.p["scale"], y), out=y)
                if self.shifts:
                    np.add(y, _along(f.p["shift"], y), out=y)

    def _centered(self, f: Frame, x: Array, mean: Array, var: Array) -> Array:
        """Write mean and variance of each set of a block; return x - mean, in scratch."""
        count, centered = self._count(f), f.scratch["xhat"][: len(x)]
        np.multiply(self._sums(f, x, mean), 1 / count, out=mean)
        self._mean_square(f, np.subtract(x, self._spread(f, mean), out=centered), var)
        rest, rounded = (f.scratch[name][: len(x)] for name in ("first", "second"))
        np.greater(np.multiply(mean, mean, out=rest), np.multiply(var, ROUNDED, out=rounded), out=rounded)
        if np.count_nonzero(rounded):  # each set by itself, so that its bits are those it has alone
            np.multiply(rounded, 1 / count, out=rounded)
            np.multiply(self._sums(f, centered, rest), rounded, out=rest)
            np.add(mean, rest, out=mean)
            self._mean_square(f, np.subtract(x, self._spread(f, mean), out=centered), var)
        return centered

    def _mean_square(self, f: Frame, x: Array, into: Array) -> None:
        """Write the mean square of each set of a block."""
        square = np.multiply(x, x, out=f.scratch["product"][: len(x)])
        np.multiply(self._sums(f, square, into), 1 / self._count(f), out=into)

    def backward(self, f: Frame) -> None:
        """Write dscale, dshift and dx = r * (g - mean(g) - xhat * mean(g * xhat))."""
        totals = {name: np.zeros(gradient.shape) for name, gradient in (f.dp or {}).items()}
        arrays = (f.x, f.dy) if f.dx is None else (f.x, f.dy, f.dx)
        for at, x, dy, *dx in self._blocks(f, *arrays):
            xhat = self._xhat(f, at, x)
            if totals:
                product = np.multiply(dy, xhat, out=f.scratch["product"][: len(x)])
                channels = len(totals["scale"])
                totals["scale"] += _by_channel(product, channels)
                if self.shifts:
                    totals["shift"] += _by_channel(dy, channels)
            if dx:
                self._input_gradient(f, f.kept["r"][at], xhat, dy, dx[0])
        for name, gradient in (f.dp or {}).items():
            gradient[...] = totals[name]

    def _xhat(self, f: Frame, at: slice, x: Array) -> Array:
        """(x - mean) * r of a block, in scratch."""
        xhat = f.scratch["xhat"][: len(x)]
        if self.centers:
            x = np.subtract(x, self._spread(f, f.kept["mean"][at]), out=xhat)
        return np.multiply(x, self._spread(f, f.kept["r"][at]), out=xhat)

    def _input_gradient(self, f: Frame, r: Array, xhat: Array, dy: Array, dx: Array) -> None:
        """Overwrite a block of dx."""
        count = self._count(f)
        product, first, second = (f.scratch[name][: len(dy)] for name in ("product", "first", "second"))
        g = dy
        if self.affine:
            g = np.multiply(dy, _along(f.p["scale"], dy), out=dx)
        np.multiply(g, xhat, out=product)
        self._sums(f, product, second)
        np.multiply(second, 1 / count, out=second)
        np.multiply(xhat, self._spread(f, second), out=product)
        if self.centers:
            self._sums(f, g, first)
            np.multiply(first, 1 / count, out=first)
            np.add(product, self._spread(f, first), out=product)
        np.subtract(g, product, out=dx)
        np.multiply(dx, self._spread(f, r), out=dx)

    def _count(self, f: Frame) -> int:
        """The values of a set."""
        _, pixels, _, depth = self.sets(f.x.shape[1:])
        return pixels * depth

    def _blocks(self, f: Frame, *arrays: Array) -> Iterator[tuple[Any, ...]]:
        """A range of rows, and that range of each array as (rows, lines, values), lines of some pixels each."""
        _, pixels, groups, depth = self.sets(f.x.shape[1:])
        channels = groups * depth
        per_line = _pixels_in_line(pixels, channels)
        rows = [array.reshape(-1, pixels // per_line, per_line * channels) for array in arrays]
        step = rows_per_block(pixels * channels)
        for start in range(0, len(rows[0]), step):
            at = slice(start, start + step)
            yield at, *(row[at] for row in rows)

    def _spread(self, f: Frame, values: Array) -> Array:
        """A value for each set (rows, groups), so that it goes with a block (rows, lines, values)."""
        if values.shape[1] == 1:
            return values[:, :, None]
        line = f.scratch["line"][: len(values)]
        by_pixel = line.reshape(len(values), -1, values.shape[1], f.x.shape[-1] // values.shape[1])
        np.copyto(by_pixel, values[:, None, :, None])
        return line[:, None]

    def _sums(self, f: Frame, block: Array, out: Array) -> Array:
        """Write a block's sums over each set into out (rows, groups), and return that."""
        groups, channels = out.shape[1], f.x.shape[-1]
        if block.shape[1] > FEW:
            for one, total in zip(block, out, strict=True):
                np.add.reduce(over_rows(one).reshape(-1, groups, channels // groups), axis=(0, 2), out=total)
            return out
        line, sums = f.scratch["line"][: len(out)], block[:, 0]
        if block.shape[1] > 1:
            sums = np.add.reduce(block, axis=1, out=line)
        if sums.shape[1] > channels:
            by_channel = f.scratch["channels"][: len(out)]
            sums = np.add.reduce(sums.reshape(len(out), -1, channels), axis=1, out=by_channel)
        np.add.reduce(sums.reshape(len(out), groups, -1), axis=2, out=out)
        return out

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:
        """Xhat * scale + shift, over axes 1 and 3 of (rows, pixels, groups, depth)."""
        x = t.reshape(xs[0], self.sets(xs[0].shape))
        if self.centers:
            x = t.op("sub", x, t.reduce("mean", x, (1, 3)))
        variance = t.reduce("mean", t.op("mul", x, x), (1, 3))
        root = t.op("sqrt", t.op("add", variance, self.epsilon(np.dtype(np.float32))))
        y = t.reshape(t.op("div", x, root), xs[0].shape)
        for kind, name in (("mul", "scale"), ("add", "shift")):
            y = t.op(kind, y, t.constant(name, p[name])) if name in p else y
        return y


@functools.lru_cache(maxsize=1024)
def _pixels_in_line(pixels: int, channels: int) -> int:
    """How many pixels a line has, a divisor of theirs: operations along lines run long."""
    most = min(pixels, max(_LINE // channels, 1), FEW)
    return next(count for count in range(most, 0, -1) if pixels % count == 0)


def _along(values: Array, block: Array) -> Array:
    """A value for each channel, repeated along a line of a block."""
    return np.tile(values, block.shape[-1] // len(values))


def _by_channel(block: Array, channels: int) -> Array:
    """A block's sums over rows and pixels: (channels,) in float64."""
    found: Array = over_rows(block.reshape(-1, block.shape[-1])).reshape(-1, channels).sum(axis=0)
    return found


@register("layer_norm")
@dataclass(frozen=True)
class LayerNorm(SampleNorm):
    """Layer normalization (Ba et al. 2016) over features, or over the channels of each pixel by itself.

    That is PyTorch's LayerNorm of the last axis and ConvNeXt's LayerNorm2d; over a whole image take group_norm with
    groups 1. The variance is divided by the count.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 2, 4)),
        example((6,), eps=1e-3),
        example((2, 2, 5), affine=False),
    )


@register("rms_norm")
@dataclass(frozen=True)
class RmsNorm(SampleNorm):
    """y = x / sqrt(mean(x * x) + eps) * scale (Zhang and Sennrich 2019), over features or each pixel's channels.

    Layer normalization without the mean and without a shift. `eps` is by default the float type's own, the distance
    from 1 to the next number, as in PyTorch.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 2, 4)),
        example((6,), eps=1e-2),
        example((2, 2, 5), affine=False),
    )
    centers: ClassVar[bool] = False
    shifts: ClassVar[bool] = False

    # added to the mean square; by default the machine epsilon of the float type, as in PyTorch
    eps: Positive | None = None  # type: ignore[assignment]

    def epsilon(self, dtype: np.dtype[Any]) -> float:
        """The one given, else the type's."""
        return float(np.finfo(dtype).eps) if self.eps is None else self.eps


@register("group_norm")
@dataclass(frozen=True)
class GroupNorm(SampleNorm):
    """Group normalization (Wu and He 2018): over all pixels of `groups` equal, consecutive parts of the channels.

    With groups 1, layer normalization of the whole image; PyTorch's GroupNorm, whose groups have no default, the
    paper's is 32.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 2, 64)),
        example((3, 2, 6), groups=3),
        example((6,), groups=2, eps=1e-3),
        example((2, 3, 4), groups=1, affine=False),
        example((2, 1, 3, 4), groups=2),
    )
    whole_clips: ClassVar[bool] = True

    groups: PositiveInt = 32  # equal, consecutive parts of the channels, each normalized by itself

    def output_shape(self, *inputs: Shape) -> Shape:
        """Unchanged. Raises ValueError where the groups do not divide the channels."""
        channels = inputs[0][-1]
        if channels % self.groups:
            divisors = [g for g in range(1, channels + 1) if channels % g == 0]
            raise ValueError(f"groups {self.groups} does not divide the {channels} channels: use one of {divisors}")
        return inputs[0]

    def normalizing_one(self) -> str:
        """What is said where a group is a single value."""
        return f"group_norm with groups {self.groups} has one value a group here"

    @property
    def remedy(self) -> str:
        """Fewer groups, where there can be."""
        return "use fewer groups" if self.groups > 1 else "leave it out"

    def sets(self, shape: Shape) -> tuple[int, int, int, int]:
        """A sample is a row."""
        return 1, math.prod(shape[:-1]), self.groups, shape[-1] // self.groups


@register("instance_norm")
@dataclass(frozen=True)
class InstanceNorm(SampleNorm):
    """Instance normalization (Ulyanov et al. 2016): each channel of each image over its own pixels.

    As in PyTorch without scale and shift unless `affine`, and never with running statistics.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 4, 2)),
        example((2, 3, 3), affine=True, eps=1e-3),
        example((2, 1, 3, 2)),
    )
    whole_clips: ClassVar[bool] = True

    affine: bool = False

    def output_shape(self, *inputs: Shape) -> Shape:
        """Unchanged. Raises ValueError for features, and for an image of one pixel, which has no variance."""
        if pixels(inputs[0], "instance_norm")[0] < 2:
            raise ValueError(f"instance_norm needs more than one pixel a channel, got {inputs[0]}")
        return inputs[0]

    def sets(self, shape: Shape) -> tuple[int, int, int, int]:
        """A sample is a row, a channel a group."""
        return 1, math.prod(shape[:-1]), shape[-1], 1
