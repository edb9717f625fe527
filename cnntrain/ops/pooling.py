"""Pooling kernels visit a shard tap by tap: tap t of all windows at once is one strided slice of the images.

They work on some images at a time, so that what the taps share stays in cache. Where pixels that are not neighbours
have few channels, NumPy spends its time between short rows; copied side by side first, a pixel's channels as one item,
they are one long row.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from cnntrain.core.arrays import Array
from cnntrain.ops.calls import Calls, add, clear, copy, copy_pixels
from cnntrain.ops.windows import Axis, Windows

CHUNK_VALUES = 1024 * 1024  # of the input: operations on fewer are so short that workers contend for the interpreter
NARROW = 32  # channels up to which what one operation reads is copied side by side for it; for three it always pays


def images_per_chunk(windows: Windows, channels: int, n: int) -> int:
    """Images handled together, in a shard of n."""
    return max(1, min(n, CHUNK_VALUES // (windows.rows.size * windows.columns.size * channels)))


def tap_type(windows: Windows) -> type[np.unsignedinteger]:
    """The smallest integer type that numbers the taps of a window."""
    return np.uint8 if windows.taps <= 256 else np.uint16 if windows.taps <= 65536 else np.uint32


def max_forward(
    windows: Windows, x: Array, y: Array, winner: Array | None, beats: Array, number: Array, seen: Array
) -> Calls:
    """The calls that write the maximum of each window, and unless it is None which tap it came from.

    x (n, h, w, c); y and winner (n, rows, columns, c); beats (bool), number (winner's type) and seen (x's type) are
    scratch for one chunk of outputs. The first of equals wins. NaN wins over everything, and leaves `winner` at an
    arbitrary tap.
    """
    taps, calls = list(_taps(windows)), Calls()
    gathered = _scattered(windows) and (winner is not None or x.shape[3] <= NARROW)
    for chunk in _chunks(windows, x):
        xs, ys, best = x[chunk], y[chunk], None if winner is None else winner[chunk]
        begun = _everywhere(windows, taps[0])
        calls.append(copy_pixels(ys, xs[:, *taps[0][1]]) if begun else partial(ys.fill, -np.inf))
        if best is not None:
            calls.append(clear(best) if begun else copy(best, _first_inside(windows, taps, best.dtype)))
        for tap, (at, read) in list(enumerate(taps))[begun:]:
            value, top = xs[:, *read], ys[:, *at]
            if gathered:
                calls.append(copy_pixels(seen[: len(xs), *at], value))
                value = seen[: len(xs), *at]
            if best is not None and tap:
                better, numbered, so_far = beats[: len(xs), *at], number[: len(xs), *at], best[:, *at]
                calls.append(partial(np.greater, value, top, better))
                calls.append(partial(np.multiply, better.view(np.uint8), best.dtype.type(tap), numbered))
                calls.append(partial(np.maximum, so_far, numbered, out=so_far))  # later taps have larger numbers
            calls.append(partial(np.maximum, top, value, out=top))
    return calls


def _first_inside(windows: Windows, taps: Sequence[Tap], dtype: npt.DTypeLike) -> Array:
    """The first tap of each window that is not in the padding: what wins where nothing is above -infinity."""
    first = np.zeros((windows.rows.out, windows.columns.out, 1), dtype)
    for tap, (at, _) in reversed(list(enumerate(taps))):
        first[at] = tap
    return first


def max_backward(windows: Windows, dy: Array, winner: Array, dx: Array, won: Array, share: Array) -> Calls:
    """The calls that add each window's dy to the pixel it took; every other pixel of dx is 0.

    `won` and `share` are scratch.
    """
    calls, disjoint = Calls(), _disjoint(windows)
    direct = disjoint and not (_scattered(windows) and dx.shape[3] <= NARROW)
    for chunk in _chunks(windows, dx):
        dys, best, dxs = dy[chunk], winner[chunk], dx[chunk]
        if not _tiling(windows):
            calls.append(clear(dxs))
        for tap, (at, read) in enumerate(_taps(windows)):
            mine, part, place = won[: len(dxs), *at], share[: len(dxs), *at], dxs[:, *read]
            calls.append(partial(np.equal, best[:, *at], best.dtype.type(tap), mine))
            calls.append(partial(np.multiply, dys[:, *at], mine, place if direct else part))
            if not direct:
                calls.append(copy_pixels(place, part) if disjoint else add(place, part, place))
    return calls


def mean_forward(windows: Windows, x: Array, y: Array, include_padding: bool, seen: Array) -> Calls:
    """The calls that write the mean of each window; see `shares` for what it is divided by. `seen` is scratch."""
    weights, calls = shares(windows, include_padding, y.dtype), Calls()
    gathered = _scattered(windows) and x.shape[3] <= NARROW
    for chunk in _chunks(windows, x):
        xs, ys = x[chunk], y[chunk]
        calls.append(clear(ys))
        for at, read in _taps(windows):
            value, total = xs[:, *read], ys[:, *at]
            if gathered:
                calls.append(copy_pixels(seen[: len(xs), *at], value))
                value = seen[: len(xs), *at]
            calls.append(add(total, value, total))
        calls.append(partial(np.multiply, ys, weights, ys))
    return calls


def mean_backward(windows: Windows, dy: Array, dx: Array, include_padding: bool, share: Array) -> Calls:
    """The calls that add each window's dy, divided as in forward, to every pixel it read. `share` is scratch."""
    weights, calls = shares(windows, include_padding, dy.dtype), Calls()
    for chunk in _chunks(windows, dx):
        dxs = dx[chunk]
        part = share[: len(dxs)]
        calls.append(partial(np.multiply, dy[chunk], weights, part))
        if not _tiling(windows):
            calls.append(clear(dxs))
        for at, read in _taps(windows):
            place, given = dxs[:, *read], part[:, *at]
            calls.append(copy_pixels(place, given) if _disjoint(windows) else add(place, given, place))
    return calls


def _scattered(windows: Windows) -> bool:
    """Whether the pixels of one tap are not neighbours."""
    return windows.columns.stride > 1


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
