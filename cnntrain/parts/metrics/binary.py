"""Metrics of several labels a sample: each output is a question, answered yes where its logit is above 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.description import CLASSES, VALUES
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import Mean, Metric, divided, rows_of


@register("binary_accuracy")
@dataclass(frozen=True)
class BinaryAccuracy(Mean):
    """Share of right answers among all outputs, in [0, 1]: 1 - the Hamming loss (Keras's BinaryAccuracy of logits).

    A target above 0.5 means yes. Labels become one-hot rows. A NaN is never right.
    """

    bounds: ClassVar[tuple[float, float]] = (0, 1)
    scores: ClassVar[tuple[str, ...]] = (CLASSES, VALUES)
    larger_is_better: ClassVar[bool] = True

    def each(self, outputs: Array, targets: Array) -> Array:
        """The share of each sample."""
        right = ((outputs > 0) == (rows_of(targets, outputs) > 0.5)) & ~np.isnan(outputs)
        share: Array = right.mean(axis=1, dtype=np.float64)
        return share


@register("binary_f1")
@dataclass(frozen=True)
class BinaryF1(Metric):
    """2 true yes / (2 true yes + false yes + false no), in [0, 1] (van Rijsbergen 1979), for several labels a sample.

    `micro` counts over all outputs, `macro` is the mean of the outputs' scores; nothing to nothing counts 0, as in
    scikit-learn. A NaN is never right. State, of each output: true yes, false yes, false no.
    """

    bounds: ClassVar[tuple[float, float]] = (0, 1)
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"average": "macro"})
    scores: ClassVar[tuple[str, ...]] = (CLASSES, VALUES)

    average: Literal["micro", "macro"] = "micro"  # over all outputs together, or the mean over labels

    def label(self) -> str:
        """`binary_f1`, or `binary_f1_macro`."""
        return self.name_in_config + "_macro" * (self.average == "macro")

    def zeros(self, classes: int) -> Array:
        """Three rows of zeros and the weight of all samples, flat."""
        return np.zeros(3 * classes + 1)

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Count a shard."""
        meant, w = rows_of(targets, outputs) > 0.5, weights.astype(np.float64)
        said = np.where(np.isnan(outputs), ~meant, outputs > 0)
        state += np.concatenate([w @ (said & meant), w @ (said & ~meant), w @ (~said & meant), [w.sum()]])

    def value(self, state: Array) -> float:
        """The average; NaN without samples."""
        hit, false_yes, false_no = state[:-1].reshape(3, -1)
        if not state[-1]:
            return math.nan
        if self.average == "micro":
            hit, false_yes, false_no = (counts.sum(keepdims=True) for counts in (hit, false_yes, false_no))
        return float(divided(2 * hit, 2 * hit + false_yes + false_no).mean())
