"""SpecAugment hides bands and stretches of time of a spectrogram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegativeInt, PositiveInt, Probability
from cnntrain.core.arrays import Array
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.parts.transforms.base import Transform, erase


@register("spec_augment")
@dataclass(frozen=True)
class SpecAugment(Transform):
    """Set bands of rows (frequencies) and of columns (moments) to zero (Park et al. 2019, without the time warping).

    Of each of `frequency_masks` the width is uniform in 0 to `frequency_width` rows, of each of `time_masks` in 0 to
    `time_width` columns, though at most `time_share` of all columns; the place is uniform where it fits. Zero is the
    mean where it stands after normalize, as in the paper.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"frequency_width": 2, "time_masks": 1, "time_width": 3})
    moves_pixels_only: ClassVar[bool] = True
    random: ClassVar[bool] = True

    frequency_masks: NonNegativeInt = 2  # how many bands of rows are hidden
    frequency_width: PositiveInt = 6  # the most rows that one hides
    time_masks: NonNegativeInt = 2  # how many stretches of columns are hidden
    time_width: PositiveInt = 12  # the most columns that one hides
    time_share: Probability = 0.2  # the most columns that one hides, as a share of all

    def apply(self, images: Array, draws: Draws) -> Array:
        """Hide in place."""
        n, height, width, _ = images.shape
        zero = np.zeros(n)
        for _ in range(self.frequency_masks):
            tall = draws.integers(min(self.frequency_width, height) + 1)
            top = np.floor(draws.uniform() * (height - tall + 1))
            images = erase(images, top, top + tall, zero, zero + width)
        for _ in range(self.time_masks):
            wide = draws.integers(min(self.time_width, int(self.time_share * width)) + 1)
            left = np.floor(draws.uniform() * (width - wide + 1))
            images = erase(images, zero, zero + height, left, left + wide)
        return images
