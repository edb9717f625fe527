"""Cohen's kappa: agreement beyond what class frequencies alone would give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import Counted, counts_of


@register("cohen_kappa")
@dataclass(frozen=True)
class CohenKappa(Counted):
    """Agreement beyond chance, (p - e) / (1 - e), at most 1 (Cohen 1960).

    p is accuracy; e is the accuracy of guessing with the same frequencies, the sum over classes of the product of
    its shares among truths and predictions. NaN without samples, and where all truths and predictions are one class.
    """

    bounds: ClassVar[tuple[float, float]] = (-1, 1)

    def value(self, state: Array) -> float:
        """1 for perfect agreement, 0 for chance."""
        found, predicted, true = counts_of(state)
        total = float(true.sum())
        if not total:
            return math.nan
        observed = float(found.sum()) / total
        expected = float(predicted @ true) / total**2
        return (observed - expected) / (1 - expected) if expected < 1 else math.nan
