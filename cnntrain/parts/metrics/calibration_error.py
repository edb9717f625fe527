"""Calibration error: how far the network's confidence is from how often it is right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from cnntrain.config.fields import Range
from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.ops.argmax import correct
from cnntrain.parts.metrics.base import Metric, labels_of, log_probabilities


@register("calibration_error")
@dataclass(frozen=True)
class CalibrationError(Metric):
    """Expected calibration error (Naeini et al. 2015; Guo et al. 2017), in [0, 1].

    The confidence of a sample is its largest softmax probability. Samples fall into `bins` bins of equal width by
    confidence, a boundary belonging to the bin below; the error is the mean over samples of the distance between
    accuracy and mean confidence of their bin. State: for each bin the weight, the summed confidence, and the weight of
    those that are right.
    """

    bounds: ClassVar[tuple[float, float]] = (0, 1)
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"bins": 4})
    larger_is_better: ClassVar[bool] = False

    bins: Annotated[int, Range(1, 10000)] = 15  # bins of equal width in which samples are sorted by confidence

    def label(self) -> str:
        """`calibration_error`, with the number of bins where it is not 15."""
        return self.name_in_config + f"_{self.bins}" * (self.bins != 15)

    def zeros(self, classes: int) -> Array:  # noqa: ARG002  (the contract's signature)
        """Three numbers a bin."""
        return np.zeros(3 * self.bins)

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Add a shard to the state."""
        confidence = np.exp(log_probabilities(outputs).max(axis=1))
        place = np.searchsorted(np.linspace(0, 1, self.bins + 1)[1:-1], confidence)
        right = correct(outputs, labels_of(targets))
        for row, what in zip(state.reshape(3, self.bins), (1, confidence, right), strict=True):
            row += np.bincount(place, weights * what, minlength=self.bins)

    def value(self, state: Array) -> float:
        """NaN without samples."""
        weight, confidence, right = state.reshape(3, self.bins)
        total = float(weight.sum())
        return float(np.abs(right - confidence).sum()) / total if total else math.nan
