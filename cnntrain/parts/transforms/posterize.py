"""Posterizing: some images with few shades, as on a poster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from cnntrain.config.fields import Range
from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.ops import tones
from cnntrain.parts.transforms.base import Sometimes


@register("posterize")
@dataclass(frozen=True)
class Posterize(Sometimes):
    """Keep the highest `bits` of every byte, each image with this probability (torchvision's RandomPosterize).

    Pixels must be in [0, 1]; they count as the nearest byte.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"bits": 2, "probability": 1.0})
    takes_pixels: ClassVar[bool] = True

    bits: Annotated[int, Range(1, 8)] = 4  # bits of every byte that are kept

    def change(self, images: Array) -> Array:
        """Posterized."""
        return tones.posterize(images, np.full(len(images), self.bits))
