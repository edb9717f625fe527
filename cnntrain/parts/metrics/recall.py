"""Recall: the share of the samples of a class that was found."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import PerClass


@register("recall")
@dataclass(frozen=True)
class Recall(PerClass):
    """Correct / of the class, for each class; see `average` for how classes are averaged."""

    def ratio(self, hit: Array, predicted: Array, true: Array) -> tuple[Array, Array]:  # noqa: ARG002  (the contract has three counts)
        """Numerator and denominator."""
        return hit, true
