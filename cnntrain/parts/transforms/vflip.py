"""A vertical flip: some images upside down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnntrain.core.arrays import Array
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
