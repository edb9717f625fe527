"""Three channels: gray images as color images that have no color."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops import tones
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.transforms.base import Transform


@register("to_rgb")
@dataclass(frozen=True)
class ToRGB(Transform):
    """The gray channel three times (torchvision's RGB); an image of three channels stays as it is."""

    moves_pixels_only: ClassVar[bool] = True
    tried_on: ClassVar[Shape | None] = (8, 12, 1)

    def output_shape(self, shape: Shape) -> Shape:
        """Three channels. Raises ValueError where there are neither one nor three."""
        tones.check_channels(shape[-1])
        return (*shape[:2], 3)

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """A new array where there was one channel."""
        return images if images.shape[-1] == 3 else np.repeat(images, 3, axis=3)

    def trace(self, t: Trace, x: Value) -> Value:
        """The channel three times."""
        return x if x.shape[-1] == 3 else t.op("concat", x, x, x, shape=(*x.shape[:2], 3), axis=2)
