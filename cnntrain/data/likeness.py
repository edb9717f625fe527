"""A picture's likeness is what survives saving it again, resizing it or brightening it: 16x16 grey values.

Two pictures look alike where their values correlate by 0.98 at least, the signs of their low frequencies (the 64-bit
hash of pHash: Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions") differ in 10 bits at
most, and either one stands out, being eight times as near to the other as any picture that is no copy too (the ratio
test of Lowe 2004, "Distinctive Image Features from Scale-Invariant Keypoints"), or both are nearer still: 0.995 and 4
bits, as frames of one scene are. By the hash alone every second handwritten digit would be taken for another. A picture
that is nearly all background, such as a single stroke, has too few shapes for the latter: that takes 0.999.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from cnntrain.core.arrays import Array

SIDE = 16
MOST = 200_000  # pictures of which likenesses are kept, 256 bytes each
BITS, CORRELATION = 10, 0.98  # of hashes that may differ, and of values, in pictures that look alike
TIMES = 8  # as near as any other picture
SURE_BITS, SURE, PLAIN_SURE = 4, 0.995, 0.999  # even if others are as near; 0.997 is reached by digits of two people
PLAIN = 40  # cells of 256 that differ from the background, below which a picture is plain
_SAME = 4  # times as far from a picture as a copy of it: what is nearer is a copy too
_ROUNDED = 1e-5  # about what rounding to bytes takes from a correlation of 1; and of a grey, what is no difference
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LOW = 8  # frequencies on each axis
_CHUNK = 4096
_ROWS = 1024  # of the second pictures that are compared with a chunk of the first at a time


def likenesses(pixels: Array) -> Array:
    """Of pictures (n, h, w, c), uint8 or float: brightness over a grid of 16x16 cells, uint8 (n, 256).

    Of three channels that is the luma of JPEG (ITU-R BT.601), which saving a picture again hardly changes. A cell has
    its mean; each picture is spread over 0 to 255, so that faint ones keep what tells them apart. One grey is 0.
    """
    if pixels.ndim == 5:  # clips: all moments beside each other
        pixels = pixels.transpose(0, 2, 1, 3, 4).reshape(len(pixels), pixels.shape[2], -1, pixels.shape[-1])
    n, height, width, channels = pixels.shape
    grey = pixels.astype(np.float32) @ (_LUMA if channels == 3 else np.full(channels, 1 / channels, np.float32))
    rows = np.tensordot(grey, _means(width), (2, 1))  # (n, h, 16)
    cells = np.tensordot(rows, _means(height), (1, 1)).transpose(0, 2, 1).reshape(n, -1)
    low, high = cells.min(axis=1, keepdims=True), cells.max(axis=1, keepdims=True)
    told_apart = high - low > _ROUNDED * np.maximum(np.abs(low), np.abs(high))
    cells = np.nan_to_num((cells - low) * (255 / np.where(told_apart, high - low, np.inf)))
    kept: Array = np.rint(cells).clip(0, 255).astype(np.uint8)
    return kept


def alike(first: Array, second: Array) -> Iterator[tuple[int, int]]:
    """Pairs of rows of likenesses (n, 256) and (m, 256) that look alike: for each of the second the nearest.

    A picture all of one grey looks like none.
    """
    for start in range(0, len(second), _ROWS):
        chunk = second[start : start + _ROWS]
        nearest, correlations = _nearest(first, _units(chunk))
        near = np.flatnonzero(correlations >= CORRELATION)
        bits = np.bitwise_count(_hashes(first[nearest[near]]) ^ _hashes(chunk[near]))
        near, bits = near[bits <= BITS], bits[bits <= BITS]
        if not len(near):
            continue
        found = first[nearest[near]]
        needed = np.where(_plain(found), PLAIN_SURE, SURE)
        sure = (bits <= SURE_BITS) & (correlations[near] >= needed)
        for index in near[sure | _stand_out(first, _units(found), _units(chunk[near]))].tolist():
            yield int(nearest[index]), start + index


def _nearest(first: Array, units: Array) -> tuple[Array, Array]:
    """For each of the units (m, 256) the place of the picture that correlates most, and by how much: (m,) each."""
    places, most = np.zeros(len(units), np.int64), np.full(len(units), -np.inf, np.float32)
    rows = np.arange(len(units))
    for start in range(0, len(first), _CHUNK):
        shared = units @ _units(first[start : start + _CHUNK]).T
        at = shared.argmax(axis=1)
        better = shared[rows, at] > most
        places[better], most[better] = at[better] + start, shared[rows, at][better]
    return places, most


def _stand_out(first: Array, models: Array, copies: Array) -> Array:
    """Which copies (m, 256) are TIMES as near to their models (m, 256) as to what is no copy of these: bool (m,)."""
    distances = 1 - np.einsum("ij,ij->i", models, copies)
    others = np.ones(len(copies), np.float32)
    for start in range(0, len(first), _CHUNK):
        units = _units(first[start : start + _CHUNK])
        foreign = 1 - models @ units.T > _SAME * distances[:, None] + _ROUNDED
        others = np.minimum(others, np.where(foreign, 1 - copies @ units.T, 1).min(axis=1))
    apart: Array = distances * TIMES <= others
    return apart


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
    grid = cells.reshape(-1, SIDE, SIDE).astype(np.float32)
    rows = np.tensordot(grid, _cosines(), (2, 1))
    low = np.tensordot(rows, _cosines(), (1, 1)).reshape(len(cells), _LOW * _LOW)
    above = low > np.median(low[:, 1:], axis=1, keepdims=True)
    above[:, 0] = False
    bits: Array = np.packbits(above, axis=1).view(np.uint64)[:, 0]
    return bits


def _plain(cells: Array) -> Array:
    """Which pictures are nearly all of their commonest value, give or take a tenth of their range: bool (n,)."""
    rows = np.arange(len(cells))
    places = cells + 256 * rows[:, None]
    counts = np.bincount(places.ravel(), minlength=256 * len(cells)).reshape(-1, 256)
    background = counts.argmax(axis=1)
    reach = np.maximum((cells.max(axis=1).astype(int) - cells.min(axis=1)) // 10, 1)
    upto = np.pad(counts.cumsum(axis=1), ((0, 0), (1, 0)))  # how many cells are below each value
    near = upto[rows, np.minimum(background + reach + 1, 256)] - upto[rows, np.maximum(background - reach, 0)]
    plain: Array = cells.shape[1] - near < PLAIN
    return plain


def _units(cells: Array) -> Array:
    """The values less their mean and of length 1, float32 (n, 256); zeros for one grey."""
    values = cells.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    scaled: Array = values / np.where(length > 0, length, np.inf)
    return scaled
