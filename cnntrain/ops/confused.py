"""Which classes were taken for which: the cells of a confusion matrix that are not empty, however many classes."""

from __future__ import annotations

import functools

import numpy as np

from cnntrain.core.arrays import Array


class Confused:
    """Counts of (true class, class it was taken for). Memory follows the samples, not the square of the classes."""

    def __init__(self, places: Array, classes: int) -> None:
        """`places` are `places_of` the samples, int64 (n,), of so many classes."""
        self.classes = classes
        cells, self.counts = np.unique(places, return_counts=True)  # (m,) each, by row and column
        self.true, self.predicted = np.divmod(cells, classes)

    @functools.cached_property
    def found(self) -> Array:
        """The samples of each class that were taken for what they are (classes,)."""
        right = self.true == self.predicted
        return self._summed(self.true[right], self.counts[right])

    @functools.cached_property
    def of_class(self) -> Array:
        """The samples of each class (classes,)."""
        return self._summed(self.true, self.counts)

    @functools.cached_property
    def taken_for(self) -> Array:
        """The samples that were taken for each class (classes,)."""
        return self._summed(self.predicted, self.counts)

    def matrix(self, chosen: Array | None = None) -> Array:
        """The counts of the true class (row) taken for a class (column), int64; of all classes or those `chosen`."""
        rows = np.arange(self.classes) if chosen is None else chosen
        place = np.full(self.classes, -1)
        place[rows] = np.arange(len(rows))
        i, j = place[self.true], place[self.predicted]
        inside = (i >= 0) & (j >= 0)
        matrix = np.zeros((len(rows), len(rows)), np.int64)
        matrix[i[inside], j[inside]] = self.counts[inside]
        return matrix

    def mistakes(self, most: int) -> list[tuple[int, int, int]]:
        """The most frequent mistakes first, at most `most`: true class, the class it was taken for, how often."""
        wrong = np.flatnonzero(self.true != self.predicted)
        order = wrong[np.argsort(-self.counts[wrong], kind="stable")[:most]]
        return list(
            zip(self.true[order].tolist(), self.predicted[order].tolist(), self.counts[order].tolist(), strict=True)
        )

    def worst(self, most: int) -> Array:
        """The classes with the most mistakes, of them or for them, at most `most`, in their own order (m,)."""
        mistaken = self.of_class + self.taken_for - 2 * self.found
        return np.sort(np.argsort(-mistaken, kind="stable")[:most])

    def _summed(self, classes: Array, counts: Array) -> Array:
        return np.bincount(classes, counts, minlength=self.classes).astype(np.int64)


def places_of(labels: Array, guesses: Array, classes: int) -> Array:
    """Where the samples stand in the matrix of so many classes, read row by row: int64 (n,)."""
    places: Array = labels.astype(np.int64) * classes + guesses
    return places
