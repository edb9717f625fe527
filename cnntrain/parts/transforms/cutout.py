"""Cutout: a square of every image blacked out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.config.fields import PositiveInt
from cnntrain.core.arrays import Array
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.parts.transforms.base import Transform, erase


@register("cutout")
@dataclass(frozen=True)
class Cutout(Transform):
    """Set a square to zero whose center is any pixel, so that it may stick out (DeVries and Taylor 2017).

    `size` is its side; 16 is theirs for CIFAR-10, 8 for CIFAR-100. After normalize, zero is the mean.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"size": 4}, {"size": 5})
    moves_pixels_only: ClassVar[bool] = True
    random: ClassVar[bool] = True

    size: PositiveInt = 16  # side of the square in pixels

    def apply(self, images: Array, draws: Draws) -> Array:
        """Cut out in place."""
        top, left = (draws.integers(size) - self.size // 2 for size in images.shape[1:3])
        return erase(images, top, top + self.size, left, left + self.size)
