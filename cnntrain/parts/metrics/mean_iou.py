"""Mean IoU: how well predicted regions match a mask's, class by class."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import OfPixels, PerClass


@register("mean_iou")
@dataclass(frozen=True)
class MeanIoU(OfPixels, PerClass):
    """Intersection over union of the pixels of a class and of those taken for it, averaged (Jaccard 1912).

    Counted over the whole split, as Pascal VOC does (Everingham et al. 2010) and torchmetrics' JaccardIndex. Classes
    that occur neither in a mask nor in an answer are left out of the `macro` mean; of the others, one that is never
    right counts 0. `weighted` is known as frequency-weighted IoU.
    """

    def ratio(self, hit: Array, predicted: Array, true: Array) -> tuple[Array, Array]:
        """Intersection and union."""
        return hit, predicted + true - hit
