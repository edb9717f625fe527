"""Log-loss: how surprised the network is by the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import Mean, labels_of, log_probabilities


@register("log_loss")
@dataclass(frozen=True)
class LogLoss(Mean):
    """Mean of -log p(true class) in nats, p being the softmax of the outputs.

    It is the cross-entropy whatever loss the experiment trains with. Computed from the logits, so that no
    probability has to be kept from zero. Targets that are rows count as the label of their largest value.
    """

    def each(self, outputs: Array, targets: Array) -> Array:
        """The surprise of each sample."""
        surprise: Array = -log_probabilities(outputs)[np.arange(len(outputs)), labels_of(targets)]
        return surprise
