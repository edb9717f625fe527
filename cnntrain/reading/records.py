"""Records: a binary file of rows of equal length, each of some labels, a byte each, and an image, colour by colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.counts import counted
from cnntrain.core.errors import DataError
from cnntrain.reading.input_files import opened, reading

_PICKLE = b"\x80"  # how a pickle begins, and no label


@dataclass(frozen=True)
class Records:
    """The layout of the binary versions of CIFAR, and how to tell its files from others."""

    name: str  # of the data set
    labels: tuple[tuple[str, int], ...]  # what each label is called, and how many values it takes
    shape: Shape  # of an image: (height, width, channels)
    relative: tuple[str, int]  # a data set that is easily taken for this one, and the length of its records
    advice: str

    @property
    def length(self) -> int:
        """Bytes of a record."""
        return len(self.labels) + math.prod(self.shape)

    def read(self, paths: Sequence[Path]) -> tuple[Array, Array]:
        """The records of all files: labels int64 (n, kinds), and images uint8 (n, h, w, c). Raises DataError."""
        files = [self._file(path) for path in paths]
        kinds, (height, width, channels) = len(self.labels), self.shape
        count = sum(map(len, files))
        labels, pixels = np.empty((count, kinds), np.int64), np.empty((count, *self.shape), np.uint8)
        start = 0
        for records in files:
            stop = start + len(records)
            labels[start:stop] = records[:, :kinds]
            pixels[start:stop] = records[:, kinds:].reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
            start = stop
        return labels, pixels

    def _file(self, path: Path) -> Array:
        """The records of a file, uint8 (n, length), every label in range."""
        with reading(path), opened(path) as file:  # np.fromfile fills what it cannot read with whatever is there
            data = np.frombuffer(file.read(), np.uint8)
        if data[:1].tobytes() == _PICKLE:
            raise DataError(f"{path} is the Python (pickled) version, which is not read. {self.advice}")
        if not len(data) or len(data) % self.length:
            other, length = self.relative
            looks = len(data) and len(data) % length == 0
            hint = f"It looks like {other}." if looks else f"It is cut short or no {self.name} file: fetch it again."
            raise DataError(
                f"{path} has {counted(len(data), 'byte')}, expected a multiple of {self.length:,}. {hint} {self.advice}"
            )
        records = data.reshape(-1, self.length)
        for column, (kind, values) in enumerate(self.labels):
            wrong = np.flatnonzero(records[:, column] >= values)
            if len(wrong):
                first = int(wrong[0])
                raise DataError(
                    f"{path}: {kind} {records[first, column]} in record {first:,}, at byte "
                    f"{first * self.length + column:,} ({len(wrong):,} such), expected 0 to {values - 1}. The file is "
                    f"damaged or no {self.name} file. {self.advice}"
                )
        return records
