"""A transform changes images before the network sees them: preprocessing and augmentation.

They work on whole arrays at a time; what is random comes from `Draws`, which depend on (seed, epoch, sample) alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np

from cnntrain.config.fields import Positive, Probability, check_fields
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import Part


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
    displaces: ClassVar[bool] = False  # moves what an image shows, each time elsewhere
    of_sounds: ClassVar[bool] = False  # takes sounds (1, samples, channels) alone
    on: ClassVar[Literal["image", "pair"]] = "image"  # what it changes; of a pair, see Mixing

    def __post_init__(self) -> None:
        check_fields(self)

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one image after it. Raises ValueError where such an image does not fit."""
        return shape

    def array_shapes(self, shape: Shape) -> dict[str, Shape]:
        """The arrays, by name, that `fit` measures for images of this shape and that are too large to be fields."""
        return {}

    def arrays(self) -> Mapping[str, Array]:
        """Those arrays, float32, once they have been measured; a checkpoint keeps them under `transform/`."""
        return {}

    def with_arrays(self, arrays: Mapping[str, Array]) -> Self:
        """This transform with those arrays, as if it had measured them."""
        return self

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
        """The transformed images (n, h, w, c): a new array, or the one given, changed in place or not at all."""
        raise NotImplementedError


@dataclass(frozen=True)
class Sometimes(Transform):
    """Base of the transforms that change an image with some probability, always in the same way."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"probability": 1.0})
    random: ClassVar[bool] = True

    probability: Probability = 0.5  # probability that an image is changed

    def change(self, images: Array) -> Array:
        """The images (n, h, w, c), n possibly 0, all changed: a new array of the dtype given."""
        raise NotImplementedError

    def apply(self, images: Array, draws: Draws) -> Array:
        """Change the chosen ones in place."""
        chosen = draws.uniform() < self.probability
        if chosen.any():
            images[chosen] = self.change(images[chosen])
        return images


@dataclass(frozen=True)
class Mixing(Transform):
    """Base of the transforms that mix every sample of a training batch with the one before it, the first with the last.

    Since the order of an epoch is random, so are the partners. One share serves a whole batch, drawn from Beta(alpha,
    alpha), and targets are mixed by it too: labels become rows of shares. A batch is what one gradient is taken of, so
    with `accumulate` it is the smaller one; `probability` is that of a batch being mixed.
    """

    on: ClassVar[Literal["image", "pair"]] = "pair"
    random: ClassVar[bool] = True

    alpha: Positive = 1.0
    probability: Probability = 1.0  # probability that a batch is mixed

    def mix(self, images: Array, targets: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """The last n of n + 1 consecutive samples of a batch, each mixed with the one before it; new arrays or views.

        images (n + 1, h, w, c) and targets (n + 1, k) are floats. `rng` is the batch's: whatever stretch of it is
        asked for, it gives the same numbers.
        """
        if rng.random() >= self.probability:
            return images[1:], targets[1:]
        mixed, share = self.blend(images[1:], images[:-1], float(rng.beta(self.alpha, self.alpha)), rng)
        return mixed, share * targets[1:] + (1 - share) * targets[:-1]

    def blend(self, images: Array, others: Array, share: float, rng: np.random.Generator) -> tuple[Array, float]:
        """The images (n, h, w, c) mixed with the others, a new array, and the share of them that is left in it."""
        raise NotImplementedError


def erase(images: Array, top: Array, bottom: Array, left: Array, right: Array) -> Array:
    """Set a rectangle of each image to zero, in place: rows top to bottom and columns left to right, all (n,)."""
    edges = (
        np.maximum([top, bottom, left, right], 0).T.astype(int).tolist()
    )  # a slice below zero would count from the end
    for image, (first, last, start, stop) in zip(images, edges, strict=True):  # a mask over all images is slower
        image[first:last, start:stop] = 0
    return images


def check_sound(shape: Shape) -> None:
    """Raise ValueError unless a sample is a sound: one row, whose columns are moments."""
    if shape[0] != 1:
        raise ValueError(
            f"needs sounds of shape (1, samples, channels), got {shape}: put it before what makes an image of a sound, "
            "and let the source give sounds (features: waveform)"
        )
