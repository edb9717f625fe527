"""F1: precision and recall in one number, low where either is low."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import PerClass


@register("f1")
@dataclass(frozen=True)
class F1(PerClass):
    """The harmonic mean of precision and recall (van Rijsbergen 1979), for each class; see `average` for the rest.

    That is 2 correct / (predicted as the class + of the class).
    """

    def ratio(self, hit: Array, predicted: Array, true: Array) -> tuple[Array, Array]:
        """Numerator and denominator."""
        return 2 * hit, predicted + true
