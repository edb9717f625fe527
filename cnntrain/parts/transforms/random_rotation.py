"""A random rotation: every image turned by an angle of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Finite, NonNegative
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.sampling import Interpolation, affine_maps, mapped, warp
from cnntrain.parts.transforms.base import Transform


@register("random_rotation")
@dataclass(frozen=True)
class RandomRotation(Transform):
    """Turn counter-clockwise about the center by an angle uniform in [low, high] degrees (torchvision's).

    One number stands for [-degrees, degrees]. The image keeps its size; what comes from outside is zero.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"degrees": 20.0},
        {"degrees": (30.0, 90.0), "interpolation": "bilinear"},
    )
    random: ClassVar[bool] = True
    displaces: ClassVar[bool] = True

    degrees: NonNegative | tuple[Finite, Finite]  # the largest angle either way, or [lowest, highest]
    interpolation: Interpolation = "nearest"  # how values between pixels are found

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.degrees, tuple) and self.degrees[0] > self.degrees[1]:
            raise ValueError(f"degrees must not fall, got {list(self.degrees)}")

    def apply(self, images: Array, draws: Draws) -> Array:
        """The turned images, a new array."""
        return warp(images, self._maps(images.shape[1:], draws), self.interpolation)

    def points(self, xy: Array, shape: Shape, draws: Draws) -> Array:
        """Turned about the same center."""
        return mapped(self._maps(shape, draws), xy)

    def _maps(self, shape: Shape, draws: Draws) -> Array:
        low, high = self.degrees if isinstance(self.degrees, tuple) else (-self.degrees, self.degrees)
        angle, none = draws.uniform(low, high), np.zeros(len(draws))
        return affine_maps((shape[1] / 2, shape[0] / 2), -angle, (none, none), none + 1, (none, none))
