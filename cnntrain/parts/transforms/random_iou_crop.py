"""A random crop that keeps things in sight: it must overlap one of them by a share that is drawn first."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from cnntrain.config.fields import Positive, PositiveInt
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.sampling import Interpolation, resample, resampling
from cnntrain.parts.transforms.base import Transform, check_box

LEAST = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)  # overlaps that are asked for; one time in seven the image stays whole


@register("random_iou_crop")
@dataclass(frozen=True)
class RandomIoUCrop(Transform):
    """Cut out a random box that overlaps a thing enough, and resize it to the image (SSD, Liu et al. 2016).

    The least overlap is one of 0, 0.1, 0.3, 0.5, 0.7 and 0.9, or the image stays whole, each as often (torchvision's
    RandomIoUCrop). Sides are shares of the image's uniform in `scale`, their quotient within `ratio`. Of `tries` boxes
    the first is taken that has the center of a thing inside and an intersection over union with one such thing of that
    overlap; where none has, the image stays whole. For an image that shows nothing, the first box is taken. Resizing
    stretches what is cut out to the image's own size.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"scale": (0.5, 0.9), "interpolation": "nearest"})
    random: ClassVar[bool] = True
    displaces: ClassVar[bool] = True
    looks: ClassVar[bool] = True

    scale: tuple[Positive, Positive] = (0.3, 1.0)  # range of the sides as shares of the image's
    ratio: tuple[Positive, Positive] = (0.5, 2.0)  # range of the share of the width over that of the height
    tries: PositiveInt = 40  # boxes drawn before the image stays whole
    interpolation: Interpolation = "bilinear"  # how values between pixels are found
    things: Array | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_box(self.scale, self.ratio, "a side")

    def looking(self, things: Array) -> Self:
        """With those boxes to keep in sight."""
        copy = dataclasses.replace(self)
        object.__setattr__(copy, "things", things)
        return copy

    def apply(self, images: Array, draws: Draws) -> Array:
        """The resized crops, a new array."""
        height, width = images.shape[1:3]
        left, top, wide, tall = self._boxes(height, width, draws)
        down = resampling(top, tall, height, height, self.interpolation, cut=True)
        across = resampling(left, wide, width, width, self.interpolation, cut=True)
        return resample(images, down, across)

    def points(self, xy: Array, shape: Shape, draws: Draws) -> Array:
        """Counted from the crop's corner, and scaled with it."""
        left, top, wide, tall = self._boxes(shape[0], shape[1], draws)
        scale = np.stack([shape[1] / wide, shape[0] / tall], axis=-1)
        moved: Array = (xy - np.stack([left, top], axis=-1)[:, None]) * scale[:, None]
        return moved

    def _boxes(self, height: int, width: int, draws: Draws) -> Array:
        """Left, top, width and height of each image's box: whole numbers, (4, n)."""
        n = len(draws)
        things = np.full((n, 1, 4), np.nan) if self.things is None else self.things.astype(np.float64)
        boxes = np.tile(np.array([[0.0], [0], [width], [height]]), n)
        option = draws.integers(len(LEAST) + 1)
        least = np.array([*LEAST, 1])[option]
        found = option == len(LEAST)
        for _ in range(self.tries):
            wide, tall = (np.floor(draws.uniform(*self.scale) * side) for side in (width, height))
            left, top = (np.floor(draws.uniform() * (side - own + 1)) for side, own in ((width, wide), (height, tall)))
            with np.errstate(divide="ignore", invalid="ignore"):  # of no pixel: not taken
                ratio = (wide / width) / (tall / height)
            fits = (wide >= 1) & (tall >= 1) & (ratio >= self.ratio[0]) & (ratio <= self.ratio[1])
            drawn = np.stack([left, top, wide, tall])
            fits &= ~found & _sees(drawn, things, least)
            boxes[:, fits] = drawn[:, fits]
            found |= fits
        return boxes


def _sees(boxes: Array, things: Array, least: Array) -> Array:
    """Whether each box (4, n) overlaps one of its things (n, most, 4) whose center it holds enough, or has none."""
    left, top, wide, tall = boxes[..., None]
    x1, y1, x2, y2 = np.moveaxis(things, -1, 0)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    held = (x > left) & (x < left + wide) & (y > top) & (y < top + tall)  # not of NaN
    across = np.minimum(x2, left + wide) - np.maximum(x1, left)
    down = np.minimum(y2, top + tall) - np.maximum(y1, top)
    both = np.maximum(across, 0) * np.maximum(down, 0)
    overlap = both / (wide * tall + (x2 - x1) * (y2 - y1) - both)
    sees: Array = (held & (overlap >= least[:, None])).any(axis=1) | np.isnan(x1).all(axis=1)
    return sees
