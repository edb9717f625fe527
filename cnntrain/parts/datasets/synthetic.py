"""Synthetic images: small pictures computed on the spot, for tests and for trying things without any data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import NonNegative, Pair, PositiveInt, Range, Seed
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.description import Description
from cnntrain.core.errors import DataError
from cnntrain.core.random import stream
from cnntrain.core.registry import register
from cnntrain.ops.shapes import SHAPES
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.datasets.labels import numbered
from cnntrain.reading.reader import ALONE, Reader


@register("synthetic")
@dataclass(frozen=True)
class Synthetic(Dataset):
    """Pictures of a pattern whose kind is the class, with noise; the same for the same settings and seed.

    gratings   waves in one of `classes` directions, random in phase and wavelength: what a convolution sees best
    blobs      a bright spot in one of `classes` places around the middle: a linear model learns it
    shapes     disc, square, triangle, cross, ring or bar, random in place, size and brightness; up to 6 classes

    Classes take turns. Test has a fifth as many samples as train.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"samples": 60},
        {"pattern": "blobs", "samples": 50, "size": (9, 12), "channels": 3},
        {"pattern": "shapes", "samples": 60, "classes": 6, "seed": 1},
    )

    pattern: Literal["gratings", "blobs", "shapes"] = "gratings"  # what the pictures show
    size: Pair = 16  # size of a picture: one number, or [height, width]
    channels: Literal[1, 3] = 1  # 1 for grey, 3 for colour
    classes: Annotated[int, Range(2, 100)] = 4  # how many classes there are
    samples: PositiveInt = 1000  # training samples; there are a fifth as many for the test
    noise: NonNegative = 0.1  # standard deviation of the noise, where black is 0 and white 1
    seed: Seed = 0  # decides what the pictures look like

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pattern == "shapes" and self.classes > len(SHAPES):
            raise ValueError(f"there are {len(SHAPES)} shapes, got {self.classes} classes")

    def splits(self) -> tuple[str, ...]:
        """Train and test."""
        return ("train", "test")

    def describe(self) -> Description:
        """Everything is known from the settings."""
        return Description(self._shape(), self._names())

    def load(self, split: str, reader: Reader = ALONE) -> Images:  # noqa: ARG002  (no file)
        """Compute a split: uint8 pixels and labels. Raises DataError for a split other than train and test."""
        if split not in self.splits():
            raise DataError(f"synthetic images have the splits train and test, not {split!r}")
        count = self.samples if split == "train" else max(self.samples // 5, 1)
        labels = np.arange(count) % self.classes
        rng = stream(self.seed, f"synthetic {self.pattern} {split}")
        height, width, channels = self._shape()
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        pattern = {"gratings": self._gratings, "blobs": self._blobs, "shapes": self._shapes}[self.pattern]
        grey = pattern(labels[:, None, None], x, y, rng)
        tint = rng.uniform(0.6, 1, (count, 1, 1, channels)) if channels == 3 else 1
        pixels = grey[..., None] * tint + rng.normal(0, self.noise, (count, height, width, channels))
        return Images((pixels.clip(0, 1) * 255).round().astype(np.uint8), labels.astype(np.int64), self._names())

    def _shape(self) -> Shape:
        return (*((self.size, self.size) if isinstance(self.size, int) else self.size), self.channels)

    def _names(self) -> tuple[str, ...]:
        return tuple(SHAPES)[: self.classes] if self.pattern == "shapes" else numbered(self.classes)

    def _gratings(self, labels: Array, x: Array, y: Array, rng: np.random.Generator) -> Array:
        angle = math.pi * labels / self.classes
        waves, phase = rng.uniform(1.5, 2.5, labels.shape), rng.uniform(0, 2 * math.pi, labels.shape)
        wave: Array = 0.5 + 0.4 * np.sin(math.pi * waves * (x * np.cos(angle) + y * np.sin(angle)) + phase)
        return wave

    def _blobs(self, labels: Array, x: Array, y: Array, rng: np.random.Generator) -> Array:
        angle = 2 * math.pi * labels / self.classes
        shift_x, shift_y = rng.normal(0, 0.1, (2, *labels.shape))
        distance = np.hypot(x - 0.6 * np.cos(angle) - shift_x, y - 0.6 * np.sin(angle) - shift_y)
        spot: Array = np.exp(-0.5 * (distance / 0.25) ** 2)
        return spot

    def _shapes(self, labels: Array, x: Array, y: Array, rng: np.random.Generator) -> Array:
        radius = rng.uniform(0.4, 0.65, labels.shape)
        shift_x, shift_y = rng.uniform(-0.3, 0.3, (2, *labels.shape))
        own_x, own_y = (x - shift_x) / radius, (y - shift_y) / radius
        inside = np.zeros(np.broadcast_shapes(labels.shape, x.shape), bool)
        for label, shape in enumerate(list(SHAPES.values())[: self.classes]):
            chosen = labels[:, 0, 0] == label
            inside[chosen] = shape(own_x[chosen], own_y[chosen])
        return inside * rng.uniform(0.6, 1, labels.shape)
