"""Pooling kernels visit a shard tap by tap: tap t of all windows at once is one strided slice of the images.

They work on some images at a time, so that what the taps share stays in cache.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from cnntrain.core.arrays import Array
from cnntrain.ops.windows import Axis, Windows

CHUNK_VALUES = 1024 * 1024  # of the input: operations on fewer are so short that workers contend for the interpreter


def images_per_chunk(windows: Windows, channels: int, n: int) -> int:
    """Images handled together, in a shard of n."""
    return max(1, min(n, CHUNK_VALUES // (windows.rows.size * windows.columns.size * channels)))


def tap_type(windows: Windows) -> type[np.unsignedinteger]:
    """The smallest integer type that numbers the taps of a window."""
    return np.uint8 if windows.taps <= 256 else np.uint16 if windows.taps <= 65536 else np.uint32


def max_forward(windows: Windows, x: Array, y: Array, winner: Array | None, beats: Array, number: Array) -> None:
    """Write the maximum of each window, and unless it is None which tap it came from, the first where several tie.

    x (n, h, w, c); y and winner (n, rows, columns, c); beats (bool) and number (winner's type) are scratch for one
    chunk of outputs. NaN wins over everything, and leaves `winner` at an arbitrary tap.
    """
    taps = list(_taps(windows))
    for chunk in _chunks(windows, x):
        xs, ys, best = x[chunk], y[chunk], None if winner is None else winner[chunk]
        if _everywhere(windows, taps[0]):
            np.copyto(ys, xs[:, *taps[0][1]])
        else:
            ys.fill(-np.inf)
        if best is not None:
            best.fill(0)
        for tap, (at, read) in enumerate(taps):
            value, top = xs[:, *read], ys[:, *at]
            if best is not None and tap:
                better = np.greater(value, top, out=beats[: len(xs), *at])
                numbered = np.multiply(better.view(np.uint8), best.dtype.type(tap), out=number[: len(xs), *at])
                np.maximum(best[:, *at], numbered, out=best[:, *at])  # later taps have larger numbers
            np.maximum(top, value, out=top)


def max_backward(windows: Windows, dy: Array, winner: Array, dx: Array, won: Array, share: Array) -> None:
    """Add each window's dy to the pixel it took; every other pixel of dx is 0. `won` and `share` are scratch."""
    for chunk in _chunks(windows, dx):
        dys, best, dxs = dy[chunk], winner[chunk], dx[chunk]
        if not _tiling(windows):
            dxs.fill(0)
        for tap, (at, read) in enumerate(_taps(windows)):
            mine = np.equal(best[:, *at], tap, out=won[: len(dxs), *at])
            if _disjoint(windows):
                np.multiply(dys[:, *at], mine, out=dxs[:, *read])
            else:
                part = np.multiply(dys[:, *at], mine, out=share[: len(dxs), *at])
                np.add(dxs[:, *read], part, out=dxs[:, *read])


def mean_forward(windows: Windows, x: Array, y: Array, include_padding: bool) -> None:
    """Write the mean of each window; see `shares` for what it is divided by."""
    weights = shares(windows, include_padding, y.dtype)
    for chunk in _chunks(windows, x):
        xs, ys = x[chunk], y[chunk]
        ys.fill(0)
        for at, read in _taps(windows):
            np.add(ys[:, *at], xs[:, *read], out=ys[:, *at])
        np.multiply(ys, weights, out=ys)


def mean_backward(windows: Windows, dy: Array, dx: Array, include_padding: bool, share: Array) -> None:
    """Add each window's dy, divided as in forward, to every pixel it read. `share` is scratch."""
    weights = shares(windows, include_padding, dy.dtype)
    for chunk in _chunks(windows, dx):
        dxs = dx[chunk]
        part = np.multiply(dy[chunk], weights, out=share[: len(dxs)])
        if not _tiling(windows):
            dxs.fill(0)
        for at, read in _taps(windows):
            if _disjoint(windows):
                np.copyto(dxs[:, *read], part[:, *at])
            else:
                np.add(dxs[:, *read], part[:, *at], out=dxs[:, *read])


Tap = tuple[tuple[slice, slice], tuple[slice, slice]]  # the windows (rows, columns) it lies inside for, what they read


def _taps(windows: Windows) -> Iterator[Tap]:
    """The taps of a window, row by row."""
    for i in range(windows.rows.kernel):
        at_row, row = windows.rows.reach(i)
        for j in range(windows.columns.kernel):
            at_column, column = windows.columns.reach(j)
            yield (at_row, at_column), (row, column)


def _chunks(windows: Windows, images: Array) -> Iterator[slice]:
    """The images handled together."""
    n = len(images)
    step = images_per_chunk(windows, images.shape[3], n)
    for start in range(0, n, step):
        yield slice(start, min(n, start + step))


def _everywhere(windows: Windows, tap: Tap) -> bool:
    """Whether a tap lies inside the image for every window."""
    return tap[0] == (slice(0, windows.rows.out), slice(0, windows.columns.out))


def _disjoint(windows: Windows) -> bool:
    """Whether no two windows share a pixel."""
    return all(axis.stride >= axis.extent for axis in (windows.rows, windows.columns))


def _tiling(windows: Windows) -> bool:
    """Whether every pixel belongs to exactly one window."""
    return all(
        axis.stride == axis.extent and axis.before == 0 and axis.out * axis.stride >= axis.size
        for axis in (windows.rows, windows.columns)
    )


@functools.lru_cache(maxsize=256)
def shares(windows: Windows, include_padding: bool, dtype: npt.DTypeLike) -> Array:
    """One over the number of positions each window's mean counts: (rows, columns, 1), or (1, 1, 1) where all agree.

    With `include_padding` those in the padding count, but not those beyond it, where ceil_mode lets a window stick
    out; without, those in the image (PyTorch).
    """
    rows, columns = (_counts(axis, include_padding) for axis in (windows.rows, windows.columns))
    counts = rows[:, None, None] * columns[None, :, None]
    if np.all(counts == counts[0, 0, 0]):
        counts = counts[:1, :1]
    weights: Array = (1 / counts).astype(dtype)
    weights.flags.writeable = False
    return weights


def _counts(axis: Axis, include_padding: bool) -> Array:
    """Positions of each window that count along one axis: (out,) float64."""
    low, high = (-axis.before, axis.size + axis.after) if include_padding else (0, axis.size)
    start = np.arange(axis.out) * axis.stride - axis.before
    counts: Array = (np.minimum(start + axis.kernel, high) - np.maximum(start, low)).astype(np.float64)
    return counts
