"""The confusion matrix: which classes the network takes for which."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import Counted, matrix_of


@register("confusion")
@dataclass(frozen=True)
class Confusion(Counted):
    """How many samples of each true class (row) were taken for each class (column), as nested lists.

    All zeros where nothing was seen. A table cannot be monitored: `until` and `best` need a number.
    """

    def value(self, state: Array) -> list[list[float]]:
        """The matrix as rows of floats."""
        rows: list[list[float]] = matrix_of(state).tolist()
        return rows
