"""Batch normalization gives every channel mean 0 and variance 1 over the batch, then a learned scale and shift."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from cnntrain.config.fields import Positive, Probability
from cnntrain.core.arrays import Array, Param, Shape
from cnntrain.core.registry import register
from cnntrain.ops.blocks import CACHED, line, long_rows, repeated
from cnntrain.ops.calls import Calls, run
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Coupled, Example, Frame, Workspace, example

CENTERED = 64.0  # mean^2 / variance of a channel beyond which x is centered first


class Affine(NamedTuple):
    """x -> (x - start) * factor + shift, the same for all shards of a batch; all (channels,) in float64."""

    starts: Array | None  # values of x's type; None where every start is 0
    factors: Array
    shifts: Array
    rest: Array  # the mean less the start
    r: Array


@register("batch_norm")
@dataclass(frozen=True)
class BatchNorm(Coupled):
    """y = (x - mean) * r * scale + shift with r = 1 / sqrt(var + eps) (Ioffe and Szegedy 2015), channel by channel.

    In training, mean and variance (divided by the count m) are those of the whole batch, over samples and pixels; in
    evaluation the running ones: running = (1 - momentum) * running + momentum * new, the variance there divided by
    m - 1 (PyTorch; Keras counts momentum the other way round). With xhat = (x - mean) * r and sums over the batch

        dshift = sum(dy)        dscale = sum(dy * xhat)        dx = scale * r * (dy - dshift / m - xhat * dscale / m)

    Sums run over an image's rows in x's type and from there on in float64. Where a mean is large against its standard
    deviation (CENTERED), x is centered by subtraction before it is squared, multiplied or scaled, so that it costs no
    digits: for the statistics about the shard's mean, moved back exactly (Chan, Golub, LeVeque 1983); for the rest
    about the rounded mean, with the rounding put right in the shift. Elsewhere the mean is folded into the shift,
    which loses at most a digit and saves a pass.

    Frozen, it keeps its scale and shift, and normalizes by its running statistics as in evaluation (Keras's
    trainable = False; PyTorch calls eval on such a layer).
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 4, 2)),
        example((5,), eps=1e-3),
        example((2, 3, 3), affine=False, momentum=0.3),
        example((3, 2, 3), scale=False),
    )
    rowwise: ClassVar[bool] = True
    affine_map: ClassVar[bool] = True
    by_channel: ClassVar[bool] = True
    recomputable: ClassVar[bool] = True

    eps: Positive = 1e-5  # added to the variance, against division by zero
    momentum: Probability = 0.1  # weight of the new batch in the running statistics
    affine: bool = True  # train a scale and a shift for each channel
    scale: bool = True  # where affine, train the scale as well as the shift (Keras's `scale`)

    def params(self, *inputs: Shape) -> dict[str, Param]:
        """Declare scale and shift (channels,) as far as they are trained; running_mean and running_var (channels,)."""
        shape = inputs[0][-1:]
        learned = {"scale": Param(shape, "norm", start=1)} if self.rescales else {}
        learned |= {"shift": Param(shape, "norm", start=0)} if self.affine else {}
        measured = {
            "running_mean": Param(shape, "statistic", start=0),
            "running_var": Param(shape, "statistic", start=1),
        }
        return learned | measured

    @property
    def rescales(self) -> bool:
        """With a scale of its own."""
        return self.affine and self.scale

    def evaluated(self, p: Mapping[str, Array]) -> tuple[Array, Array, Array]:
        """The running mean, scale / sqrt(running_var + eps), and the shift."""
        factor = p.get("scale", np.float64(1)) / np.sqrt(p["running_var"].astype(np.float64) + self.eps)
        return p["running_mean"].astype(np.float64), factor, p.get("shift", np.zeros_like(factor))

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """Room for the shard or a block of it, for the sums of every image, and for those of its columns."""
        images, _, row = _rows(inputs[0], n)
        return Workspace(
            scratch={
                "room": ((n * math.prod(inputs[0]),), dtype),
                "sums": ((2, images, row), dtype),
                "by_column": ((2, row), np.float64),
            }
        )

    def flops(self, *inputs: Shape) -> int:
        """Subtract, multiply, add; the statistics are not counted."""
        return 3 * math.prod(inputs[0])

    def partial(self, f: Frame) -> Array:
        """[count, sum of x (channels), sum of x * x (channels)] of the shard."""
        found, first, second = _sums(f, "x", f.x, f.x)
        count, squared = found[0], first * first
        if not np.count_nonzero(squared > CENTERED * (second * count - squared)):  # takes a fifth of what any() does
            return found.copy()
        pivot = (first / count).astype(f.x.dtype)
        centered, wide = _centered(f, pivot), pivot.astype(np.float64)
        _, first, second = _sums(f, "centered", centered, centered)
        return np.concatenate([[count], first + count * wide, second + wide * (2 * first + count * wide)])

    def forward(self, f: Frame) -> None:
        """Write y = (x - mean) * factor + shift."""
        starts, factors, shifts, *_ = f.once_a_batch("forward", self._affine)
        factor, shift, *start = _lines(f, "forward", factors, shifts, starts)
        for cut, x, y in _blocks(f, "forward", f.x, f.y):
            np.multiply(np.subtract(x, start[0][cut], out=y) if start else x, factor[cut], out=y)
            np.add(y, shift[cut], out=y)

    def partial_back(self, f: Frame) -> Array:
        """[count, sum of dy (channels), sum of dy * xhat (channels)] of the shard: its dshift and dscale."""
        affine = f.once_a_batch("forward", self._affine)
        if affine.starts is None:
            found, d_shift, d_scale = _sums(f, "dy", f.dy, f.x)
        else:
            found, d_shift, d_scale = _sums(f, "dy, centered", f.dy, _centered(f, affine.starts))
        np.multiply(d_scale - affine.rest * d_shift, affine.r, out=d_scale)
        if f.dp is not None and self.affine:
            f.dp["shift"][...] = d_shift
        if f.dp is not None and self.rescales:
            f.dp["scale"][...] = d_scale
        return found.copy()

    def backward(self, f: Frame) -> None:
        """Write dx = a * dy + b * (x - mean) + c, the terms of the formula sorted by what varies.

        A frozen one keeps to its running statistics, which do not depend on x: dx = a * dy alone.
        """
        if f.dx is None:
            return
        starts, factors, *_ = f.once_a_batch("forward", self._affine)
        if f.total is None:
            (factor,) = _lines(f, "frozen", factors)
            for cut, dy, dx in _blocks(f, "frozen", f.dy, f.dx):
                np.multiply(dy, factor[cut], out=dx)
            return
        factor, per_x, constant, *start = _lines(f, "backward", factors, *f.once_a_batch("back", self._terms), starts)
        for cut, x, dy, dx in _blocks(f, "backward", f.x, f.dy, f.dx):
            term = f.scratch["room"][: x.size].reshape(x.shape)
            np.multiply(np.subtract(x, start[0][cut], out=term) if start else x, per_x[cut], out=term)
            np.add(term, constant[cut], out=term)
            np.multiply(dy, factor[cut], out=dx)
            np.add(dx, term, out=dx)

    def _affine(self, f: Frame) -> Affine:
        """What forward does to x: by the batch's statistics, or the running ones where there is no total."""
        if f.total is None:
            mean, variance = (f.p[name].astype(np.float64) for name in ("running_mean", "running_var"))
        else:
            mean, variance = _moments(f.total)
        r = 1 / np.sqrt(variance + self.eps)
        factor = self._scale(f) * r
        start = np.zeros(mean.shape, f.x.dtype)
        if large := bool(np.any(mean * mean * r * r > CENTERED)):
            start = mean.astype(f.x.dtype)
        rest = mean - start
        shift = (f.p["shift"] if self.affine else 0) - rest * factor
        return Affine(start.astype(np.float64) if large else None, factor, shift, rest, r)

    def _terms(self, f: Frame) -> tuple[Array, Array]:
        """The b and c of backward (channels,), in float64."""
        channels = f.x.shape[-1]
        affine = f.once_a_batch("forward", self._affine)
        count, d_shift, d_scale = f.total[0], f.total[1 : 1 + channels], f.total[1 + channels :]
        factor = self._scale(f) * affine.r
        per_x = -factor * affine.r * d_scale / count
        return per_x, -factor * d_shift / count - per_x * affine.rest

    def update_statistics(self, total: Array, p: Mapping[str, Array]) -> None:
        """Fold the batch's mean and unbiased variance into the running ones.

        Raises ValueError for a batch with one value a channel, whose variance is not defined (as PyTorch).
        """
        count = total[0]
        if count < 2:
            raise ValueError(
                "batch_norm got one value per channel in this batch, which has no variance: "
                "choose a batch_size that leaves no batch of one sample"
            )
        mean, variance = _moments(total)
        for name, new in (("running_mean", mean), ("running_var", variance * (count / (count - 1)))):
            p[name][...] = (1 - self.momentum) * p[name] + self.momentum * new

    def _scale(self, f: Frame) -> Any:
        """The learned scale in float64, or 1."""
        return f.p["scale"].astype(np.float64) if self.rescales else 1.0

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:
        """(x - mean) * factor + shift, by the running statistics, with the mean's rounding put right as in forward."""
        mean, factor, shift = self.evaluated(p)
        rounded = p["running_mean"].astype(np.float32)
        shift = shift - (mean - rounded) * factor
        y = t.op("mul", t.op("sub", xs[0], t.constant("mean", rounded)), t.constant("factor", factor))
        return t.op("add", y, t.constant("shift", shift))


def _moments(total: Array) -> tuple[Array, Array]:
    """Mean and biased variance (channels,) from [count, sums, sums of squares]."""
    channels = len(total) // 2
    mean = total[1 : 1 + channels] / total[0]
    return mean, np.maximum(total[1 + channels :] / total[0] - mean * mean, 0)


def _rows(shape: Shape, n: int) -> Shape:
    """A shard of n samples as (images, rows, values in a row): operations along rows run long, and sums are short."""
    return (n, shape[0], shape[1] * shape[2]) if len(shape) == 3 else (1, n, math.prod(shape))


def _lines(f: Frame, name: str, *factors: Array | None) -> list[Array]:
    """The lines of the factors that are not None; all shards share them, and they are made once a batch."""
    given = [factor for factor in factors if factor is not None]
    size, dtype = f.x.size, f.x.dtype
    return f.once_a_batch(f"{name}, lines of {size}", lambda _: [repeated(factor, size, dtype) for factor in given])


def _blocks(f: Frame, name: str, *arrays: Array) -> list[tuple[Any, ...]]:
    """Arrays of x's shape by blocks of a few lines, which stay in the cache, each behind the slice that cuts a line to
    fit; made once, for the arrays of a frame stay where they are.
    """

    def cut(f: Frame) -> list[tuple[Any, ...]]:
        length = line(f.x.shape[-1], f.x.size)
        step = max(CACHED // length, 1)
        found: list[tuple[Any, ...]] = []
        for parts in long_rows(length, *arrays):
            if parts[0].ndim == 1:
                found.append((slice(len(parts[0])), *parts))
            else:
                found += [
                    (slice(None), *(part[start : start + step] for part in parts))
                    for start in range(0, len(parts[0]), step)
                ]
        return found

    return f.once(f"blocks of {name}", cut)


def _centered(f: Frame, starts: Array) -> Array:
    """Write x - start into scratch."""
    centered, start = f.scratch["room"].reshape(f.x.shape), repeated(starts, f.x.size, f.x.dtype)
    for cut, x, out in _blocks(f, "centered", f.x, centered):
        np.subtract(x, start[cut], out=out)
    return centered


def _sums(f: Frame, name: str, a: Array, b: Array) -> tuple[Array, Array, Array]:
    """[count, sums by channel of an array of x's shape, those of its product with another], and views of the sums.

    They are in float64, and overwritten when they are asked for again.
    """
    calls, *found = f.once(f"sums of {name}", lambda f: _summing(f, a, b))
    run(calls)
    return found[0], found[1], found[2]


def _summing(f: Frame, a: Array, b: Array) -> tuple[Calls, Array, Array, Array]:
    """The calls that write the sums, and where."""
    sums, by_column = f.scratch["sums"], f.scratch["by_column"]
    a, b = (array.reshape(sums.shape[1], -1, sums.shape[2]) for array in (a, b))
    ones = np.ones(a.shape[1], a.dtype)
    step = max(CACHED // a[0].size, 1)  # images that stay in the cache
    calls: Calls = []
    for start in range(0, len(a), step):
        images = slice(start, start + step)
        calls.append(partial(np.matmul, ones, a[images], sums[0, images]))  # faster than adding up along an axis
        calls.append(partial(np.einsum, "irk,irk->ik", a[images], b[images], out=sums[1, images]))
    channels = f.x.shape[-1]
    found = np.empty(1 + 2 * channels)
    found[0] = f.x.size // channels
    by_channel = found[1:].reshape(2, channels)
    calls.append(partial(np.add.reduce, sums, 1, np.float64, by_column))
    calls.append(partial(np.add.reduce, by_column.reshape(2, -1, channels), 1, None, by_channel))
    return calls, found, *by_channel
