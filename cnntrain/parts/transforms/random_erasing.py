"""Random erasing: a random rectangle of some images blacked out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Positive, Probability
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.parts.transforms.base import Transform, check_box, erase

TRIES = 10  # rectangles drawn before an image is left as it is


@register("random_erasing")
@dataclass(frozen=True)
class RandomErasing(Transform):
    """Set a random rectangle to zero, each image with this probability (torchvision's RandomErasing).

    It has a share of the image's area uniform in `scale` and a height / width log-uniform in `ratio`; of ten drawn, the
    first that is lower and narrower than the image is taken (Zhong et al. 2017). After normalize, zero is the mean.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"scale": (0.1, 0.5), "ratio": (1.0, 1.0), "probability": 0.9},
    )
    moves_pixels_only: ClassVar[bool] = True
    random: ClassVar[bool] = True

    probability: Probability = 0.5  # probability that a rectangle is erased
    scale: tuple[Positive, Positive] = (0.02, 0.33)  # range of the rectangle's share of the image's area
    ratio: tuple[Positive, Positive] = (0.3, 3.3)  # range of the rectangle's height over its width

    def __post_init__(self) -> None:
        super().__post_init__()
        check_box(self.scale, self.ratio, "the area")

    def output_shape(self, shape: Shape) -> Shape:
        """The same. Raises ValueError where no rectangle is lower and narrower than the image."""
        if min(shape[:2]) < 2:
            raise ValueError(
                f"no rectangle is lower and narrower than a {shape[0]}x{shape[1]} image: remove it, or put it after "
                "what makes an image of a sound"
            )
        return shape

    def apply(self, images: Array, draws: Draws) -> Array:
        """Erase in place."""
        n, height, width, _ = images.shape
        waiting = draws.uniform() < self.probability
        tall, wide = np.zeros(n), np.zeros(n)
        for _ in range(TRIES):
            area = draws.uniform(*self.scale) * height * width
            ratio = np.exp(draws.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            h, w = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
            fits = waiting & (h < height) & (w < width)
            tall[fits], wide[fits] = h[fits], w[fits]
            waiting &= ~fits
        top, left = np.floor(draws.uniform() * (height - tall + 1)), np.floor(draws.uniform() * (width - wide + 1))
        return erase(images, top, top + tall, left, left + wide)
