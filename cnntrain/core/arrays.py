"""Arrays: aligned memory, the declaration of a parameter, and one flat vector for all of them.

A network's parameters, its gradient and every optimizer slot are flat vectors of one `Layout`; layers see named
windows on them. Partial results of shards are combined by `TreeSum`, whose order of additions depends only on
how many there are.
"""

from __future__ import annotations

import math
import mmap
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cnntrain.core.hugepages import private_bytes, shared_bytes

Array = npt.NDArray[Any]
Shape = tuple[int, ...]  # of one sample: (height, width, channels) or (features,)
Role = Literal["weight", "bias", "norm", "statistic"]

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register


def aligned(shape: Shape | int, dtype: npt.DTypeLike) -> Array:
    """A zeroed C-contiguous array whose first byte lies on a 64-byte boundary."""
    shape = (shape,) if isinstance(shape, int) else shape
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    found = private_bytes(size)
    if found is None:
        raw = np.zeros(size + ALIGNMENT, np.uint8)
        start = -raw.ctypes.data % ALIGNMENT
        found = raw[start : start + size]
    return found.view(dtype).reshape(shape)


def shared(shape: Shape | int, dtype: npt.DTypeLike) -> Array:
    """A zeroed C-contiguous array, page-aligned, in memory shared with processes forked later."""
    shape = (shape,) if isinstance(shape, int) else shape
    size = math.prod(shape) * np.dtype(dtype).itemsize
    found = shared_bytes(size)
    if found is None:
        found = np.frombuffer(mmap.mmap(-1, max(size, 1)), np.uint8, size)
    return found.view(dtype).reshape(shape)


def to_file(array: Array) -> Array:
    """An array whose bytes are as files have them, C-contiguous and little-endian; a view where they are so."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def from_file(array: Array, stored: npt.DTypeLike) -> None:
    """Put bytes that were read from a file into this processor's order, in place; `stored` is "<f4" and the like."""
    if not np.dtype(stored).isnative:
        array.byteswap(inplace=True)


def round_up(size: int, unit: int = ALIGNMENT) -> int:
    """The smallest multiple of `unit` that holds `size`."""
    return -(-size // unit) * unit


@dataclass(frozen=True)
class Param:
    """A declared parameter. Storage is a window on the network's flat vector.

    `fan_in` and `fan_out` count the inputs that reach one output and the outputs one input reaches; initializers
    use them. A "statistic" is measured, not trained: saved like the rest, hidden from the optimizer.
    """

    shape: Shape
    role: Role = "weight"
    fan_in: int = 0
    fan_out: int = 0
    start: float | None = None  # the value it begins with; None leaves it to the initializers
    groups_read: int = 0  # where the last axis is the inputs, in this many groups, and the axis before it the units

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def by_unit(self, array: Array) -> list[Array]:
        """Views that together make up an array of this shape, each with units (filters, outputs) as its last axis."""
        if not self.groups_read:
            return [array]
        return [group.swapaxes(-1, -2) for group in np.split(array, self.groups_read, axis=-1)]


@dataclass(frozen=True)
class LayoutEntry:
    """One parameter in the layout: its declaration and the place of its first value."""

    name: str  # "stem.weight": the node's name and the parameter's
    param: Param
    offset: int


@dataclass(frozen=True)
class Span:
    """A range of the flat vector whose tensors share role and learning-rate multiplier."""

    start: int
    stop: int
    role: Role
    lr_mult: float


class Layout:
    """Where each parameter lies in the flat vector. Trained ones come first, in ranges the optimizer walks.

    Every tensor begins on a 64-byte boundary of float32; the gaps stay zero under every elementwise update.
    """

    def __init__(self, declared: Sequence[tuple[str, Param, float, bool]]) -> None:
        """`declared` holds (name, param, lr_mult, frozen) in order of execution."""
        unit = ALIGNMENT // 4

        def rank(item: tuple[str, Param, float, bool]) -> tuple[bool, str, float]:
            _, param, lr_mult, frozen = item
            return (frozen or param.role == "statistic", param.role, lr_mult)

        self.entries: dict[str, LayoutEntry] = {}
        spans: list[Span] = []
        offset = 0
        for name, param, lr_mult, frozen in sorted(declared, key=rank):
            if name in self.entries:
                raise ValueError(f"two parameters are called {name!r}")
            self.entries[name] = LayoutEntry(name, param, offset)
            stop = offset + round_up(param.size, unit)
            if not frozen and param.role != "statistic":
                last = spans[-1] if spans else None
                if last and (last.role, last.lr_mult) == (param.role, lr_mult):
                    spans[-1] = Span(last.start, stop, param.role, lr_mult)
                else:
                    spans.append(Span(offset, stop, param.role, lr_mult))
            offset = stop
        self.spans = tuple(spans)
        self.size = offset
        self.trained = spans[-1].stop if spans else 0  # values before this index are trained

    def views(self, flat: Array) -> dict[str, Array]:
        """Every parameter as a shaped window on `flat`, by name. The windows live as long as `flat`."""
        return {name: self.view(flat, entry) for name, entry in self.entries.items()}

    @staticmethod
    def view(flat: Array, entry: LayoutEntry) -> Array:
        """One parameter as a shaped window on `flat`."""
        return flat[entry.offset : entry.offset + entry.param.size].reshape(entry.param.shape)


class TreeSum:
    """Adds up the results of shards in an order that depends only on their indices.

    Index 0 is added to 1, 2 to 3, then (0 1) to (2 3) and so on, each as soon as both halves are there, like the
    carries of a binary counter; at the end the remaining blocks are added from the smallest to the largest. Whichever
    shard finishes first, the tree is the same, and so are the bits. Block `i` of 2^level shards holds those from
    i * 2^level on. `add` may be called from any thread and takes over the array; `release` gets back each array that
    was added to another.
    """

    def __init__(self, release: Callable[[Array], None] | None = None) -> None:
        self._pending: dict[tuple[int, int], Array] = {}  # (level, position) -> sum of that block
        self._lock = threading.Lock()
        self._release = release

    def add(self, index: int, value: Array, level: int = 0) -> None:
        """Hand in the result of shard `index`, or of block `index` of 2^level shards; each index once."""
        while True:
            with self._lock:
                sibling = self._pending.pop((level, index ^ 1), None)
                if sibling is None:
                    self._pending[level, index] = value
                    return
            left, right = (value, sibling) if index % 2 == 0 else (sibling, value)
            np.add(left, right, out=left)
            if self._release:
                self._release(right)
            value, level, index = left, level + 1, index // 2

    def add_rows(self, index: int, rows: Array) -> None:
        """Hand in the results (n, ...) of the shards from `index` on, and leave them as they are.

        The bits are those of `add` for each; neighbours are added all at once.
        """
        level = 0
        while len(rows):
            odd = index % 2  # then the first has its sibling before it
            if odd:
                self.add(index, rows[0].copy(), level)
            if (index + len(rows)) % 2:  # and the last has its own after it
                self.add(index + len(rows) - 1, rows[-1].copy(), level)
            pairs = rows[odd : odd + (len(rows) - odd) // 2 * 2]
            rows, index, level = pairs[::2] + pairs[1::2], (index + odd) // 2, level + 1

    def __len__(self) -> int:
        """How many arrays are waiting for their siblings."""
        return len(self._pending)

    def blocks(self) -> dict[tuple[int, int], Array]:
        """The sums so far, by level and index of their blocks; leaves the tree empty."""
        blocks = dict(self._pending)
        self._pending.clear()
        return blocks

    def total(self) -> Array:
        """The sum of everything added; leaves the tree empty. Call it once all indices from 0 on are handed in."""
        blocks = [self._pending[key] for key in sorted(self._pending)]
        self._pending.clear()
        total = blocks[0]
        for block in blocks[1:]:
            np.add(block, total, out=block)
            if self._release:
                self._release(total)
            total = block
        return total


def tree_blocks(start: int, stop: int) -> list[tuple[int, int]]:
    """The whole blocks (level, index) of the tree that make up the shards from start to stop, from left to right."""
    found: list[tuple[int, int]] = []
    while start < stop:
        level = min((start & -start).bit_length() - 1 if start else stop.bit_length(), (stop - start).bit_length() - 1)
        found.append((level, start >> level))
        start += 1 << level
    return found


def tree_sum(values: Iterable[Array]) -> Array:
    """The sum of equal-shaped arrays in the order of `TreeSum`; overwrites them."""
    tree = TreeSum()
    for index, value in enumerate(values):
        tree.add(index, value)
    return tree.total()
