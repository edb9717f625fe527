"""Autocontrast: some images with every channel stretched to the whole range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.ops import tones
from cnntrain.parts.transforms.base import Sometimes


@register("autocontrast")
@dataclass(frozen=True)
class AutoContrast(Sometimes):
    """Stretch each channel to [0, 1], each image with this probability (torchvision's RandomAutocontrast).

    The darkest value of a channel becomes 0 and the brightest 1; a flat channel stays as it is.
    """

    takes_pixels: ClassVar[bool] = True

    def change(self, images: Array) -> Array:
        """Stretched."""
        return tones.autocontrast(images)
