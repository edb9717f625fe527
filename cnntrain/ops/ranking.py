"""Ranking: how well scores put what is meant before what is not, whatever the threshold.

Its figures are of whole splits and exact: every score counts, and equal scores are one threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from cnntrain.core.arrays import Array


@dataclass(frozen=True)
class Ranking:
    """How many that are meant, and how many that are not, have at least each of the scores, the highest first.

    Both are float64; a zero alone without samples.
    """

    true: Array
    false: Array

    @classmethod
    def of(cls, scores: Array, meant: Array) -> Self:
        """From scores (n,) and what is meant, bool (n,).

        A score that is NaN is wrong: the lowest of what is meant, or the highest of what is not.
        """
        scores = np.where(np.isnan(scores), np.where(meant, -np.inf, np.inf), scores)
        order = np.argsort(-scores, kind="stable")
        scores, meant = scores[order], meant[order]
        last = np.flatnonzero(np.append(scores[1:] != scores[:-1], len(scores) > 0))
        true = np.cumsum(meant, dtype=np.float64)[last]
        return cls(true, last + 1 - true) if len(true) else cls(np.zeros(1), np.zeros(1))

    @property
    def average_precision(self) -> float | None:
        """Precision at each threshold, weighted with the recall it adds, in [0, 1] (scikit-learn, torchmetrics).

        None where nothing is meant.
        """
        true, false = self.true, self.false
        if not true[-1]:
            return None
        return float((np.diff(true, prepend=0) * (true / (true + false))).sum() / true[-1])

    @property
    def area_under_roc(self) -> float | None:
        """The share of pairs of one meant and one not in which the former has the higher score, ties counting half.

        The area under the ROC curve (Hanley and McNeil 1982), in [0, 1]. None where there is no such pair.
        """
        true, false = self.true, self.false
        if not true[-1] or not false[-1]:
            return None
        heights = true - np.diff(true, prepend=0) / 2  # halfway between one threshold and the next
        return float((np.diff(false, prepend=0) * heights).sum() / (true[-1] * false[-1]))
