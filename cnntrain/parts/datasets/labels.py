"""A label is the place of a class's name among the names of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted
from cnntrain.core.errors import DataError
from cnntrain.reading.decoded import Decoded
from cnntrain.reading.folders import (
    class_name,
)

MAX_CLASSES = 65_536  # labels beyond are a sign of the wrong array, and each would become a class


def checked_labels(labels: Array, classes: int, where: str) -> Array:
    """Integer labels as int64. Raises DataError for the first outside [0, classes), by index and value."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        first = int(wrong[0])
        raise DataError(
            f"{where}: label {int(labels[first])} at index {first:,} ({len(wrong):,} such), expected 0 to "
            f"{classes - 1} for {classes} classes. Mend the labels, or declare the classes they belong to"
        )
    return labels.astype(np.int64)


def check_none_is_empty(labels: Array, classes: Sequence[str], where: Path, read: Decoded) -> None:
    """Raise DataError for the first class of which no file could be read, so that all were skipped."""
    for label in np.flatnonzero(np.bincount(labels, minlength=len(classes)) == 0).tolist():
        raise DataError(
            f"{where}: no file of the class {classes[label]!r} can be read; skipped first: {read.skipped[0]}. "
            "Mend its files, or remove the class"
        )


def places_among(names: Sequence[str], classes: Sequence[str]) -> Array:
    """The place of each name among `classes`, whichever Unicode form either has, int64 (n,).

    Raises ValueError listing the names that are not among them.
    """
    places = {class_name(name): place for place, name in enumerate(classes)}
    unknown = [name for name in names if class_name(name) not in places]
    if unknown:
        more = f" and {len(unknown) - 8:,} more" if len(unknown) > 8 else ""
        raise ValueError(", ".join(map(repr, unknown[:8])) + more)
    return np.array([places[class_name(name)] for name in names], np.int64)


def count_classes(labels: Array, where: str, least: int = 2) -> int:
    """How many classes labels from 0 up make: the largest plus one. Raises DataError for too few or far too many."""
    classes = int(labels.max()) + 1 if len(labels) else 0
    if classes < least:
        raise DataError(f"{where}: {counted(classes, 'class')} found, expected 2 or more. Check the labels")
    if classes > MAX_CLASSES:
        index = int(labels.argmax())
        raise DataError(
            f"{where}: label {classes - 1:,} at index {index:,} would make {classes:,} classes, expected at most "
            f"{MAX_CLASSES:,}. Check that these are labels"
        )
    return classes


def numbered(classes: int) -> tuple[str, ...]:
    """Names for classes that have none: "0", "1", ..."""
    return tuple(map(str, range(classes)))
