"""A transform changes images before the network sees them: preprocessing and augmentation.

Whole arrays at a time; what is random comes from `Draws`, which depend on (seed, epoch, sample) alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.arrays import Array, Shape
from cnntrain.config.fields import Probability, check_fields
from cnntrain.random import Draws
from cnntrain.registry import Part

# isort: split
import numpy as np


@dataclass(frozen=True)
class Transform(Part):
    """Base of every transform.

    A transform whose `moves_pixels_only` is true copies pixels without computing on them; it may be given uint8 and
    returns the dtype it got. Every other one gets and returns the engine's float type, pixels in [0, 1].
    """

    kind: ClassVar[str] = "transforms"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    moves_pixels_only: ClassVar[bool] = False
    random: ClassVar[bool] = False  # uses its draws; not allowed among eval_transforms

    def __post_init__(self) -> None:
        check_fields(self)

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one image after it. Raises ValueError where such an image does not fit."""
        return shape

    def needs_fit(self) -> bool:
        """Whether `fit` must see the training images first."""
        return False

    def fit(self, chunks: Iterable[Array]) -> Transform:
        """This transform with what it measures on the training images written into its fields.

        The images come in chunks (n, h, w, c) of floats, so that the whole set never has to be in memory as floats.
        The result goes into the checkpoint, so evaluation never needs the training data.
        """
        return self

    def apply(self, images: Array, draws: Draws) -> Array:
        """The images (n, h, w, c) transformed: a new array, or the one given, changed in place or not at all."""
        raise NotImplementedError


@dataclass(frozen=True)
class Sometimes(Transform):
    """Base of the transforms that change an image with some probability, and always in the same way."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"probability": 1.0})
    random: ClassVar[bool] = True

    probability: Probability = 0.5

    def change(self, images: Array) -> Array:
        """The images (n, h, w, c), n possibly 0, all changed: a new array of the dtype given."""
        raise NotImplementedError

    def apply(self, images: Array, draws: Draws) -> Array:
        """Change the chosen ones in place."""
        chosen = draws.uniform() < self.probability
        if chosen.any():
            images[chosen] = self.change(images[chosen])
        return images


def erase(images: Array, top: Array, bottom: Array, left: Array, right: Array) -> Array:
    """Set a rectangle of each image to zero, in place: rows top to bottom and columns left to right, all (n,)."""
    edges = (
        np.maximum([top, bottom, left, right], 0).T.astype(int).tolist()
    )  # below zero, a slice would count from the end
    for image, (first, last, start, stop) in zip(images, edges, strict=True):  # a mask of all images is slower
        image[first:last, start:stop] = 0
    return images
