"""A random crop: each image framed with black and cut out at a random place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegativeInt, Pair
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.parts.transforms.base import Transform


@register("random_crop")
@dataclass(frozen=True)
class RandomCrop(Transform):
    """Pad every side with zeros, then cut out `size` ([height, width]; the image's own) at a uniform offset.

    torchvision's RandomCrop; with padding 4 the augmentation of He et al. 2016 for CIFAR. Where it comes after a
    transform that moves black away from zero, the frame is zero all the same: put it first.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"padding": 0, "size": (5, 6)}, {"padding": 1, "size": 6})
    moves_pixels_only: ClassVar[bool] = True
    random: ClassVar[bool] = True
    displaces: ClassVar[bool] = True

    padding: NonNegativeInt = 4  # zeros to add on every side first
    size: Pair | None = None  # size of the result: one number, or [height, width]; by default the image's own

    def output_shape(self, shape: Shape) -> Shape:
        """(*size, channels). Raises ValueError where the padded image is smaller."""
        height, width, channels = shape
        size = (height, width) if self.size is None else self.size
        rows, columns = (size, size) if isinstance(size, int) else size
        if rows > height + 2 * self.padding or columns > width + 2 * self.padding:
            raise ValueError(
                f"cannot cut {rows}x{columns} out of a {height}x{width} image padded by {self.padding}: "
                "make size smaller or padding larger"
            )
        return (rows, columns, channels)

    def apply(self, images: Array, draws: Draws) -> Array:
        """The crops, a new array of the dtype given."""
        n, height, width, channels = images.shape
        rows, columns, _ = self.output_shape((height, width, channels))
        top, left = self._places((height, width, channels), draws)
        crops = np.zeros((n, rows, columns, channels), images.dtype)
        for crop, image, y, x in zip(crops, images, top.tolist(), left.tolist(), strict=True):
            # copying no frame is what makes it fast; a crop that lies in the frame has nothing inside
            inside = image[max(y, 0) : max(y + rows, 0), max(x, 0) : max(x + columns, 0)]
            crop[max(-y, 0) :, max(-x, 0) :][: inside.shape[0], : inside.shape[1]] = inside
        return crops

    def points(self, xy: Array, shape: Shape, draws: Draws) -> Array:
        """Counted from where the crop begins."""
        top, left = self._places(shape, draws)
        moved: Array = xy - np.stack([left, top], axis=-1)[:, None]
        return moved

    def _places(self, shape: Shape, draws: Draws) -> tuple[Array, Array]:
        """Row and column of each image at which its crop begins: below 0 in the frame, int64 (n,)."""
        rows, columns, _ = self.output_shape(shape)
        top = draws.integers(shape[0] + 2 * self.padding - rows + 1) - self.padding
        left = draws.integers(shape[1] + 2 * self.padding - columns + 1) - self.padding
        return top, left
