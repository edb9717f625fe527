"""Pixel accuracy: the share of pixels whose class the network gets right."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import OfPixels, counts_of


@register("pixel_accuracy")
@dataclass(frozen=True)
class PixelAccuracy(OfPixels):
    """Share of the pixels that are not ignored whose largest output is the true class (Long et al. 2015).

    1 minus it is the pixel error of the ISBI 2012 challenge.
    """

    def value(self, state: Array) -> float:
        """The share, in [0, 1]; NaN without samples."""
        found, _, true = (float(row.sum()) for row in counts_of(state))
        return found / true if true else math.nan
