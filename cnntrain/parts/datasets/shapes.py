"""Shapes: pictures of discs, squares and the like, computed on the spot, with their true boxes or masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import NonNegative, NonNegativeInt, Pair, PositiveInt, Range, Seed
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.boxes import Boxes, packed
from cnntrain.core.description import Description
from cnntrain.core.errors import DataError
from cnntrain.core.random import stream
from cnntrain.core.registry import register
from cnntrain.ops.shapes import SHAPES
from cnntrain.ops.windows import pair
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images
from cnntrain.reading.reader import ALONE, Reader

_TRIES = 20  # places drawn for a shape before it is left out
_COVERED = 0.2  # of the smaller of two boxes: the most that may lie in the other


@dataclass(frozen=True)
class _Thing:
    """One shape in a picture: its class, the window it is drawn in, and which of the window's pixels are its own."""

    label: int
    top: int
    left: int
    inside: Array


@register("shapes")
@dataclass(frozen=True)
class Shapes(Dataset):
    """Pictures of a few shapes each, with what `target` asks for; the same for the same settings and seed.

    boxes   the smallest box around the pixels of each shape, its class being the shape's kind
    mask    the class of every pixel: 0 is the background, which is a class of its own

    The size of a shape is a fifth to a half of the shorter side, and all of it lies in the picture; it covers at most a
    fifth of another's box. Kinds are disc, square, triangle, cross, ring and bar. Test has a fifth as many samples as
    train.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"samples": 30},
        {"target": "mask", "samples": 30, "size": (32, 48), "channels": 1, "classes": 6, "seed": 1},
    )

    target: Literal["boxes", "mask"] = "boxes"  # what is known of a picture
    size: Pair = 64  # size of a picture: one number, or [height, width]
    channels: Literal[1, 3] = 3  # 1 for grey, 3 for colour
    classes: Annotated[int, Range(1, len(SHAPES))] = 3  # how many kinds of shapes there are
    things: tuple[NonNegativeInt, NonNegativeInt] = (0, 4)  # fewest and most shapes in a picture
    samples: PositiveInt = 500  # training samples; there are a fifth as many for the test
    noise: NonNegative = 0.05  # standard deviation of the noise, where black is 0 and white 1
    seed: Seed = 0  # decides what the pictures look like

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.things[0] > self.things[1]:
            raise ValueError(f"things must not fall, got {list(self.things)}")
        if not self.things[1]:
            raise ValueError("things must allow at least one, got [0, 0]")
        if min(pair(self.size)) < 16:
            raise ValueError(f"size must be at least 16, or shapes cannot be told apart, got {min(pair(self.size))}")

    def splits(self) -> tuple[str, ...]:
        """Train and test."""
        return ("train", "test")

    def describe(self) -> Description:
        """Everything is known from the settings."""
        return Description(self._shape(), self._names(), target=self.target)

    def load(self, split: str, reader: Reader = ALONE) -> Images:  # noqa: ARG002  (there is no file)
        """Compute a split: uint8 pixels, and records of boxes or masks uint8 (n, height, width).

        Raises DataError for a split other than train and test.
        """
        if split not in self.splits():
            raise DataError(f"shapes have the splits train and test, not {split!r}")
        count = self.samples if split == "train" else max(self.samples // 5, 1)
        rng = stream(self.seed, f"shapes {split}")
        pixels = np.empty((count, *self._shape()), np.uint8)
        pictures = []
        for image in pixels:
            pictures.append(self._things(rng))
            image[...] = self._drawn(pictures[-1], rng)
        targets = {"boxes": self._boxes, "mask": self._masks}[self.target](pictures)
        return Images(pixels, targets, self._names(), target=self.target)

    def _shape(self) -> Shape:
        return (*pair(self.size), self.channels)

    def _names(self) -> tuple[str, ...]:
        others = {"boxes": (), "mask": ("background",)}[self.target]
        return (*others, *tuple(SHAPES)[: self.classes])

    def _things(self, rng: np.random.Generator) -> list[_Thing]:
        """The shapes of one picture, those in front last."""
        height, width, _ = self._shape()
        things: list[_Thing] = []
        for _ in range(rng.integers(self.things[0], self.things[1], endpoint=True)):
            label = int(rng.integers(self.classes))
            side = int(rng.uniform(0.2, 0.5) * min(height, width))
            y, x = (np.mgrid[:side, :side] + 0.5) * (2 / side) - 1
            inside = tuple(SHAPES.values())[label](x, y)
            for _ in range(_TRIES):
                top, left = rng.integers(height - side, endpoint=True), rng.integers(width - side, endpoint=True)
                thing = _Thing(label, int(top), int(left), inside)
                if not any(_covered(thing, other) > _COVERED for other in things):
                    things.append(thing)
                    break
        return things

    def _drawn(self, things: list[_Thing], rng: np.random.Generator) -> Array:
        """A dark picture with them in bright colours, uint8 (height, width, channels)."""
        image = np.empty(self._shape())
        image[...] = rng.uniform(0, 0.35, self.channels)
        for thing in things:
            rows, columns = thing.inside.shape
            window = image[thing.top : thing.top + rows, thing.left : thing.left + columns]
            window[thing.inside] = rng.uniform(0.5, 1, self.channels)
        image += rng.normal(0, self.noise, image.shape)
        drawn: Array = (image.clip(0, 1) * 255).round().astype(np.uint8)
        return drawn

    def _boxes(self, pictures: list[list[_Thing]]) -> Array:
        size = pair(self.size)
        boxes = [
            Boxes(
                size,
                np.array([_box(thing) for thing in things], np.float32).reshape(-1, 4),
                np.array([thing.label for thing in things], np.int64),
            )
            for things in pictures
        ]
        return packed(boxes, np.tile(np.array([1, 1, 0, 0], np.float32), (len(boxes), 1)))

    def _masks(self, pictures: list[list[_Thing]]) -> Array:
        masks = np.zeros((len(pictures), *pair(self.size)), np.uint8)
        for mask, things in zip(masks, pictures, strict=True):
            for thing in things:
                rows, columns = thing.inside.shape
                mask[thing.top : thing.top + rows, thing.left : thing.left + columns][thing.inside] = thing.label + 1
        return masks


def _box(thing: _Thing) -> tuple[int, int, int, int]:
    """The smallest box around its pixels."""
    rows, columns = (np.flatnonzero(thing.inside.any(axis=axis)) for axis in (1, 0))
    return (
        thing.left + int(columns[0]),
        thing.top + int(rows[0]),
        thing.left + int(columns[-1]) + 1,
        thing.top + int(rows[-1]) + 1,
    )


def _covered(one: _Thing, other: _Thing) -> float:
    """The share of the smaller box that lies in the other."""
    a, b = _box(one), _box(other)
    wide, tall = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return max(wide, 0) * max(tall, 0) / smaller
