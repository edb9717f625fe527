"""A block is a stretch of an array small enough to stay in cache while several operations pass over it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from cnntrain.core.arrays import Array, Shape

BLOCK = 256 * 1024  # values: 1 MB of float32; operations on fewer are so short that workers contend for the interpreter

CACHED = 64 * 1024  # values of a block over which several operations pass: of such, the L2 cache holds a few

LINE = 8 * 1024  # values from which on NumPy repeats an operand along an array as fast as it reads one of full size


def line(row: int, size: int) -> int:
    """The values of a line of an array of `size` values: whole rows of `row` values, LINE values or more."""
    return min(row * -(-LINE // row), size)


def repeated(values: Array, size: int, dtype: npt.DTypeLike) -> Array:
    """A value for each channel, repeated over a line of whole pixels of an array of `size` values; rounded to dtype."""
    pixels = np.empty((line(len(values), size) // len(values), len(values)), dtype)
    np.copyto(pixels, values, casting="same_kind")
    return pixels.reshape(-1)


def blocks(*arrays: Array, most: int = BLOCK) -> Iterator[tuple[Array, ...]]:
    """Contiguous arrays of one size as 1-D pieces of at most `most` values, side by side."""
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, most):
        yield tuple(array[start : start + most] for array in flat)


def longest_block(n: int, shape: Shape, most: int = BLOCK) -> int:
    """How many values the longest block of n samples of this shape has: what a workspace needs room for."""
    return min(most, n * math.prod(shape))


def rows_per_block(row: int) -> int:
    """How many rows of this many values make a block; at least one."""
    return max(BLOCK // row, 1)


def row_blocks(row: int, *arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Contiguous arrays of one size as matrices of rows of `row` values, about BLOCK values at a time."""
    lines = [array.reshape(-1, row) for array in arrays]
    step = rows_per_block(row)
    for start in range(0, len(lines[0]), step):
        yield tuple(line[start : start + step] for line in lines)


def longest_rows(n: int, shape: Shape) -> Shape:
    """The shape (rows, channels) of the longest block of rows of n samples of this shape."""
    *places, channels = shape
    return min(rows_per_block(channels), n * math.prod(places)), channels


def long_rows(row: int, *arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Contiguous arrays of one size as matrices of rows of `row` values in one piece, then what is left as a vector."""
    flat = [array.reshape(-1) for array in arrays]
    whole = flat[0].size - flat[0].size % row
    if whole:
        yield tuple(array[:whole].reshape(-1, row) for array in flat)
    if whole < flat[0].size:
        yield tuple(array[whole:] for array in flat)
