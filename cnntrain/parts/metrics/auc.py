"""AUC: how often a sample of a class is rated above a sample of another, whatever the threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import Range
from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import Metric, labels_of, log_probabilities

LIMIT = 32.0  # log-odds beyond it share a bin: a probability within 1.3e-14 of 0 or 1


@register("auc")
@dataclass(frozen=True)
class AUC(Metric):
    """Area under the ROC curve of each class against the rest (Hanley and McNeil 1982), in [0, 1].

    It is the probability that a sample of the class has a larger softmax probability than one of another class, ties
    counting half. Exact AUC needs every score; a state that adds up has a fixed size, so scores are counted in `bins`
    bins of equal width in log-odds from -32 to 32 (0.0625 each for 1024), two histograms a class. Log-odds, because a
    trained network's probabilities crowd at 0 and 1. Two samples in one bin count as tied, so the error is at most
    half the share of (own, other) pairs that meet in a bin, and in practice a small part of that, since ties err
    both ways. The state takes 16 KB a class. `macro` is the mean over the classes that have both kinds of samples.
    """

    bounds: ClassVar[tuple[float, float]] = (0, 1)
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"average": "per_class", "bins": 64})

    average: Literal["macro", "per_class"] = "macro"  # the mean over classes, or a value for each
    bins: Annotated[int, Range(2, 65536)] = 1024  # bins in which scores are counted

    def label(self) -> str:
        """`auc`, with average and bins where they are not the defaults."""
        return self.name_in_config + "_per_class" * (self.average != "macro") + f"_{self.bins}" * (self.bins != 1024)

    def zeros(self, classes: int) -> Array:
        """Two histograms a class: of the others' samples, of its own."""
        return np.zeros(classes * 2 * self.bins)

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Count a shard; a score that is NaN is wrong: the lowest of its own class, the highest of another."""
        classes = outputs.shape[1]
        own = np.arange(classes) == labels_of(targets)[:, None]
        place = np.floor((log_odds(outputs) + LIMIT) * (self.bins / (2 * LIMIT)))
        place = np.where(np.isnan(place), np.where(own, 0, self.bins - 1), np.clip(place, 0, self.bins - 1))
        place = place.astype(np.int64)
        cells = (np.arange(classes) * 2 + own) * self.bins + place
        touched, which = np.unique(cells.ravel(), return_inverse=True)  # few of the bins of many classes
        state[touched] += np.bincount(which, np.repeat(weights, classes))

    def value(self, state: Array) -> Any:
        """A float, or a list with every class; NaN for a class without samples of both kinds."""
        others, own = np.moveaxis(state.reshape(-1, 2, self.bins), 1, 0)
        below = np.cumsum(others, axis=1) - others / 2  # of the others: in lower bins, and half of those in this one
        pairs = own.sum(axis=1) * others.sum(axis=1)
        areas = np.divide((own * below).sum(axis=1), pairs, out=np.full(len(pairs), math.nan), where=pairs > 0)
        if self.average == "per_class":
            return areas.tolist()
        known = areas[pairs > 0]
        return float(known.mean()) if len(known) else math.nan


def log_odds(outputs: Array) -> Array:
    """log(p / (1 - p)) of the softmax p of logits (n, classes), float64: the logit less the others' log-sum-exp.

    Where p rounds to 1, the others' sum is still there: each class is left out of its own.
    """
    logs = log_probabilities(outputs)
    shares, odds = np.exp(logs), np.empty_like(logs)
    others = shares[:, 1:].copy()  # of class 0; those of the next class have its share in place of the next one's
    for k in range(logs.shape[1]):
        if k > 0:
            others[:, k - 1] = shares[:, k - 1]
        np.add.reduce(others, axis=1, out=odds[:, k])
    with np.errstate(divide="ignore", invalid="ignore"):  # no other value, or all at zero: infinitely sure
        return np.subtract(logs, np.log(odds, out=odds), out=odds)
