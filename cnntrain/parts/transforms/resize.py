"""Resizing: images made larger or smaller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Pair
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.sampling import Interpolation, resample, resampling
from cnntrain.parts.transforms.base import Transform


@register("resize")
@dataclass(frozen=True)
class Resize(Transform):
    """Resize to [height, width], or so that the shorter side is `size` long (torchvision's Resize, Pillow's filters).

    One number keeps the proportions, the longer side being rounded down. Bilinear averages what it makes smaller
    (antialiasing); nearest copies pixels.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"size": 5},
        {"size": (16, 9)},
        {"size": (16, 9), "interpolation": "nearest"},
    )

    size: Pair  # size of the result: [height, width], or one number for the shorter side
    interpolation: Interpolation = "bilinear"  # how values between pixels are found

    def output_shape(self, shape: Shape) -> Shape:
        """The new height and width."""
        height, width, channels = shape
        if isinstance(self.size, tuple):
            return (*self.size, channels)
        shorter = min(height, width)
        return (self.size * height // shorter, self.size * width // shorter, channels)

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """The resized images, a new array."""
        height, width = images.shape[1:3]
        rows, columns, _ = self.output_shape(images.shape[1:])
        start = np.zeros(1)
        down = resampling(start, start + height, height, rows, self.interpolation)
        across = resampling(start, start + width, width, columns, self.interpolation)
        return resample(images, down, across)

    def points(self, xy: Array, shape: Shape, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """Scaled along with the sides."""
        rows, columns, _ = self.output_shape(shape)
        return xy * [columns / shape[1], rows / shape[0]]
