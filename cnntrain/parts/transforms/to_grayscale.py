"""Grayscale: color images as one channel of brightness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops import tones
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.transforms.base import Transform


@register("to_grayscale")
@dataclass(frozen=True)
class ToGrayscale(Transform):
    """0.299 red + 0.587 green + 0.114 blue (ITU-R 601; torchvision's Grayscale); a gray image stays as it is."""

    def output_shape(self, shape: Shape) -> Shape:
        """One channel. Raises ValueError where there are neither one nor three."""
        tones.check_channels(shape[-1])
        return (*shape[:2], 1)

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """The brightness."""
        return tones.gray(images)

    def trace(self, t: Trace, x: Value) -> Value:
        """The weights along the channels."""
        return x if x.shape[-1] == 1 else t.along(x, t.constant("luma", np.array([tones.LUMA])), 2)
