"""Calls are NumPy operations with their operands at hand, to be made once and run at every step.

The arrays of a frame stay where they are from step to step. So a kernel that cuts a shard into chunks need not cut it
again each time: it makes the views once, binds each operation to its operands, and from then on a step is a walk
over a list. What Python does between two operations shrinks to a microsecond, and so does the time for which one
worker keeps the interpreter from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from cnntrain.core.arrays import Array

Thunk = Callable[[], object]
Calls = list[Thunk]
Once = Callable[[str, Calls], Calls]  # of calls that fill the buffer NAME: those that do so once for several shards


def run(calls: Iterable[Thunk]) -> None:
    """Make the calls in their order."""
    for call in calls:
        call()


def each_time(_name: str, calls: Calls) -> Calls:
    """The calls themselves: `Once` where no two shards share a buffer."""
    return calls


def copy(into: Array, what: Array | float) -> Thunk:
    """The call that copies."""
    return partial(np.copyto, into, what)


def add(a: Array, b: Array, out: Array) -> Thunk:
    """The call that writes a + b."""
    return partial(np.add, a, b, out)
