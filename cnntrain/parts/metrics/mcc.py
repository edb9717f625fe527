"""Matthews' correlation coefficient: how truths and predictions correlate, whatever the class frequencies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import Counted, counts_of


@register("mcc")
@dataclass(frozen=True)
class MCC(Counted):
    """The correlation of one-hot truths and predictions, in [-1, 1] (Matthews 1975; K classes: Gorodkin 2004).

    With s samples, c right ones, and t_k and p_k samples of and taken for class k,
    (c s - sum t_k p_k) / sqrt((s^2 - sum p_k^2) (s^2 - sum t_k^2)). 0 where a factor is zero, because all truths or
    all predictions are of one class; NaN without samples.
    """

    bounds: ClassVar[tuple[float, float]] = (-1, 1)

    def value(self, state: Array) -> float:
        """1 for perfect agreement, 0 for chance."""
        found, predicted, true = counts_of(state)
        total = float(true.sum())
        if not total:
            return math.nan
        covariance = float(found.sum()) * total - float(true @ predicted)
        spread = (total**2 - float(predicted @ predicted)) * (total**2 - float(true @ true))
        return covariance / math.sqrt(spread) if spread > 0 else 0.0
