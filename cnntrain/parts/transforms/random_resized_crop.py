"""A random crop of random size and shape, resized to one size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Pair, Positive
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.sampling import Interpolation, resample, resampling
from cnntrain.ops.windows import pair
from cnntrain.parts.transforms.base import Transform, check_box

TRIES = 10  # boxes drawn before the middle of the image is taken


@register("random_resized_crop")
@dataclass(frozen=True)
class RandomResizedCrop(Transform):
    """Cut out a random box and resize it (Szegedy et al. 2015; torchvision's RandomResizedCrop).

    The box has a share of the image's area uniform in `scale` and a width / height log-uniform in `ratio`; of ten
    drawn the first that fits is taken, else the largest in the middle whose ratio is allowed. `size` is
    [height, width] or a square; the image's own where it is not given.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"size": 5}, {"size": (6, 9), "interpolation": "nearest"})
    random: ClassVar[bool] = True
    displaces: ClassVar[bool] = True

    size: Pair | None = None  # size of the result: one number, or [height, width]; by default the image's own
    scale: tuple[Positive, Positive] = (0.08, 1.0)  # range of the box's share of the image's area
    ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)  # range of the box's width over its height
    interpolation: Interpolation = "bilinear"  # how values between pixels are found

    def __post_init__(self) -> None:
        super().__post_init__()
        check_box(self.scale, self.ratio, "the area")

    def output_shape(self, shape: Shape) -> Shape:
        """(*size, channels)."""
        return shape if self.size is None else (*pair(self.size), shape[-1])

    def apply(self, images: Array, draws: Draws) -> Array:
        """The resized crops, a new array."""
        height, width = images.shape[1:3]
        rows, columns, _ = self.output_shape(images.shape[1:])
        top, left, tall, wide = self.boxes(height, width, draws)
        down = resampling(top, tall, height, rows, self.interpolation, cut=True)
        across = resampling(left, wide, width, columns, self.interpolation, cut=True)
        return resample(images, down, across)

    def points(self, xy: Array, shape: Shape, draws: Draws) -> Array:
        """Counted from the crop's corner, and scaled with it."""
        rows, columns, _ = self.output_shape(shape)
        top, left, tall, wide = self.boxes(shape[0], shape[1], draws)
        scale = np.stack([columns / wide, rows / tall], axis=-1)
        moved: Array = (xy - np.stack([left, top], axis=-1)[:, None]) * scale[:, None]
        return moved

    def boxes(self, height: int, width: int, draws: Draws) -> tuple[Array, Array, Array, Array]:
        """Top, left, height and width of each image's box: whole numbers, (n,)."""
        n = len(draws)
        tall, wide = (np.full(n, value) for value in self._middle(height, width))
        found = np.zeros(n, bool)
        for _ in range(TRIES):
            area = draws.uniform(*self.scale) * height * width
            ratio = np.exp(draws.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            w, h = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
            fits = ~found & (w >= 1) & (h >= 1) & (w <= width) & (h <= height)
            tall[fits], wide[fits] = h[fits], w[fits]
            found |= fits
        top, left = np.floor(draws.uniform() * (height - tall + 1)), np.floor(draws.uniform() * (width - wide + 1))
        top = np.where(found, top, (height - tall) // 2)
        left = np.where(found, left, (width - wide) // 2)
        return top, left, tall, wide

    def _middle(self, height: int, width: int) -> tuple[float, float]:
        """Height and width of the box that is taken where none fits."""
        low, high = self.ratio
        if width / height < low:
            return max(1.0, min(height, round(width / low))), width
        if width / height > high:
            return height, max(1.0, min(width, round(height * high)))
        return height, width
