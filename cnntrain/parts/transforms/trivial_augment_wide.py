"""TrivialAugment: one operation of any strength for every image, and nothing to tune."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops import tones
from cnntrain.ops.policies import OPERATIONS, augment, carry
from cnntrain.parts.transforms.base import Transform

STRENGTHS = 31


@register("trivial_augment_wide")
@dataclass(frozen=True)
class TrivialAugmentWide(Transform):
    """One of fourteen operations at one of 31 strengths, drawn uniformly (Müller and Hutter 2021).

    torchvision's TrivialAugmentWide: shears to 0.99, shifts to 32 pixels, turns to 135 degrees, brightness, color,
    contrast and sharpness changed by up to 0.99, all in both directions; posterize down to 2 bits, solarize,
    autocontrast, equalize and identity. Pixels must be in [0, 1]; what comes from outside the image is zero.
    """

    random: ClassVar[bool] = True
    takes_pixels: ClassVar[bool] = True
    displaces: ClassVar[bool] = True
    recolours: ClassVar[bool] = True

    def output_shape(self, shape: Shape) -> Shape:
        """The same. Raises ValueError where there are neither one nor three channels."""
        tones.check_channels(shape[-1])
        return shape

    def apply(self, images: Array, draws: Draws) -> Array:
        """Change the images in place."""
        which, strength = draws.integers(len(OPERATIONS)), draws.integers(STRENGTHS)
        return augment(images, which, strength, draws.uniform() < 0.5, magnitudes())

    def points(self, xy: Array, shape: Shape, draws: Draws) -> Array:
        """Moved by the operation."""
        which, strength = draws.integers(len(OPERATIONS)), draws.integers(STRENGTHS)
        return carry(xy, (shape[0], shape[1]), which, strength, draws.uniform() < 0.5, magnitudes())


def magnitudes() -> dict[str, Array]:
    """For each operation that has one, the magnitude at every strength."""
    share = np.linspace(0, 1, STRENGTHS)
    shear = {"shear_x": 0.99 * share, "shear_y": 0.99 * share}
    shift = {"translate_x": 32 * share, "translate_y": 32 * share}
    tone = dict.fromkeys(("brightness", "color", "contrast", "sharpness"), 0.99 * share)
    rest = {"posterize": 8 - np.rint(6 * share), "solarize": 1 - share, "autocontrast": share, "equalize": share}
    return {"rotate": 135 * share, **shear, **shift, **tone, **rest}
