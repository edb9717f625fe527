"""The Brier score: the squared distance from the probabilities to the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import Mean, labels_of, log_probabilities


@register("brier")
@dataclass(frozen=True)
class Brier(Mean):
    """Mean of sum_k (p_k - y_k)^2 over classes, in [0, 2] (Brier 1950); p is the softmax of the outputs, y one-hot.

    For two classes that is twice the one-sided score. Targets that are rows count as the label of their largest
    value.
    """

    def each(self, outputs: Array, targets: Array) -> Array:
        """The squared distance of each sample."""
        difference = np.exp(log_probabilities(outputs))
        difference[np.arange(len(outputs)), labels_of(targets)] -= 1
        distance: Array = np.square(difference).sum(axis=1)
        return distance
