"""Panels are 64 columns of a matrix each, one panel after the other: so weights lie where products read them in a row.

A product that reads its right operand in place (products.py) takes some columns of it at a time, all rows of these,
then the next. In a wide matrix these rows are a kilobyte or more apart, and a processor fetches ahead only what lies
close together; so where the matrix is not in a cache, as weights mostly are not, it waits for every row. From panels
products of few rows are two to four times as fast, of 50 a third, of thousands a tenth (one Zen 4 core, 256 x 512 from
memory), which pays for a copy that is made once a batch, or once for all.

Bits depend on shapes and on BLAS's kernels alone, as those of every product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cnntrain.core.arrays import Array, round_up
from cnntrain.ops import products
from cnntrain.ops.calls import Calls, copy, even, portions
from cnntrain.ops.products import LEAST_ROWS, PARTS, SUMMED_AT_ONCE, UNPACKED, WIDEST, in_parts, product

LEAST_COLUMNS = 4 * WIDEST  # rows of fewer lie close enough together
MOST_VALUES = 8 * 2**20  # of a matrix: 32 MB of float32


class Portion(NamedTuple):
    """A part of a matrix that lies in one piece in its panels: which rows and columns it has, and where it lies."""

    rows: slice
    columns: slice
    place: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Its rows and columns, counted."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


@dataclass(frozen=True)
class Panels:
    """How a matrix of so many rows and columns lies in panels, in memory of its own size.

    The last panel has the columns that are left over. A matrix is a single panel, as it is, where its columns are few,
    where BLAS copies operands in any case, and where it is so large that a copy would take too much memory.
    """

    rows: int
    columns: int

    @property
    def width(self) -> int:
        """Columns of each panel but the last."""
        sizes = self.columns >= LEAST_COLUMNS and self.rows * self.columns <= MOST_VALUES
        return WIDEST if sizes and products.reads_in_place() else self.columns

    @property
    def cut(self) -> bool:
        """Whether there are several."""
        return self.width < self.columns

    @property
    def terms(self) -> int:
        """How many terms of a sum are added up at a time, however many rows the other matrix has: all unless that many
        are too many for BLAS to read in place.
        """
        if not self.cut or LEAST_ROWS * self.rows * WIDEST <= UNPACKED:
            return self.rows
        return round_up(-(-self.rows // -(-self.rows // SUMMED_AT_ONCE)), LEAST_ROWS)

    def portions(self, stack: int = 1) -> list[Portion]:
        """The whole matrix, one of a stack of so many, in portions for several workers."""
        many = len(portions(self.rows * self.columns, stack * self.rows * self.columns))
        panels, found = range(0, self.columns, self.width), list[Portion]()
        for start in panels:
            columns = slice(start, min(start + self.width, self.columns))
            wide = columns.stop - start
            for rows in even(self.rows, -(-many // len(panels))):
                first = start * self.rows + rows.start * wide
                found.append(Portion(rows, columns, slice(first, first + (rows.stop - rows.start) * wide)))
        return found

    def pour(self, matrix: Array, memory: Array) -> Calls:
        """The calls that copy a matrix into its panels, in memory (rows * columns,)."""
        calls: Calls = []
        for panels, columns in self._groups(memory):
            count, rows, width = panels.shape
            calls.append(copy(panels, matrix[:, columns].reshape(rows, count, width).swapaxes(0, 1)))
        return calls

    def fill(self, matrix: Array, memory: Array) -> list[Calls]:
        """The same in portions for several workers."""
        places = ((memory[part.place].reshape(part.shape), part) for part in self.portions())
        return [[copy(place, matrix[part.rows, part.columns])] for place, part in places]

    def product(self, a: Array, memory: Array, out: Array) -> Calls:
        """The calls that write a (..., m, rows) times the matrix, in memory (..., rows * columns), into out (..., m,
        columns).
        """
        calls: Calls = []
        for panels, columns in self._groups(memory):
            count, _, width = panels.shape[-3:]
            into = out[..., columns].reshape(*out.shape[:-1], count, width).swapaxes(-3, -2)
            if self.terms < self.rows:
                calls += self._in_parts(a, panels, into)
                continue
            left = a[..., None, :, :]
            if count > 1:
                left = np.broadcast_to(left, (*into.shape[:-1], self.rows))
            calls += product(left, panels, into)
        return calls

    def _in_parts(self, a: Array, panels: Array, out: Array) -> Calls:
        """The calls that write a times each of some panels into out (..., panels, m, width), so many terms of each sum
        and so many rows at a time that the parts are in a cache.
        """
        m, (count, _, width) = a.shape[-2], panels.shape[-3:]
        parts = -(-self.rows // self.terms)
        blocks = even(m, -(-m // max(PARTS // (parts * WIDEST), LEAST_ROWS)))
        longest = max((block.stop - block.start for block in blocks), default=0)
        room, calls = np.empty((*a.shape[:-2], parts, longest, width), a.dtype), Calls()
        for i in range(count):
            for block in blocks:
                own = room[..., : block.stop - block.start, :]
                calls += in_parts(a[..., block, :], panels[..., i, :, :], out[..., i, block, :], self.terms, own)
        return calls

    def _groups(self, memory: Array) -> Iterator[tuple[Array, slice]]:
        """Panels of one width, (..., panels, rows, width), and their columns."""
        whole = self.columns - self.columns % self.width
        for columns in (slice(0, whole), slice(whole, self.columns)):
            if columns.start < columns.stop:
                width = min(self.width, columns.stop - columns.start)
                part = memory[..., columns.start * self.rows : columns.stop * self.rows]
                yield part.reshape(*memory.shape[:-1], -1, self.rows, width), columns
