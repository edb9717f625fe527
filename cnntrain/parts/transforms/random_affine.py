"""A random affine map: every image turned, moved, scaled and sheared by amounts of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegative, Positive, Probability, Range
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.sampling import Interpolation, affine_maps, mapped, warp
from cnntrain.parts.transforms.base import Transform


@register("random_affine")
@dataclass(frozen=True)
class RandomAffine(Transform):
    """Turn, move, scale and shear about the center (torchvision's RandomAffine); what comes from outside is zero.

    The angle is uniform in [-degrees, degrees]; the shift in whole pixels, uniform up to `translate` = [x, y] as
    shares of width and height; the scale uniform in `scale`; the shear along x uniform in [-shear, shear] degrees.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"degrees": 20.0},
        {"translate": (0.3, 0.2)},
        {"degrees": 10.0, "translate": (0.1, 0.1), "scale": (0.5, 1.5), "shear": 10.0, "interpolation": "bilinear"},
    )
    random: ClassVar[bool] = True
    displaces: ClassVar[bool] = True

    degrees: NonNegative = 0.0  # the angle is uniform in ± this
    translate: tuple[Probability, Probability] = (0.0, 0.0)  # the largest shift, [x, y], as shares of width and height
    scale: tuple[Positive, Positive] = (1.0, 1.0)  # range of the scale
    shear: Annotated[float, Range(0, 90, open_high=True)] = 0.0  # the shear along x is uniform in ± this many degrees
    interpolation: Interpolation = "nearest"  # how values between pixels are found

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale must not fall, got {list(self.scale)}")
        if not (self.degrees or any(self.translate) or self.shear) and self.scale == (1, 1):
            raise ValueError("does nothing: give degrees, translate, scale or shear")

    def apply(self, images: Array, draws: Draws) -> Array:
        """The mapped images, a new array."""
        return warp(images, self._maps(images.shape[1:], draws), self.interpolation)

    def points(self, xy: Array, shape: Shape, draws: Draws) -> Array:
        """Mapped as the images are."""
        return mapped(self._maps(shape, draws), xy)

    def _maps(self, shape: Shape, draws: Draws) -> Array:
        height, width, _ = shape
        angle = draws.uniform(-self.degrees, self.degrees)
        most = self.translate[0] * width, self.translate[1] * height
        move_x, move_y = (np.rint(draws.uniform(-limit, limit)) for limit in most)
        scale, shear = draws.uniform(*self.scale), draws.uniform(-self.shear, self.shear)
        return affine_maps((width / 2, height / 2), angle, (move_x, move_y), scale, (shear, np.zeros(len(draws))))
