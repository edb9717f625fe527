"""A horizontal flip: some images seen in the mirror."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Probability
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.parts.transforms.base import Transform


@register("hflip")
@dataclass(frozen=True)
class HFlip(Transform):
    """Mirror left and right, each image with this probability (torchvision's RandomHorizontalFlip)."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"probability": 1.0})
    moves_pixels_only: ClassVar[bool] = True
    random: ClassVar[bool] = True
    displaces: ClassVar[bool] = True

    probability: Probability = 0.5  # probability that an image is mirrored

    def apply(self, images: Array, draws: Draws) -> Array:
        """Flip the chosen ones in place."""
        chosen = self._chosen(draws)
        n, height, _, channels = images.shape
        pixels = images.reshape(n, height, -1).view(f"V{channels * images.itemsize}")  # a pixel is one item to move
        pixels[chosen] = pixels[chosen, :, ::-1]
        return pixels.view(images.dtype).reshape(images.shape)

    def points(self, xy: Array, shape: Shape, draws: Draws) -> Array:
        """In the chosen ones x becomes width - x."""
        mirrored: Array = np.where(self._chosen(draws)[:, None, None], [shape[1], 0] + xy * [-1, 1], xy)
        return mirrored

    def _chosen(self, draws: Draws) -> Array:
        return draws.uniform() < self.probability
