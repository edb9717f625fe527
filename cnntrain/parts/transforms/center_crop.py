"""A center crop: the middle of every image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Pair
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.windows import pair
from cnntrain.parts.transforms.base import Transform


@register("center_crop")
@dataclass(frozen=True)
class CenterCrop(Transform):
    """Cut [height, width], or a square of one number, out of the middle (torchvision's CenterCrop).

    A smaller image is first framed with zeros, the odd row or column at the bottom or right. An odd remainder of a
    larger one is split as torchvision rounds: the crop begins at round(rest / 2), halves to the even number.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"size": 5}, {"size": (3, 11)}, {"size": (11, 4)})
    moves_pixels_only: ClassVar[bool] = True

    size: Pair  # size of the result: one number, or [height, width]

    def output_shape(self, shape: Shape) -> Shape:
        """(*size, channels)."""
        return (*pair(self.size), shape[-1])

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """The crops, a new array of the dtype given."""
        result = np.zeros((len(images), *self.output_shape(images.shape[1:])), images.dtype)
        (to_rows, from_rows), (to_columns, from_columns) = map(_middle, images.shape[1:3], pair(self.size))
        result[:, to_rows, to_columns] = images[:, from_rows, from_columns]
        return result

    def points(self, xy: Array, shape: Shape, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """Counted from where the crop begins."""
        (down, top), (right, left) = map(_middle, shape[:2], pair(self.size))
        moved: Array = xy + np.array([right.start - left.start, down.start - top.start])
        return moved


def _middle(size: int, out: int) -> tuple[slice, slice]:
    """Along one axis: which part of the crop is filled, and with which part of the image."""
    if out > size:
        before = (out - size) // 2
        return slice(before, before + size), slice(0, size)
    start = round((size - out) / 2)
    return slice(0, out), slice(start, start + out)
