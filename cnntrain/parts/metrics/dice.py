"""Dice's coefficient: how well predicted regions match a mask's, class by class, the overlap counting twice."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import OfPixels, PerClass


@register("dice")
@dataclass(frozen=True)
class Dice(OfPixels, PerClass):
    """2 |A and B| / (|A| + |B|) of the pixels A of a class and B taken for it, averaged (Dice 1945).

    It is the F1 score of pixels, counted over the whole split; averages are those of mean_iou, and torchmetrics'
    MulticlassF1Score of the pixels.
    """

    def ratio(self, hit: Array, predicted: Array, true: Array) -> tuple[Array, Array]:
        """Twice the overlap, and both regions."""
        return 2 * hit, predicted + true
