"""A vertical flip: some images upside down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.parts.transforms.base import Sometimes


@register("vflip")
@dataclass(frozen=True)
class VFlip(Sometimes):
    """Mirror top and bottom, each image with this probability (torchvision's RandomVerticalFlip)."""

    moves_pixels_only: ClassVar[bool] = True
    displaces: ClassVar[bool] = True

    def change(self, images: Array) -> Array:
        """The rows in reverse."""
        return images[:, ::-1]

    def points(self, xy: Array, shape: Shape, draws: Draws) -> Array:
        """In the chosen ones y becomes height - y."""
        mirrored: Array = np.where(self.chosen(draws)[:, None, None], [0, shape[0]] + xy * [1, -1], xy)
        return mirrored
