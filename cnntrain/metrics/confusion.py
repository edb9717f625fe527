"""The confusion matrix: which classes the network takes for which."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cnntrain.arrays import Array
from cnntrain.metrics.base import Metric, labels_of
from cnntrain.registry import register

# isort: split
import numpy as np


@register("confusion")
@dataclass(frozen=True)
class Confusion(Metric):
    """How many samples of each true class (row) were taken for each class (column), as nested lists.

    All zeros where nothing was seen. A table cannot be monitored: `until` and `best` need a number.
    """

    def zeros(self, classes: int) -> Array:
        """The empty matrix, flat."""
        return np.zeros(classes * classes)

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Count a shard, each sample by its weight."""
        cells = labels_of(targets) * outputs.shape[1] + outputs.argmax(axis=1)
        state += np.bincount(cells, weights, minlength=len(state))

    def value(self, state: Array) -> list[list[float]]:
        """The matrix as rows of floats."""
        classes = math.isqrt(len(state))
        rows: list[list[float]] = state.reshape(classes, classes).tolist()
        return rows
