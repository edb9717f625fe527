"""Stored rows lie in a file and are read when they are asked for, each compared with its checksum.

They are read, not mapped into memory. A failing device, a file that was cut short and
one that has changed since it was last looked at are then errors that name the file, in whichever thread or process
they are met; under a mapping they would be a signal that ends the process (SIGBUS), or other values without a word.
"""

from __future__ import annotations

import os
import weakref
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.errors import StorageError
from cnntrain.reading.input_files import opened

DESCRIPTORS: set[int] = set()  # of files that processes forked later go on reading
_BLOCK = 2**22  # bytes read at a time where all rows are read
_LARGEST_READ = 2**30  # Linux gives less than 2 GiB at a time


class StoredFile:
    """A file that stays open as long as anybody reads rows of it, even if it is removed or replaced meanwhile."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, also for what is no regular file."""
        self.path = path
        file = opened(path)
        self.descriptor = file.fileno()
        DESCRIPTORS.add(self.descriptor)
        weakref.finalize(self, _close, file, self.descriptor)

    @property
    def size(self) -> int:
        """Bytes it has now."""
        return os.fstat(self.descriptor).st_size

    def fill(self, piece: Array, at: int) -> None:
        """Fill bytes (n,) with those at a place. Raises OSError, and EOFError where there are too few."""
        while len(piece):
            count = os.preadv(self.descriptor, [piece[:_LARGEST_READ].data], at)
            if not count:
                raise EOFError("it ends too early")
            piece, at = piece[count:], at + count

    def bytes(self, at: int, size: int) -> bytes:
        """`size` bytes at a place, read like `fill`."""
        found = np.empty(size, np.uint8)
        self.fill(found, at)
        return found.tobytes()


def _close(file: BinaryIO, descriptor: int) -> None:
    DESCRIPTORS.discard(descriptor)
    file.close()


@dataclass(frozen=True, eq=False)
class Stored:
    """Rows of an array in a file; indexed along its first axis by a slice or by integers (n,), it gives an array.

    source, offset    where the first row begins
    shape, dtype      (n, ...) of all rows
    sums              (n,) uint32, what each row's CRC-32 must be
    advice            what to do where it is not
    """

    source: StoredFile
    offset: int
    shape: Shape
    dtype: np.dtype[Any]
    sums: Array
    advice: str

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    def reshaped(self, *row: int) -> Stored:
        """The same bytes, with rows of another shape."""
        return replace(self, shape=(len(self), *row))

    def __getitem__(self, index: Any) -> Array:
        """Raises StorageError where the rows cannot be read or are not what they were."""
        wanted = _numbers(index, len(self))
        rows = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        if len(wanted):
            self._read(wanted, rows.reshape(-1).view(np.uint8))
            self._compare(wanted, rows)
        return rows

    def look(self, rows: slice) -> None:
        """Read rows and drop them; raises what `[]` does."""
        self[rows]

    def blocks(self) -> Iterator[slice]:
        """All rows, some megabytes at a time."""
        step = max(_BLOCK // self._row, 1)
        return (slice(start, start + step) for start in range(0, len(self), step))

    @property
    def _row(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def _read(self, wanted: Array, into: Array) -> None:
        """Fill bytes with the wanted rows; neighbours are read together."""
        size = self._row
        firsts = np.flatnonzero(np.diff(wanted, prepend=wanted[0] - 2) != 1).tolist()
        try:
            for first, stop in zip(firsts, [*firsts[1:], len(wanted)], strict=True):
                self.source.fill(into[first * size : stop * size], self.offset + int(wanted[first]) * size)
        except (OSError, EOFError) as error:
            reason = getattr(error, "strerror", None) or "it was cut short while it was in use"
            raise StorageError(f"cannot read {self.source.path}: {reason}. {self.advice}") from error

    def _compare(self, wanted: Array, rows: Array) -> None:
        wrong = np.flatnonzero(checksums(rows) != self.sums[wanted])
        if len(wrong):
            raise StorageError(
                f"{self.source.path} is damaged, or was changed while it was in use: sample {int(wanted[wrong[0]]):,} "
                f"is not what it was. {self.advice}"
            )


def checksums(rows: Array) -> Array:
    """The CRC-32 of each row's bytes, (n,) uint32: it misses one corruption in four billion."""
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8) if len(rows) else ()
    return np.fromiter((zlib.crc32(row.data) for row in flat), np.uint32, len(rows))


def _numbers(index: Any, count: int) -> Array:
    """Which rows a slice or integers (n,) mean. Raises IndexError."""
    if isinstance(index, slice):
        return np.arange(*index.indices(count))
    numbers = np.asarray(index, np.int64)
    if len(numbers) and not -count <= numbers.min() <= numbers.max() < count:
        raise IndexError(f"rows {numbers.min()} to {numbers.max()} of {count}")
    return np.where(numbers < 0, numbers + count, numbers)
