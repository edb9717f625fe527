"""Balanced accuracy: accuracy as if every class were equally frequent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import Counted, counts_of, divided


@register("balanced_accuracy")
@dataclass(frozen=True)
class BalancedAccuracy(Counted):
    """The mean of the recalls of the classes that occur among the truths (Brodersen et al. 2010), in [0, 1]."""

    bounds: ClassVar[tuple[float, float]] = (0, 1)

    def value(self, state: Array) -> float:
        """NaN without samples."""
        found, _, true = counts_of(state)
        recalls = divided(found, true)[true > 0]
        return float(recalls.mean()) if len(recalls) else math.nan
