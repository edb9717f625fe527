"""Resizing: images made larger or smaller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Pair
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.sampling import Interpolation, resample, resampling
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.transforms.base import Transform
from cnntrain.reading.pictures import FRAME, Fit, Placement, fitted


@register("resize")
@dataclass(frozen=True)
class Resize(Transform):
    """Resize to [height, width], or so that the shorter side is `size` long (torchvision's Resize, Pillow's filters).

    One number keeps the proportions, the longer side being rounded down. With two, `fit` says what becomes of them:
    stretch each side by itself; letterbox all of the image in the middle of a grey frame (114 of 255, as YOLOv5 has
    it); cover the size with as much of its middle as fills it. Bilinear averages what it makes smaller (antialiasing);
    nearest copies pixels.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"size": 5},
        {"size": (16, 9)},
        {"size": (16, 9), "interpolation": "nearest"},
        {"size": (16, 16), "fit_": "letterbox"},
        {"size": (7, 6), "fit_": "cover"},
    )

    size: Pair  # size of the result: [height, width], or one number for the shorter side
    interpolation: Interpolation = "bilinear"  # how values between pixels are found
    fit_: Fit = "stretch"  # how an image of other proportions is brought to [height, width]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fit_ != "stretch" and isinstance(self.size, int):
            raise ValueError(f"fit: {self.fit_} needs size: [height, width]; one number keeps the proportions")

    def output_shape(self, shape: Shape) -> Shape:
        """The new height and width."""
        height, width, channels = shape
        if isinstance(self.size, tuple):
            return (*self.size, channels)
        shorter = min(height, width)
        return (self.size * height // shorter, self.size * width // shorter, channels)

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """The resized images, a new array."""
        n, height, width, channels = images.shape
        part = self._placement(images.shape[1:])
        (left, top, right, bottom), (rows, columns) = part.box, part.size
        down = resampling(np.array([top]), np.array([bottom - top]), height, rows, self.interpolation)
        across = resampling(np.array([left]), np.array([right - left]), width, columns, self.interpolation)
        resized = resample(images, down, across)
        shape = self.output_shape((height, width, channels))
        if resized.shape[1:] == shape:
            return resized
        framed = np.full((n, *shape), FRAME / 255, images.dtype)
        framed[:, part.place[0] : part.place[0] + rows, part.place[1] : part.place[1] + columns] = resized
        return framed

    def points(self, xy: Array, shape: Shape, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """Scaled along with the sides, and moved into the frame."""
        across, down, right, lower = self._placement(shape).frame
        moved: Array = xy * [across, down] + np.array([right, lower])
        return moved

    def _placement(self, shape: Shape) -> Placement:
        rows, columns, _ = self.output_shape(shape)
        return fitted((shape[0], shape[1]), (rows, columns), self.fit_)

    def trace(self, t: Trace, x: Value) -> Value:
        """A matrix along the height, one along the width, and the frame."""
        part, shape = self._placement(x.shape), self.output_shape(x.shape)
        (left, top, right, bottom), place = part.box, part.place
        for axis, (start, end, name) in enumerate(((top, bottom, "down"), (left, right, "across"))):
            size = x.shape[axis]
            span = np.array([start]), np.array([end - start])
            x = t.along(x, t.constant(name, resampling(*span, size, part.size[axis], self.interpolation)[0]), axis)
        if x.shape == shape:
            return x
        rest = (shape[axis] - part.size[axis] - place[axis] for axis in (0, 1))
        sides = (*zip(place, rest, strict=True), (0, 0))
        return t.op("add", t.op("pad", t.op("sub", x, FRAME / 255), shape=shape, sides=sides), FRAME / 255)
