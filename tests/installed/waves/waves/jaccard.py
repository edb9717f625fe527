"""Jaccard: of the samples that are of a class or predicted to be, the share that is both."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import PerClass


@register("waves_jaccard")
@dataclass(frozen=True)
class Jaccard(PerClass):
    """Hit / (predicted + true - hit), for each class (Jaccard 1901); see `average` for how classes are put together."""

    def ratio(self, hit: Array, predicted: Array, true: Array) -> tuple[Array, Array]:
        """Numerator and denominator."""
        return hit, predicted + true - hit
