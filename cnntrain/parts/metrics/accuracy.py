"""Accuracy: the share of samples whose class the network gets right."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import Share, correct


@register("accuracy")
@dataclass(frozen=True)
class Accuracy(Share):
    """Share of samples whose largest output is the true class, in [0, 1]; of equal outputs the first counts."""

    def hits(self, outputs: Array, labels: Array) -> Array:
        """Where the prediction is right."""
        return correct(outputs, labels)
