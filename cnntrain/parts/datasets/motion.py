"""Synthetic clips, computed on the spot: a texture drifts among others; the class is the direction, or the speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import NonNegative, Pair, PositiveInt, Probability, Range, Seed
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.description import Description
from cnntrain.core.errors import DataError
from cnntrain.core.random import stream
from cnntrain.core.registry import register
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images
from cnntrain.reading.reader import ALONE, Reader

_STEPS = {  # what a texture moves by from one moment to the next: rows, columns
    "direction": {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)},
    "speed": {"still": (0, 0), "slow": (0, 1), "fast": (0, 2)},
}


@register("motion")
@dataclass(frozen=True)
class Motion(Dataset):
    """Clips (frames, height, width, 1) of random textures, one of which drifts for a while by whole pixels.

    direction  a pixel a moment to the right, left, down or up
    speed      none, one or two pixels a moment, each clip to the left or to the right

    For `moving` consecutive moments, from a random one on, a clip shows one texture as it drifts, wrapped around at the
    edges; every other moment shows a texture of its own. Each moment is shown as it is or, at random, as its negative.
    So every single frame has the same distribution in all classes, and so has the covariance of any two pixels of two
    frames: no frame and no weighted sum of frames tells the class on average. What does is how successive moments go
    together, whichever they are: layers that see all moments in the same way learn it from few clips. A layer whose
    filters span all moments at once (frames_as_channels) would have to learn it for every moment anew. Classes take
    turns. Test has a fifth as many samples as train.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"samples": 40},
        {"of": "speed", "samples": 30, "frames": 3, "moving": 3, "size": (6, 9), "smooth": 1, "noise": 0.0},
    )

    of: Literal["direction", "speed"] = "direction"  # what the class is
    frames: Annotated[int, Range(2, 1000)] = 12  # moments of a clip
    moving: Annotated[int, Range(2, 1000)] = 4  # consecutive moments that show one texture, from a random one on
    size: Pair = 12  # size of a frame: one number, or [height, width]
    smooth: Annotated[int, Range(1, 64)] = 3  # side of the square that the texture's noise is averaged over
    samples: PositiveInt = 1000  # training samples; there are a fifth as many for the test
    negatives: Probability = 0.5  # probability that a moment is shown as its negative, white for black
    noise: NonNegative = 0.05  # standard deviation of the noise of each frame, where black is 0 and white 1
    seed: Seed = 0  # decides what the clips look like

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.moving > self.frames:
            raise ValueError(f"moving must be at most the {self.frames} frames of a clip, got {self.moving}")

    def splits(self) -> tuple[str, ...]:
        """Train and test."""
        return ("train", "test")

    def describe(self) -> Description:
        """Everything is known from the settings."""
        return Description((self.frames, *self._sides(), 1), tuple(_STEPS[self.of]))

    def load(self, split: str, reader: Reader = ALONE) -> Images:  # noqa: ARG002  (no file)
        """Compute a split: uint8 pixels and labels. Raises DataError for a split other than train and test."""
        if split not in self.splits():
            raise DataError(f"motion has the splits train and test, not {split!r}")
        count = self.samples if split == "train" else max(self.samples // 5, 1)
        steps = np.array([*_STEPS[self.of].values()])
        labels = np.arange(count) % len(steps)
        rng = stream(self.seed, f"motion {self.of} {split}")
        by = steps[labels]
        if self.of == "speed":
            by = by * rng.choice([-1, 1], (count, 1))
        clips = self._textures(count * self.frames, rng).reshape(count, self.frames, *self._sides())
        first = rng.integers(self.frames - self.moving + 1, size=count)
        every, start = np.arange(count), clips[np.arange(count), first]
        for moment in range(1, self.moving):
            clips[every, first + moment] = _moved(start, moment * by)
        signs = np.where(rng.random(clips.shape[:2]) < self.negatives, -1, 1)[..., None, None]
        clips = 0.5 + signs * (clips - 0.5)
        clips += rng.normal(0, self.noise, clips.shape)
        pixels = (clips.clip(0, 1) * 255).round().astype(np.uint8)[..., None]
        return Images(pixels, labels.astype(np.int64), tuple(_STEPS[self.of]))

    def _sides(self) -> Shape:
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def _textures(self, count: int, rng: np.random.Generator) -> Array:
        """Noise averaged over squares, so that neighbours are alike; mean 0.5, standard deviation 0.25: (n, h, w)."""
        noise = rng.standard_normal((count, *self._sides()))
        for axis in (1, 2):
            noise = np.sum([np.roll(noise, shift, axis) for shift in range(self.smooth)], axis=0)
        return 0.5 + 0.25 * noise / self.smooth


def _moved(textures: Array, by: Array) -> Array:
    """Textures (n, h, w) moved by rows and columns (n, 2), what leaves at one side coming in at the other."""
    n, height, width = textures.shape
    rows = (np.arange(height) - by[:, :1]) % height
    columns = (np.arange(width) - by[:, 1:]) % width
    moved: Array = textures[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved
