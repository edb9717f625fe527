"""Ranking: how well scores put what is meant before what is not, whatever the threshold.

Both figures are of whole splits and exact: every score counts, and equal scores are one threshold.
"""

from __future__ import annotations

import numpy as np

from cnntrain.core.arrays import Array


def average_precision(scores: Array, meant: Array) -> float | None:
    """Precision at each threshold, weighted with the recall it adds, in [0, 1] (scikit-learn, torchmetrics).

    `scores` are (n,), `meant` bool (n,). None where nothing is meant.
    """
    true, false = _above(scores, meant)
    if not true[-1]:
        return None
    found = np.diff(true, prepend=0)
    return float((found * (true / np.maximum(true + false, 1))).sum() / true[-1])


def area_under_roc(scores: Array, meant: Array) -> float | None:
    """The share of pairs of one meant and one not in which the former has the higher score, ties counting half.

    The area under the ROC curve (Hanley and McNeil 1982), in [0, 1]. `scores` are (n,), `meant` bool (n,). None where
    there is no such pair.
    """
    true, false = _above(scores, meant)
    if not true[-1] or not false[-1]:
        return None
    heights = true - np.diff(true, prepend=0) / 2  # halfway between one threshold and the next
    return float((np.diff(false, prepend=0) * heights).sum() / (true[-1] * false[-1]))


def _above(scores: Array, meant: Array) -> tuple[Array, Array]:
    """How many that are meant, and how many that are not, have at least each of the scores, the highest first.

    Float64, and a zero alone without samples. A score that is NaN is wrong: the lowest, or the highest of those not
    meant.
    """
    scores = np.where(np.isnan(scores), np.where(meant, -np.inf, np.inf), scores)
    order = np.argsort(-scores, kind="stable")
    scores, meant = scores[order], meant[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], len(scores) > 0))
    true = np.cumsum(meant, dtype=np.float64)[last]
    return (true, last + 1 - true) if len(true) else (np.zeros(1), np.zeros(1))
