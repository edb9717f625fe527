"""Dense SIFT: what edges run which way around every point of a grid, as channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import PositiveInt
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.extras import install
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops import tones
from cnntrain.parts.transforms.base import Transform

VALUES = 128  # of a descriptor: 4 x 4 cells of 8 directions
SCALE = 512  # what OpenCV multiplies a descriptor of length 1 by before it rounds


@register("dense_sift")
@dataclass(frozen=True)
class DenseSift(Transform):
    """Upright SIFT descriptors (Lowe 2004) on a grid, by OpenCV: 128 channels of height / step x width / step points.

    A descriptor is a histogram of gradient directions, 8 in each of 4 x 4 cells that are `cell` pixels wide, about the
    middle of each `step` x `step` square (Bosch et al. 2006; Liu et al. 2011). It has length 1, values above 1/2 are
    cut to that, and a flat neighbourhood is all zeros. Colors count by their brightness; pixels must be in [0, 1].
    OpenCV is the extra `features`.
    """

    libraries: ClassVar[tuple[str, ...]] = ("cv2",)
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"step": 2, "cell": 3})

    step: PositiveInt = 4  # distance between descriptors in pixels
    cell: PositiveInt = 4  # side of a descriptor's cell in pixels

    def output_shape(self, shape: Shape) -> Shape:
        """The grid. Raises ValueError where it has no point, for odd channels, or where OpenCV is missing."""
        tones.check_channels(shape[-1])
        if min(shape[:2]) < self.step:
            raise ValueError(f"a {shape[0]}x{shape[1]} image is too small for step {self.step}")
        _opencv()
        return shape[0] // self.step, shape[1] // self.step, VALUES

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """The descriptors, one image after the other."""
        cv2 = _opencv()
        height, width, _ = self.output_shape(images.shape[1:])
        middle = (self.step - 1) / 2
        grid = [(middle + self.step * x, middle + self.step * y) for y in range(height) for x in range(width)]
        points = [cv2.KeyPoint(x, y, 2 * self.cell / 3, 0) for x, y in grid]  # a cell is 1.5 times a point's size
        sift = cv2.SIFT_create()
        grays = np.rint(tones.gray(images)[..., 0] * 255).astype(np.uint8)
        found = [sift.compute(gray, points)[1] for gray in grays]
        return np.divide(found, SCALE, dtype=images.dtype).reshape(len(images), height, width, VALUES)


def _opencv() -> Any:
    """The module, on one thread as everything is within a worker. Raises ValueError where it is missing."""
    try:
        import cv2
    except ImportError as error:
        raise ValueError(f"needs OpenCV. Run: {install('features')}") from error
    cv2.setNumThreads(1)
    return cv2
