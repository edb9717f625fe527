"""Calls are NumPy operations with their operands at hand, to be made once and run at every step.

The arrays of a frame stay where they are from step to step. So a kernel that cuts a shard into chunks need not cut it
again each time: it makes the views once, binds each operation to its operands, and from then on a step is a walk
over a list. What Python does between two operations shrinks to a microsecond, and so does the time for which one
worker keeps the interpreter from the others.

What is made of the parameters alone comes as portions, lists of calls that may be made in any order and by several
workers. They are cut by shapes alone, so that no bit depends on how many workers there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

import numpy as np

from cnntrain.core.arrays import Array

Thunk = Callable[[], object]
Calls = list[Thunk]
PassName = Literal["forward", "backward"]
PASSES: tuple[PassName, PassName] = ("forward", "backward")
MOST_PORTIONS = 16  # as many workers have equal work
PORTION = 8 * 1024  # values, at least: calls on fewer would mostly be overhead
FAR, ROWS_AT_ONCE = 1024, 16  # bytes from a row to the next from which so many are transposed at a time


def run(calls: Iterable[Thunk]) -> None:
    """Make the calls in their order."""
    for call in calls:
        call()


def copy(into: Array, what: Array) -> Thunk:
    """The call that copies."""
    return partial(np.copyto, into, what)


def copy_pixels(into: Array, what: Array) -> Thunk:
    """The call that copies images, a pixel's channels, which lie side by side, as one item: few large ones take NumPy
    less time than many small ones.
    """
    item = np.dtype((np.void, what.shape[-1] * what.itemsize))
    return copy(into.view(item)[..., 0], what.view(item)[..., 0])


def clear(into: Array) -> Thunk:
    """The call that writes zeros, in a fraction of the time that copying a number takes."""
    return partial(into.fill, 0)


def transposing(into: Array, what: Array) -> Calls:
    """The calls that copy matrices (..., n, m) that are the transposes of others.

    Where the rows of those are long, a few at a time: otherwise the lines of the cache that are read drive each other
    out.
    """
    m = into.shape[-1]
    step = ROWS_AT_ONCE if what.strides[-1] >= FAR else max(m, 1)
    return [copy(into[..., i : i + step], what[..., i : i + step]) for i in range(0, m, step)]


def portions(length: int, values: int) -> list[slice]:
    """An axis of this length of an array of so many values, cut into even stretches, for several workers."""
    return even(length, min(max(values // PORTION, 1), MOST_PORTIONS))


def even(length: int, count: int) -> list[slice]:
    """An axis of this length in so many even stretches, or in one for each place of it."""
    count = min(count, length)
    edges = [length * part // count for part in range(count + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def transposing_portions(into: Array, what: Array) -> list[Calls]:
    """The calls of `transposing`, in portions along the last axis but one."""
    cuts = portions(into.shape[-2], into.size)
    return [transposing(into[..., part, :], what[..., part, :]) for part in cuts]


def add(a: Array, b: Array, out: Array) -> Thunk:
    """The call that writes a + b."""
    return partial(np.add, a, b, out)
