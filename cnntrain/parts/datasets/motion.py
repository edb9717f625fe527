"""Synthetic clips: textures that drift, computed on the spot; the class is the direction, or the speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import NonNegative, Pair, PositiveInt, Range, Seed
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
    """Clips (frames, height, width, 1) of a random texture that drifts by whole pixels, one that ends where it begins.

    direction  a pixel a moment to the right, left, down or up
    speed      none, one or two pixels a moment, each clip to the left or to the right

    Every texture is drawn anew, and begins anywhere; each single frame has the same distribution in all classes, so
    that it tells nothing. Classes take turns. Test has a fifth as many samples as train.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"samples": 40},
        {"of": "speed", "samples": 30, "frames": 3, "size": (6, 9), "smooth": 1, "noise": 0.0},
    )

    of: Literal["direction", "speed"] = "direction"  # what the class is
    frames: Annotated[int, Range(2, 1000)] = 8  # moments of a clip
    size: Pair = 16  # size of a frame: one number, or [height, width]
    smooth: Annotated[int, Range(1, 64)] = 3  # side of the square that the texture's noise is averaged over
    samples: PositiveInt = 1000  # training samples; there are a fifth as many for the test
    noise: NonNegative = 0.05  # standard deviation of the noise of each frame, where black is 0 and white 1
    seed: Seed = 0  # decides what the clips look like

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
        textures = self._textures(count, rng)
        by = steps[labels]
        if self.of == "speed":
            by = by * rng.choice([-1, 1], (count, 1))
        clips = np.stack([_moved(textures, moment * by) for moment in range(self.frames)], axis=1)
        clips += rng.normal(0, self.noise, clips.shape)
        pixels = (clips.clip(0, 1) * 255).round().astype(np.uint8)[..., None]
        return Images(pixels, labels.astype(np.int64), tuple(_STEPS[self.of]))

    def _sides(self) -> Shape:
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def _textures(self, count: int, rng: np.random.Generator) -> Array:
        """Noise averaged over squares, so that neighbors are alike, of mean 0.5 and deviation 0.25: (n, h, w)."""
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
