"""Batch normalization gives every channel mean 0 and variance 1 over the batch, then a learned scale and shift."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.arrays import Array, Param, Shape
from cnntrain.config.fields import Positive, Probability
from cnntrain.layers.base import Coupled, Example, Frame, Workspace, example
from cnntrain.registry import register

# isort: split
import numpy as np

BLOCK = 32 * 1024  # values worked on at a time: 128 KB of float32 stay in cache


@register("batch_norm")
@dataclass(frozen=True)
class BatchNorm(Coupled):
    """y = (x - mean) * r * scale + shift with r = 1 / sqrt(var + eps) (Ioffe and Szegedy 2015), channel by channel.

    In training, mean and variance (divided by the count m) are those of the whole batch, over samples and pixels; in
    evaluation the running ones: running = (1 - momentum) * running + momentum * new, the variance there divided by
    m - 1 (PyTorch; Keras counts momentum the other way round). With xhat = (x - mean) * r and sums over the batch

        dshift = sum(dy)        dscale = sum(dy * xhat)        dx = scale * r * (dy - dshift / m - xhat * dscale / m)

    Sums run over blocks in x's type and from there on in float64. The statistics are taken of x - pivot, where the
    pivot is the shard's first pixel, and then moved back exactly: so a mean that is large against the deviation costs
    no digits of the variance (Chan, Golub, LeVeque 1983). Nor of y: x is centered by subtraction before it is scaled,
    and the rounding of the mean to x's type is put right in the shift.

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

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:  # noqa: ARG002
        """kept: mean and r of the batch. scratch: two blocks, ones to sum by, per-channel factors along a row."""
        channels = inputs[0][-1]
        row = channels * _width(inputs[0])
        block = max(BLOCK // row, 1) * row
        return Workspace(
            kept={"mean": ((channels,), np.float64), "r": ((channels,), np.float64)},
            scratch={
                "block": ((block,), dtype),
                "ones": ((block // channels,), dtype),
                "factors": ((4, row), dtype),
            },
        )

    def flops(self, *inputs: Shape) -> int:
        """Subtract, multiply, add; the statistics are not counted."""
        return 3 * math.prod(inputs[0])

    def partial(self, f: Frame) -> Array:
        """[count, sum of x (channels), sum of x * x (channels)] of the shard."""
        channels = f.x.shape[-1]
        count = f.x.size // channels
        pivot = f.x.reshape(-1, channels)[0]
        (pivots,) = _along_rows(f, pivot)
        f.scratch["ones"].fill(1)
        first, second = np.zeros(channels), np.zeros(channels)
        for (x,) in _blocks(f, f.x):
            centered = _block(f, x)
            np.subtract(x, pivots, out=centered)
            first += _sums(f, centered)
            np.multiply(centered, centered, out=centered)
            second += _sums(f, centered)
        wide = pivot.astype(np.float64)
        return np.concatenate([[count], first + count * wide, second + wide * (2 * first + count * wide)])

    def forward(self, f: Frame) -> None:
        """Write y = (x - mean) * factor + shift."""
        if f.total is None:
            mean = f.p["running_mean"].astype(np.float64)
            r = 1 / np.sqrt(f.p["running_var"].astype(np.float64) + self.eps)
        else:
            mean, variance = _moments(f.total)
            r = 1 / np.sqrt(variance + self.eps)
            f.kept["mean"][...], f.kept["r"][...] = mean, r
        factor = self._scale(f) * r
        rounded = mean.astype(f.x.dtype)
        shift = (f.p["shift"] if self.affine else 0) - (mean - rounded) * factor
        means, factors, shifts = _along_rows(f, rounded, factor, shift)
        for x, y in _blocks(f, f.x, f.y):
            np.subtract(x, means, out=y)
            np.multiply(y, factors, out=y)
            np.add(y, shifts, out=y)

    def partial_back(self, f: Frame) -> Array:
        """[count, sum of dy (channels), sum of dy * xhat (channels)] of the shard: its dshift and dscale."""
        channels = f.x.shape[-1]
        mean = f.kept["mean"]
        rounded = mean.astype(f.x.dtype)
        (means,) = _along_rows(f, rounded)
        f.scratch["ones"].fill(1)
        d_shift, d_scale = np.zeros(channels), np.zeros(channels)
        for x, dy in _blocks(f, f.x, f.dy):
            d_shift += _sums(f, dy)
            product = _block(f, x)
            np.subtract(x, means, out=product)
            np.multiply(product, dy, out=product)
            d_scale += _sums(f, product)
        d_scale -= (mean - rounded) * d_shift
        d_scale *= f.kept["r"]
        if f.dp is not None and self.affine:
            f.dp["shift"][...], f.dp["scale"][...] = d_shift, d_scale
        return np.concatenate([[f.x.size // channels], d_shift, d_scale])

    def backward(self, f: Frame) -> None:
        """Write dx = a * dy + b * (x - mean) + c, the terms of the formula sorted by what varies.

        A frozen one keeps to its running statistics, which do not depend on x: dx = a * dy alone.
        """
        if f.dx is None:
            return
        if f.total is None:
            (a,) = _along_rows(f, self._scale(f) / np.sqrt(f.p["running_var"].astype(np.float64) + self.eps))
            for dy, dx in _blocks(f, f.dy, f.dx):
                np.multiply(dy, a, out=dx)
            return
        channels = f.x.shape[-1]
        count, d_shift, d_scale = f.total[0], f.total[1 : 1 + channels], f.total[1 + channels :]
        mean, r = f.kept["mean"], f.kept["r"]
        per_dy = self._scale(f) * r
        per_x = -per_dy * r * d_scale / count
        rounded = mean.astype(f.x.dtype)
        constant = -per_dy * d_shift / count - per_x * (mean - rounded)
        means, a, b, c = _along_rows(f, rounded, per_dy, per_x, constant)
        for x, dy, dx in _blocks(f, f.x, f.dy, f.dx):
            term = _block(f, x)
            np.subtract(x, means, out=term)
            np.multiply(term, b, out=term)
            np.add(term, c, out=term)
            np.multiply(dy, a, out=dx)
            np.add(dx, term, out=dx)

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


def _moments(total: Array) -> tuple[Array, Array]:
    """Mean and biased variance (channels,) from [count, sums, sums of squares]."""
    channels = len(total) // 2
    mean = total[1 : 1 + channels] / total[0]
    return mean, np.maximum(total[1 + channels :] / total[0] - mean * mean, 0)


def _width(shape: Shape) -> int:
    """Pixels of one image row, over which per-channel factors are repeated so that operations run longer."""
    return shape[-2] if len(shape) == 3 else 1


def _blocks(f: Frame, *arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Arrays of x's shape as blocks of image rows: (rows, width * channels)."""
    row = f.scratch["factors"].shape[1]
    step = f.scratch["block"].size // row
    lines = [array.reshape(-1, row) for array in arrays]
    for start in range(0, len(lines[0]), step):
        yield tuple(line[start : start + step] for line in lines)


def _along_rows(f: Frame, *factors: Any) -> Array:
    """Per-channel factors, each repeated along one image row, in x's type."""
    rows = f.scratch["factors"][: len(factors)]
    for row, factor in zip(rows, factors, strict=True):
        row.reshape(-1, f.x.shape[-1])[...] = factor
    return rows


def _block(f: Frame, like: Array) -> Array:
    """Scratch of the shape of a block."""
    return f.scratch["block"][: like.size].reshape(like.shape)


def _sums(f: Frame, block: Array) -> Array:
    """Sums over the pixels of a block; a product with ones is the fastest way to add columns up."""
    pixels = block.reshape(-1, f.x.shape[-1])
    sums: Array = np.matmul(f.scratch["ones"][: len(pixels)], pixels)
    return sums
