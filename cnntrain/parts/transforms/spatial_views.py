"""Several views of an image, mirrored and moved, over which the network's outputs are averaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import NonNegativeInt
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.parts.transforms.base import Transform


@register("spatial_views")
@dataclass(frozen=True)
class SpatialViews(Transform):
    """The image, its mirror image, and both moved to two corners: test-time augmentation, with outputs averaged.

    For `eval_transforms` (Krizhevsky, Sutskever, Hinton 2012). With `shift` the picture is also seen that many pixels
    up and to the left, and down and to the right, its border mirrored (Jordan 2024, airbench94). Evaluation takes as
    many times as long as there are views: two, or six with a shift. Leave `mirror` off where left and right make a
    difference, as with digits.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"shift": 1}, {"mirror": False, "shift": 2})
    moves_pixels_only: ClassVar[bool] = True
    displaces: ClassVar[bool] = True
    on: ClassVar[Literal["image", "pair", "tiles", "views"]] = "views"
    in_training: ClassVar[str] = "hflip or random_crop"

    mirror: bool = True  # see it in the mirror, too
    shift: NonNegativeInt = 0  # pixels by which it is seen moved to either corner

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.views == 1:
            raise ValueError("shift is 0 and mirror is off, so that there is one view: set either, or leave it out")

    def output_shape(self, shape: Shape) -> Shape:
        """Unchanged. Raises ValueError where an image is too small to be moved so far."""
        if self.shift >= min(shape[:2]):
            raise ValueError(f"shift is {self.shift} pixels, and the image {shape[0]}x{shape[1]}: make shift smaller")
        return shape

    @property
    def views(self) -> int:
        """Two for the mirror, times three for the shift."""
        return (1 + self.mirror) * (3 if self.shift else 1)

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """A new array of the dtype given; the image as it is comes in the middle of its views, or just behind it."""
        seen = [images]
        if self.shift:
            frame = ((self.shift, self.shift), (self.shift, self.shift), (0, 0))
            wide = np.pad(images, ((0, 0),) * (images.ndim - 3) + frame, "reflect")
            height, width = images.shape[-3:-1]
            corners = [wide[..., at : at + height, at : at + width, :] for at in (2 * self.shift, 0)]
            seen = [images, *corners] if self.mirror else [corners[0], images, corners[1]]
        if self.mirror:
            seen = [view[..., ::-1, :] for view in seen] + seen
        return np.stack(seen, axis=1).reshape(-1, *images.shape[1:])

    def applied(self, samples: Array, draws: Callable[[int], Draws]) -> Array:
        """Of a clip, all moments are seen in the same way."""
        return self.apply(samples, draws(1))
