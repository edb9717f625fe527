"""Solarizing: some images with their bright parts as negative, as of a film exposed twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from cnntrain.config.fields import Range
from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.ops import tones
from cnntrain.parts.transforms.base import Sometimes


@register("solarize")
@dataclass(frozen=True)
class Solarize(Sometimes):
    """1 - x where x is at least the threshold, each image with this probability (torchvision's RandomSolarize).

    Pixels must be in [0, 1]; torchvision's threshold of 128 for bytes is 0.502 here.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"threshold": 0.2, "probability": 1.0})
    takes_pixels: ClassVar[bool] = True

    threshold: Annotated[float, Range(0, 1)] = 0.5  # values from here on are inverted

    def change(self, images: Array) -> Array:
        """Solarized."""
        return tones.solarize(images, np.full(len(images), self.threshold))
