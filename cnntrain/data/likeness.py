"""A picture's likeness is what survives saving it again, resizing it or brightening it: 16x16 grey values.

Pictures look alike where the signs of the low frequencies (the 64-bit hash of pHash: Zauner 2010, "Implementation and
Benchmarking of Perceptual Image Hash Functions") differ in 4 bits at most, and the values correlate by 0.995 at least.
By the hash alone every second handwritten digit would be taken for another. A picture that is nearly all background,
such as a single stroke, has too few shapes for that to mean anything: for such pictures the values must correlate by
0.999.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np

from cnntrain.core.arrays import Array

SIDE = 16
MOST = 200_000  # pictures of which likenesses are kept, 256 bytes each
BITS = 4  # in which the hashes of pictures that look alike may differ
CORRELATION = 0.995
PLAIN_CORRELATION = 0.999  # of plain pictures: 0.997 is reached by ones that two people wrote (MNIST), by chance
PLAIN = 40  # cells of 256 that differ from the background, below which a picture is plain
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LOW = 8  # frequencies on each axis
_BANDS = BITS + 1  # of the hash: one of them is the same where at most BITS bits differ
_CHUNK = 4096


def likenesses(pixels: Array) -> Array:
    """The mean brightness of pictures (n, h, w, c), uint8 or float, over a grid of 16x16 cells: uint8 (n, 256).

    With three channels that is the luma of JPEG (ITU-R BT.601), which saving a picture again hardly changes.

    Floats are spread over 0 to 255 picture by picture, which changes nothing that is compared.
    """
    if pixels.ndim == 5:  # clips: all moments beside each other
        pixels = pixels.transpose(0, 2, 1, 3, 4).reshape(len(pixels), pixels.shape[2], -1, pixels.shape[-1])
    n, height, width, channels = pixels.shape
    grey = pixels.astype(np.float32) @ (_LUMA if channels == 3 else np.full(channels, 1 / channels, np.float32))
    rows = np.tensordot(grey, _means(width), (2, 1))  # (n, h, 16)
    cells = np.tensordot(rows, _means(height), (1, 1)).transpose(0, 2, 1).reshape(n, -1)
    if pixels.dtype != np.uint8:
        low, high = cells.min(axis=1, keepdims=True), cells.max(axis=1, keepdims=True)
        cells = np.nan_to_num((cells - low) * (255 / np.maximum(high - low, 1e-12)))
    kept: Array = np.rint(cells).clip(0, 255).astype(np.uint8)
    return kept


def alike(first: Array, second: Array) -> Iterator[tuple[int, int]]:
    """Pairs of rows of likenesses (n, 256) and (m, 256) that look alike: for each of the second the first one found.

    A picture all of one grey looks like none.
    """
    hashes, units, plain = _hashes(first), _units(first), _plain(first)
    tables = [_table(band) for band in _bands(hashes)]
    for start in range(0, len(second), _CHUNK):
        chunk = second[start : start + _CHUNK]
        mine, own = _hashes(chunk), _units(chunk)
        spans = [
            (order, np.searchsorted(keys, band, "left"), np.searchsorted(keys, band, "right"))
            for (order, keys), band in zip(tables, _bands(mine), strict=True)
        ]
        for index in range(len(chunk)):
            near = np.concatenate([order[left[index] : right[index]] for order, left, right in spans])
            near = near[np.bitwise_count(hashes[near] ^ mine[index]) <= BITS]
            needed = np.where(plain[near], PLAIN_CORRELATION, CORRELATION)
            near = near[units(near) @ own(np.array([index]))[0] >= needed]
            if len(near):
                yield int(near.min()), start + index


@functools.cache
def _means(length: int) -> Array:
    """The matrix of means over 16 equal stretches of `length` values: float32 (16, length), each row of sum 1."""
    edges = np.linspace(0, length, SIDE + 1)
    places = np.arange(length)
    shares = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    weights: Array = (np.maximum(shares, 0) * (SIDE / length)).astype(np.float32)
    return weights


@functools.cache
def _cosines() -> Array:
    """The low frequencies of a discrete cosine transform (DCT-II) of 16 values: float32 (8, 16)."""
    k, x = np.arange(_LOW)[:, None], np.arange(SIDE)
    waves: Array = np.cos(np.pi * (2 * x + 1) * k / (2 * SIDE)).astype(np.float32)
    return waves


def _hashes(cells: Array) -> Array:
    """Which of the 63 low frequencies besides the mean are above their median: uint64 (n,)."""
    pieces = [_hashed(cells[start : start + _CHUNK]) for start in range(0, len(cells), _CHUNK)]
    return np.concatenate(pieces) if pieces else np.empty(0, np.uint64)


def _hashed(cells: Array) -> Array:
    grid = cells.reshape(-1, SIDE, SIDE).astype(np.float32)
    rows = np.tensordot(grid, _cosines(), (2, 1))
    low = np.tensordot(rows, _cosines(), (1, 1)).reshape(len(cells), -1)
    above = low > np.median(low[:, 1:], axis=1, keepdims=True)
    above[:, 0] = False
    bits: Array = np.packbits(above, axis=1).view(np.uint64)[:, 0]
    return bits


def _plain(cells: Array) -> Array:
    """Which pictures are nearly all of their commonest value, give or take a tenth of their range: bool (n,)."""
    found = np.empty(len(cells), bool)
    for start in range(0, len(cells), _CHUNK):
        chunk = cells[start : start + _CHUNK]
        rows = np.arange(len(chunk))
        places = chunk + 256 * rows[:, None]
        counts = np.bincount(places.ravel(), minlength=256 * len(chunk)).reshape(-1, 256)
        background = counts.argmax(axis=1)
        reach = np.maximum((chunk.max(axis=1).astype(int) - chunk.min(axis=1)) // 10, 1)
        upto = np.pad(counts.cumsum(axis=1), ((0, 0), (1, 0)))  # how many cells are below each value
        near = upto[rows, np.minimum(background + reach + 1, 256)] - upto[rows, np.maximum(background - reach, 0)]
        found[start : start + _CHUNK] = chunk.shape[1] - near < PLAIN
    return found


def _units(cells: Array) -> Callable[[Array], Array]:
    """A function that gives the values of some rows, float32 (n, 256), centred and of length 1; zeros for one grey."""

    def of(rows: Array) -> Array:
        values = cells[rows].astype(np.float32)
        values -= values.mean(axis=1, keepdims=True)
        length = np.linalg.norm(values, axis=1, keepdims=True)
        scaled: Array = values / np.where(length > 0, length, np.inf)
        return scaled

    return of


def _bands(hashes: Array) -> list[Array]:
    """The bits of each hash, cut into bands."""
    width = -(-64 // _BANDS)
    mask = np.uint64(2**width - 1)
    return [(hashes >> np.uint64(width * number)) & mask for number in range(_BANDS)]


def _table(band: Array) -> tuple[Array, Array]:
    """The order that sorts a band, and the band in it."""
    order = np.argsort(band, kind="stable")
    return order, band[order]
