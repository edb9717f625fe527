"""Batch normalization gives every channel mean 0 and variance 1 over the batch, then a learned scale and shift."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from cnntrain.arrays import Array, Param, Shape
from cnntrain.config.fields import Positive, Probability
from cnntrain.draft import Draft, Value
from cnntrain.layers.base import Coupled, Example, Frame, Workspace, example
from cnntrain.registry import register

# isort: split
import numpy as np

CENTERED = 64.0  # mean^2 / variance of a channel beyond which x is centered first


class Affine(NamedTuple):
    """x -> (x - start) * factor + shift, the same for all shards of a batch: rows in x's type, the rest float64."""

    starts: Array | None  # along an image row; None where every start is 0
    factors: Array
    shifts: Array
    rest: Array  # (channels,): the mean less the start
    r: Array  # (channels,)


@register("batch_norm")
@dataclass(frozen=True)
class BatchNorm(Coupled):
    """y = (x - mean) * r * scale + shift with r = 1 / sqrt(var + eps) (Ioffe and Szegedy 2015), channel by channel.

    In training, mean and variance (divided by the count m) are those of the whole batch, over samples and pixels; in
    evaluation the running ones: running = (1 - momentum) * running + momentum * new, the variance there divided by
    m - 1 (PyTorch; Keras counts momentum the other way round). With xhat = (x - mean) * r and sums over the batch

        dshift = sum(dy)        dscale = sum(dy * xhat)        dx = scale * r * (dy - dshift / m - xhat * dscale / m)

    Sums run over an image's rows in x's type and from there on in float64. Where a mean is large against its deviation
    (CENTERED), x is centered by subtraction before it is squared, multiplied or scaled, so that it costs no digits:
    for the statistics about the shard's first pixel, moved back exactly (Chan, Golub, LeVeque 1983); for the rest
    about the rounded mean, with the rounding put right in the shift. Elsewhere the mean is folded into the shift,
    which loses at most a digit and saves a pass.

    Frozen, it keeps its scale and shift, and normalizes by its running statistics as in evaluation (Keras's
    trainable = False; PyTorch calls eval on such a layer).
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 4, 2)),
        example((5,), eps=1e-3),
        example((2, 3, 3), affine=False, momentum=0.3),
    )

    eps: Positive = 1e-5
    momentum: Probability = 0.1  # the weight of the new value
    affine: bool = True

    def params(self, *inputs: Shape) -> dict[str, Param]:
        """Declare scale and shift (channels,) where affine; running_mean and running_var (channels,)."""
        shape = inputs[0][-1:]
        learned = {"scale": Param(shape, "norm", start=1), "shift": Param(shape, "norm", start=0)}
        measured = {
            "running_mean": Param(shape, "statistic", start=0),
            "running_var": Param(shape, "statistic", start=1),
        }
        return learned | measured if self.affine else measured

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """Room for the shard, and for its sums."""
        images, _, row = _rows(inputs[0], n)
        return Workspace(scratch={"room": ((n, *inputs[0]), dtype), "sums": ((images, row), dtype)})

    def flops(self, *inputs: Shape) -> int:
        """Subtract, multiply, add; the statistics are not counted."""
        return 3 * math.prod(inputs[0])

    def partial(self, f: Frame) -> Array:
        """[count, sum of x (channels), sum of x * x (channels)] of the shard."""
        channels = f.x.shape[-1]
        count = f.x.size // channels
        first, second = _sums(f, f.x), _sums(f, f.x, f.x)
        mean = first / count
        if np.any(mean * mean > CENTERED * (second / count - mean * mean)):
            pivot = f.x.reshape(-1, channels)[0]
            centered = _centered(f, _along_row(f, pivot))
            first, second, wide = _sums(f, centered), _sums(f, centered, centered), pivot.astype(np.float64)
            first, second = first + count * wide, second + wide * (2 * first + count * wide)
        return np.concatenate([[count], first, second])

    def forward(self, f: Frame) -> None:
        """Write y = (x - mean) * factor + shift."""
        affine = f.once_a_batch("forward", self._affine)
        x, y = _lines(f, f.x), _lines(f, f.y)
        if affine.starts is not None:
            np.subtract(x, affine.starts, out=y)
            x = y
        np.multiply(x, affine.factors, out=y)
        np.add(y, affine.shifts, out=y)

    def partial_back(self, f: Frame) -> Array:
        """[count, sum of dy (channels), sum of dy * xhat (channels)] of the shard: its dshift and dscale."""
        affine = f.once_a_batch("forward", self._affine)
        d_shift = _sums(f, f.dy)
        d_scale = _sums(f, f.x if affine.starts is None else _centered(f, affine.starts), f.dy)
        d_scale = (d_scale - affine.rest * d_shift) * affine.r
        if f.dp is not None and self.affine:
            f.dp["shift"][...], f.dp["scale"][...] = d_shift, d_scale
        return np.concatenate([[f.x.size // f.x.shape[-1]], d_shift, d_scale])

    def backward(self, f: Frame) -> None:
        """Write dx = a * dy + b * (x - mean) + c, the terms of the formula sorted by what varies.

        A frozen one keeps to its running statistics, which do not depend on x: dx = a * dy alone.
        """
        if f.dx is None:
            return
        affine = f.once_a_batch("forward", self._affine)
        dy, dx = _lines(f, f.dy), _lines(f, f.dx)
        np.multiply(dy, affine.factors, out=dx)
        if f.total is None:
            return
        per_x, constant = f.once_a_batch("backward", self._terms)
        x, term = f.x if affine.starts is None else _centered(f, affine.starts), _lines(f, f.scratch["room"])
        np.multiply(_lines(f, x), per_x, out=term)
        np.add(term, constant, out=term)
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
        starts = _along_row(f, start) if large else None
        return Affine(starts, _along_row(f, factor), _along_row(f, shift), rest, r)

    def _terms(self, f: Frame) -> tuple[Array, Array]:
        """B and c of backward along an image row."""
        channels = f.x.shape[-1]
        affine = f.once_a_batch("forward", self._affine)
        count, d_shift, d_scale = f.total[0], f.total[1 : 1 + channels], f.total[1 + channels :]
        factor = self._scale(f) * affine.r
        per_x = -factor * affine.r * d_scale / count
        return _along_row(f, per_x), _along_row(f, -factor * d_shift / count - per_x * affine.rest)

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
        return f.p["scale"].astype(np.float64) if self.affine else 1.0

    def draw(self, d: Draft, p: Mapping[str, Array], *xs: Value) -> Value:
        """(x - mean) * factor + shift, by the running statistics, with the mean's rounding put right as in forward."""
        mean = p["running_mean"].astype(np.float64)
        rounded = p["running_mean"].astype(np.float32)
        factor = p.get("scale", np.float64(1)) / np.sqrt(p["running_var"].astype(np.float64) + self.eps)
        shift = p.get("shift", np.float64(0)) - (mean - rounded) * factor
        y = d.op("mul", d.op("sub", xs[0], d.constant("mean", rounded)), d.constant("factor", factor))
        return d.op("add", y, d.constant("shift", shift))


def _moments(total: Array) -> tuple[Array, Array]:
    """Mean and biased variance (channels,) from [count, sums, sums of squares]."""
    channels = len(total) // 2
    mean = total[1 : 1 + channels] / total[0]
    return mean, np.maximum(total[1 + channels :] / total[0] - mean * mean, 0)


def _rows(shape: Shape, n: int) -> Shape:
    """A shard of n samples as (images, rows, values in a row): operations along rows run long, and sums are short."""
    return (n, shape[0], shape[1] * shape[2]) if len(shape) == 3 else (1, n, math.prod(shape))


def _lines(f: Frame, array: Array) -> Array:
    """An array of x's shape as image rows: (rows, width * channels)."""
    return array.reshape(-1, f.scratch["sums"].shape[1])


def _along_row(f: Frame, factor: Array) -> Array:
    """A factor for each channel, repeated along one image row, in x's type."""
    return np.tile(factor.astype(f.x.dtype), f.scratch["sums"].shape[1] // len(factor))


def _centered(f: Frame, starts: Array) -> Array:
    """X - start, in scratch."""
    np.subtract(_lines(f, f.x), starts, out=_lines(f, f.scratch["room"]))
    return f.scratch["room"]


def _sums(f: Frame, *factors: Array) -> Array:
    """Sums by channel of an array of x's shape, or of the product of two, in float64."""
    sums = f.scratch["sums"]
    views = [factor.reshape(len(sums), -1, sums.shape[1]) for factor in factors]
    if len(views) == 1:
        np.add.reduce(views[0], 1, out=sums)
    else:
        np.einsum("irk,irk->ik", *views, out=sums)
    by_row = np.add.reduce(sums, 0, dtype=np.float64)
    total: Array = by_row.reshape(-1, f.x.shape[-1]).sum(0)
    return total
