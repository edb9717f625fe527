"""Inverting: some images as their negative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.transforms.base import Sometimes


@register("invert")
@dataclass(frozen=True)
class Invert(Sometimes):
    """1 - x, each image with this probability (torchvision's RandomInvert). Pixels must be in [0, 1]."""

    takes_pixels: ClassVar[bool] = True

    def change(self, images: Array) -> Array:
        """The negatives."""
        return 1 - images
