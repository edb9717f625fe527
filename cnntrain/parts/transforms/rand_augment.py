"""RandAugment: a few operations in a row for every image, all of one strength."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from cnntrain.config.fields import PositiveInt, Range
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops import tones
from cnntrain.ops.policies import OPERATIONS, augment, carry
from cnntrain.parts.transforms.base import Transform

STRENGTHS = 31


@register("rand_augment")
@dataclass(frozen=True)
class RandAugment(Transform):
    """`operations` drawn uniformly from fourteen, each at `magnitude` of 30 (Cubuk et al. 2020; torchvision's).

    At 30, shears are 0.3, shifts 45% of the image, turns 30 degrees, brightness, color, contrast and sharpness changed
    by 0.9, all in both directions; posterize leaves 4 bits, solarize inverts everything; autocontrast, equalize and
    identity have no strength. Pixels must be in [0, 1]; what comes from outside the image is zero.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"operations": 3, "magnitude": 20})
    random: ClassVar[bool] = True
    takes_pixels: ClassVar[bool] = True
    displaces: ClassVar[bool] = True
    recolours: ClassVar[bool] = True

    operations: PositiveInt = 2  # operations applied to each image
    magnitude: Annotated[int, Range(0, 30)] = 9  # their strength

    def output_shape(self, shape: Shape) -> Shape:
        """The same. Raises ValueError where there are neither one nor three channels."""
        tones.check_channels(shape[-1])
        return shape

    def apply(self, images: Array, draws: Draws) -> Array:
        """Change the images in place."""
        table, strength = magnitudes(*images.shape[1:3]), np.full(len(images), self.magnitude)
        for _ in range(self.operations):
            which = draws.integers(len(OPERATIONS))
            images = augment(images, which, strength, draws.uniform() < 0.5, table)
        return images

    def points(self, xy: Array, shape: Shape, draws: Draws) -> Array:
        """Moved by one operation after the other."""
        table, strength = magnitudes(*shape[:2]), np.full(len(xy), self.magnitude)
        for _ in range(self.operations):
            which = draws.integers(len(OPERATIONS))
            xy = carry(xy, (shape[0], shape[1]), which, strength, draws.uniform() < 0.5, table)
        return xy


def magnitudes(height: int, width: int) -> dict[str, Array]:
    """For each operation that has one, the magnitude at every strength."""
    share = np.linspace(0, 1, STRENGTHS)
    shear = {"shear_x": 0.3 * share, "shear_y": 0.3 * share}
    shift = {"translate_x": 150 / 331 * width * share, "translate_y": 150 / 331 * height * share}
    tone = dict.fromkeys(("brightness", "color", "contrast", "sharpness"), 0.9 * share)
    rest = {"posterize": 8 - np.rint(4 * share), "solarize": 1 - share, "autocontrast": share, "equalize": share}
    return {"rotate": 30 * share, **shear, **shift, **tone, **rest}
