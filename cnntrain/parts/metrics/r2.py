"""The coefficient of determination: how much better than always answering the mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.description import CLASSES, VALUES
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import Metric, rows_of


@register("r2")
@dataclass(frozen=True)
class R2(Metric):
    """1 - sum (t - y)^2 / sum (t - mean t)^2 of each output, averaged (Wright 1921); at most 1, 0 for the mean.

    An output whose targets are all the same counts 1 where it is exact and else 0, as in scikit-learn's r2_score.
    Labels become one-hot rows. State, of each output: weight, sum of targets, of their squares, of squared errors.
    """

    bounds: ClassVar[tuple[float, float]] = (-math.inf, 1)
    scores: ClassVar[tuple[str, ...]] = (CLASSES, VALUES)
    of_logits: ClassVar[bool] = False

    def zeros(self, classes: int) -> Array:
        """Four rows of zeros, flat."""
        return np.zeros(4 * classes)

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Add a shard."""
        t, w = rows_of(targets, outputs), weights.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):  # outputs that are not finite give no finite score
            squares = np.square(t - outputs)
            state += np.concatenate([np.full(t.shape[1], w.sum()), w @ t, w @ np.square(t), w @ squares])

    def value(self, state: Array) -> float:
        """The mean over outputs; NaN without samples."""
        weight, total, squares, errors = state.reshape(4, -1)
        if not weight.size or not weight[0]:
            return math.nan
        spread = np.maximum(squares - total * total / weight, 0)
        spread[spread <= (1e-14 + 4e-17 * weight) * squares] = 0  # what rounding leaves of equal targets
        with np.errstate(invalid="ignore", divide="ignore"):
            scores = np.where(spread > 0, 1 - errors / spread, np.where(errors == 0, 1.0, errors * 0))
        return float(scores.mean())
