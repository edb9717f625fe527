"""CutMix: a box of another image pasted in, with labels by area, so that the network looks at every part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Positive
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.parts.transforms.base import Mixing


@register("cutmix")
@dataclass(frozen=True)
class CutMix(Mixing):
    """A box of every sample comes from the one before it in the batch (Yun et al. 2019; torchvision's CutMix).

    With s from Beta(alpha, alpha), once a batch, the box has the image's proportions, the share 1 - s of its area and
    its center at any pixel; what sticks out is cut off. Targets are mixed by the area that is left.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"alpha": 0.5, "probability": 0.5})

    alpha: Positive = 1.0  # the box's share of the image follows Beta(alpha, alpha)

    def output_shape(self, shape: Shape) -> Shape:
        """The same. Raises ValueError where no box can be cut out of the image."""
        if min(shape[:2]) < 2:
            raise ValueError(
                f"no box of a {shape[0]}x{shape[1]} image has its proportions and is smaller: use mixup, or put it "
                "after what makes an image of a sound"
            )
        return shape

    def blend(self, images: Array, others: Array, share: float, rng: np.random.Generator) -> tuple[Array, float]:
        """The images with the box, and the share of their area outside it."""
        height, width = images.shape[1:3]
        rows, columns = box(height, width, share, int(rng.integers(height)), int(rng.integers(width)))
        mixed = images.copy()
        mixed[:, rows, columns] = others[:, rows, columns]
        return mixed, 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)


def box(height: int, width: int, share: float, y: int, x: int) -> tuple[slice, slice]:
    """Rows and columns of a box of the share 1 - `share` of an image, about pixel (y, x), cut off at the borders."""
    half = 0.5 * math.sqrt(1 - share)
    tall, wide = int(half * height), int(half * width)
    return slice(max(y - tall, 0), min(y + tall, height)), slice(max(x - wide, 0), min(x + wide, width))
