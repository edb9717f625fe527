"""Color jitter: brightness, contrast, saturation and hue of every image changed a little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegative, Range
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops import tones
from cnntrain.parts.transforms.base import Transform


@register("color_jitter")
@dataclass(frozen=True)
class ColorJitter(Transform):
    """Change brightness, contrast, saturation and hue in an order drawn for each image (torchvision's ColorJitter).

    The first three are factors uniform in [max(0, 1 - value), 1 + value], the hue turns uniform in [-value, value],
    0.5 being half the color wheel. Pixels must be in [0, 1] and are kept there.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"brightness": 0.4},
        {"contrast": 0.4},
        {"saturation": 0.4},
        {"hue": 0.1},
        {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    )
    random: ClassVar[bool] = True
    takes_pixels: ClassVar[bool] = True

    brightness: NonNegative = 0.0  # the factor is uniform in 1 ± this, at least 0
    contrast: NonNegative = 0.0  # the factor is uniform in 1 ± this, at least 0
    saturation: NonNegative = 0.0  # the factor is uniform in 1 ± this, at least 0
    hue: Annotated[float, Range(0, 0.5)] = 0.0  # the hue turns by up to this share of the color wheel either way

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.brightness or self.contrast or self.saturation or self.hue):
            raise ValueError("does nothing: give brightness, contrast, saturation or hue")

    def output_shape(self, shape: Shape) -> Shape:
        """The same. Raises ValueError where gray images have no color to change."""
        tones.check_channels(shape[-1])
        if shape[-1] == 1 and (self.saturation or self.hue):
            raise ValueError("saturation and hue need color images, these are gray: leave them out")
        return shape

    def apply(self, images: Array, draws: Draws) -> Array:
        """Change the images in place."""
        order = np.argsort([draws.uniform() for _ in range(4)], axis=0)  # (place, n): which change comes there
        changes = (
            (tones.brightness, self.brightness, _factors(self.brightness, draws)),
            (tones.contrast, self.contrast, _factors(self.contrast, draws)),
            (tones.saturation, self.saturation, _factors(self.saturation, draws)),
            (tones.hue, self.hue, draws.uniform(-self.hue, self.hue)),
        )
        for which in order:
            for index, (change, most, amounts) in enumerate(changes):
                chosen = np.flatnonzero(which == index)
                if most and len(chosen):
                    images[chosen] = change(images[chosen], amounts[chosen])
        return images


def _factors(most: float, draws: Draws) -> Array:
    return draws.uniform(max(0.0, 1 - most), 1 + most)
