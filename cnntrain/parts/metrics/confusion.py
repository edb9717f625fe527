"""The confusion matrix: which classes the network takes for which."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.ops.argmax import taken_for
from cnntrain.parts.metrics.base import Metric, labels_of


@register("confusion")
@dataclass(frozen=True)
class Confusion(Metric):
    """How many samples of each true class (row) were predicted as each class (column), as nested lists.

    A sample is taken for the class of its largest output, the first of equal ones, for a wrong one where an output is
    NaN, and counts by its weight. All zeros where nothing was seen. A table cannot be monitored: `until` and `best`
    need a number. It grows with the square of the classes, in memory, in checkpoints and in metrics.jsonl; `eval` and
    `report` need no such metric.
    """

    def zeros(self, classes: int) -> Array:
        """The empty matrix, flat."""
        return np.zeros(self.length(classes))

    def length(self, classes: int) -> int:
        """A number for each pair of classes."""
        return classes * classes

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Count a shard."""
        labels = labels_of(targets)
        cells = labels * outputs.shape[1] + taken_for(outputs, labels)
        np.add.at(state, cells, weights)  # a bincount would be another matrix

    def value(self, state: Array) -> list[list[float]]:
        """The matrix as rows of floats."""
        classes = math.isqrt(len(state))
        rows: list[list[float]] = state.reshape(classes, classes).tolist()
        return rows
