"""A transform changes images before the network sees them: preprocessing and augmentation.

They work on whole arrays at a time; what is random comes from `Draws`, which depend on (seed, epoch, sample) alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np

from cnntrain.config.fields import Positive, Probability, check_fields
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.moves import Move
from cnntrain.core.random import Draws
from cnntrain.core.registry import Part
from cnntrain.ops.trace import Trace, Value

CLIP = 4  # axes of a clip: moments, height, width, channels


@dataclass(frozen=True)
class Transform(Part):
    """Base of every transform.

    A transform whose `moves_pixels_only` is true copies pixels without computing on them; it may be given uint8 and
    returns the dtype it got. Every other one gets and returns the engine's float type, pixels in [0, 1].
    """

    kind: ClassVar[str] = "transforms"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    moves_pixels_only: ClassVar[bool] = False
    random: ClassVar[bool] = False  # uses its draws; among eval_transforms, a warning says so
    displaces: ClassVar[bool] = False  # moves what an image shows, each time elsewhere
    whole_clips: ClassVar[bool] = False  # takes clips (n, moments, h, w, c) alone; else every moment as an image
    of_sounds: ClassVar[bool] = False  # takes sounds (1, samples, channels) alone
    gives_pixels: ClassVar[bool] = True  # of pixels in [0, 1] it makes pixels in [0, 1], unless a field `clip` is false
    takes_pixels: ClassVar[bool] = False  # values that are not in [0, 1], as pixels are, it destroys
    brings_pixels: ClassVar[bool] = False  # whatever it is given, it makes pixels in [0, 1]
    recolours: ClassVar[bool] = False  # changes brightness, too, where it moves what an image shows
    tried_on: ClassVar[Shape | None] = None  # images that the contract tries it on, where the usual ones do not tell
    looks: ClassVar[bool] = False  # goes by where things are in the picture: see `looking`
    # what it changes; of a pair see Mixing, of tiles Joining; of views it makes several samples of one
    on: ClassVar[Literal["image", "pair", "tiles", "views"]] = "image"
    in_training: ClassVar[str] = ""  # of views: what to take in their place among train_transforms
    earlier: ClassVar[int] = 0  # how many of the samples before each one in the batch go into it

    def __post_init__(self) -> None:
        check_fields(self)

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one image after it. Raises ValueError where such an image does not fit."""
        return shape

    @property
    def views(self) -> int:
        """How many samples `apply` makes of each one, the views of a sample one after the other."""
        return 1

    def shape_after(self, shape: Shape) -> Shape:
        """Shape of one sample after it: of an image, or of a clip, whose moments it takes as images."""
        if len(shape) == CLIP and not self.whole_clips:
            return (shape[0], *self.output_shape(shape[1:]))
        if self.whole_clips and len(shape) != CLIP:
            raise ValueError(f"needs clips (moments, height, width, channels), got {shape}: remove it")
        return self.output_shape(shape)

    def applied(self, samples: Array, draws: Callable[[int], Draws]) -> Array:
        """The transformed images, or clips, all moments of which are changed in the same way.

        `draws` gives the random numbers, each sample's so many times in a row: every moment has those of its clip.
        """
        if samples.ndim == 1 + CLIP and not self.whole_clips:
            moments = samples.shape[1]
            changed = self.apply(samples.reshape(-1, *samples.shape[2:]), draws(moments))
            return changed.reshape(-1, moments, *changed.shape[1:])
        return self.apply(samples, draws(1))

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

    def files_digest(self) -> str:
        """The SHA-256, in hex, of what it has read from files once it is fitted; "" where it reads none.

        Where those lie, a field named in `PLACES` (parts/datasets/base.py) says, which may change between two sessions.
        """
        return ""

    def apply(self, images: Array, draws: Draws) -> Array:
        """The transformed images (n, h, w, c): a new array, or the one given, changed in place or not at all."""
        raise NotImplementedError

    def trace(self, t: Trace, x: Value) -> Value:
        """The transform of one image as operations of a trace, for export; not asked of random ones."""
        raise NotImplementedError

    def looking(self, things: Array) -> Self:
        """This transform for images in which things are there: boxes (n, most, 4), NaN where none is."""
        return self

    def points(self, xy: Array, shape: Shape, draws: Draws) -> Array:
        """Where points (n, k, 2) of what n images of this shape show come to lie: x and y in pixels (core/moves.py).

        It is affine in the points, and draws from `draws`, as they are before `apply`, what `apply` draws. A transform
        that changes only colours does not have it.
        """
        return xy

    def follow(self, shape: Shape, draws: Draws) -> Move | None:
        """Where it takes what n images of this shape show; None where everything stays in its place."""
        if not self.points_are_told:
            return None
        height, width = shape[:2]
        corners = np.array([(0, 0), (width, 0), (0, height)], np.float64)
        origin, right, lower = np.moveaxis(self.points(np.tile(corners, (len(draws), 1, 1)), shape, draws), 1, 0)
        maps = np.stack([(right - origin) / width, (lower - origin) / height, origin], axis=-1)
        rows, columns, _ = self.output_shape(shape)
        return Move(maps, (height, width), (rows, columns), self.random)

    def check_followed(self, shape: Shape) -> None:
        """Raise ValueError where it moves what images of this shape show and does not say where."""
        if not self.points_are_told and (self.displaces or self.output_shape(shape)[:2] != shape[:2]):
            raise ValueError(
                "it moves what a picture shows and cannot say where to, so that targets that are places in the picture "
                "cannot follow. Remove it, or do it to the pictures and their annotations beforehand"
            )

    @property
    def points_are_told(self) -> bool:
        """Whether it says of itself where points go."""
        return type(self).points is not Transform.points


@dataclass(frozen=True)
class Measured(Transform):
    """Base of the transforms that measure arrays on the training images."""

    measured: Mapping[str, Array] = field(default_factory=dict, init=False, repr=False, compare=False)

    def arrays(self) -> Mapping[str, Array]:
        """What was measured; nothing before `fit`."""
        return self.measured

    def with_arrays(self, arrays: Mapping[str, Array]) -> Self:
        """This transform with those arrays."""
        other = replace(self)
        object.__setattr__(other, "measured", dict(arrays))
        return other

    def needs_fit(self) -> bool:
        """Until it has its arrays."""
        return not self.measured


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
        chosen = self.chosen(draws)
        if chosen.any():
            images[chosen] = self.change(images[chosen])
        return images

    def chosen(self, draws: Draws) -> Array:
        """Which images are changed: bool (n,)."""
        chosen: Array = draws.uniform() < self.probability
        return chosen


@dataclass(frozen=True)
class Mixing(Transform):
    """Base of the transforms that mix every sample of a training batch with the one before it, the first with the last.

    Since the order of an epoch is random, so are the partners. One share serves a whole batch, drawn from Beta(alpha,
    alpha), and targets are mixed by it too: labels become rows of shares. A batch is what one gradient is taken of, so
    with `accumulate` it is the smaller one; `probability` is that of a batch being mixed.
    """

    on: ClassVar[Literal["image", "pair", "tiles", "views"]] = "pair"
    earlier: ClassVar[int] = 1
    random: ClassVar[bool] = True

    alpha: Positive = 1.0
    probability: Probability = 1.0  # probability that a batch is mixed

    def check_followed(self, shape: Shape) -> None:
        """Raise ValueError: of places there are no weighted sums."""
        raise ValueError("it adds up targets by weights, and places in a picture cannot be added up. Remove it")

    def mix(self, images: Array, targets: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """The last n of n + 1 consecutive samples of a batch, each mixed with the one before it; new arrays or views.

        images (n + 1, h, w, c), or clips, and targets (n + 1, k) are floats. `rng` is the batch's: whatever stretch of
        it is asked for, it gives the same numbers.
        """
        if rng.random() >= self.probability:
            return images[1:], targets[1:]
        flat = images if images.ndim == CLIP else flattened(images)
        mixed, share = self.blend(flat[1:], flat[:-1], float(rng.beta(self.alpha, self.alpha)), rng)
        mixed = mixed if images.ndim == CLIP else unflattened(mixed, images.shape[1])
        return mixed, share * targets[1:] + (1 - share) * targets[:-1]

    def blend(self, images: Array, others: Array, share: float, rng: np.random.Generator) -> tuple[Array, float]:
        """The images (n, h, w, c) mixed with the others, a new array, and the share of them that is left in it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Joining(Transform):
    """Base of the transforms that put every sample of a training batch together with some before it in the batch.

    The first ones are put together with the last. Targets are those of all parts.
    """

    on: ClassVar[Literal["image", "pair", "tiles", "views"]] = "tiles"
    random: ClassVar[bool] = True

    def check_followed(self, shape: Shape) -> None:
        """Nothing is wrong: it says where each part goes."""

    def tiles(self, shape: Shape, draws: Draws) -> list[Move]:
        """Where the n last, and the n that are 1, 2, ... `earlier` before them, are shown in the n results."""
        raise NotImplementedError

    def join(self, images: Array, draws: Draws) -> Array:
        """The last n of n + `earlier` consecutive images of a batch, each with those before it; a new array of floats.

        `draws` are those of the n.
        """
        raise NotImplementedError


def flattened(clips: Array) -> Array:
    """Clips (n, moments, h, w, c) as images (n, h, w, moments * c), the first moment's channels first."""
    n, moments, height, width, channels = clips.shape
    return clips.transpose(0, 2, 3, 1, 4).reshape(n, height, width, moments * channels)


def unflattened(images: Array, moments: int) -> Array:
    """Such images as clips again."""
    n, height, width, _ = images.shape
    return np.ascontiguousarray(images.reshape(n, height, width, moments, -1).transpose(0, 3, 1, 2, 4))


def erase(images: Array, top: Array, bottom: Array, left: Array, right: Array) -> Array:
    """Set a rectangle of each image to zero, in place: rows top to bottom and columns left to right, all (n,)."""
    edges = (
        np.maximum([top, bottom, left, right], 0).T.astype(int).tolist()
    )  # a slice below zero would count from the end
    for image, (first, last, start, stop) in zip(images, edges, strict=True):  # a mask over all images is slower
        image[first:last, start:stop] = 0
    return images


def check_box(scale: tuple[float, float], ratio: tuple[float, float], whole: str) -> None:
    """Raise ValueError for ranges that no random box can be taken from; `scale` is its share of `whole`."""
    for name, (low, high) in (("scale", scale), ("ratio", ratio)):
        if low > high:
            raise ValueError(f"{name} must not fall, got [{low:g}, {high:g}]")
    if scale[1] > 1:
        raise ValueError(f"scale is a share of {whole}, at most 1, got {scale[1]:g}")


def check_sound(shape: Shape) -> None:
    """Raise ValueError unless a sample is a sound: one row, whose columns are moments."""
    if shape[0] != 1:
        raise ValueError(
            f"needs sounds of shape (1, samples, channels), got {shape}: put it before what makes an image of a sound, "
            "and let the source give sounds (features: waveform)"
        )
