"""Noise from a folder: other recordings under each sound, so that the world's noise does not surprise a network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np

from cnntrain.config.fields import Finite, Probability, Range
from cnntrain.core.arrays import Array, Shape, to_file
from cnntrain.core.errors import DataError
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.parts.transforms.base import Transform, check_sound
from cnntrain.reading.folders import files_below
from cnntrain.reading.input_files import on_disk
from cnntrain.reading.sounds import MOST_SAMPLES, SUFFIXES, recording

_read: dict[tuple[Path, int], tuple[Array, ...]] = {}  # by folder and rate, as the last training found them


@register("noise_from")
@dataclass(frozen=True)
class NoiseFrom(Transform):
    """Add to each sound a random stretch of a recording from a folder, at the ratio `snr` (Snyder et al. 2015).

    The ratio of powers in decibels is uniform in `snr`; a recording that is too short is repeated, a silent sound or
    stretch changes nothing. The recordings are read into memory once, at `sample_rate`; a resumed run must find the
    same ones, there or in another folder that it is told of.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ()  # it needs a folder: tests/parts/transforms/test_sounds.py
    of_sounds: ClassVar[bool] = True
    random: ClassVar[bool] = True

    folder: str  # the folder of recordings; those in folders below it count
    sample_rate: Annotated[int, Range(1000, 384_000)] = 16_000  # of the sounds, in Hz: that of the data source
    snr: tuple[Finite, Finite] = (5.0, 20.0)  # range of the ratio of sound to noise, in decibels
    probability: Probability = 0.5  # probability that a sound gets noise

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.snr
        if not -100 <= low <= high <= 200:
            raise ValueError(f"snr must rise from -100 or more to 200 or less, got [{low:g}, {high:g}]")

    def output_shape(self, shape: Shape) -> Shape:
        """The same. Raises ValueError for what is not a sound."""
        check_sound(shape)
        return shape

    def needs_fit(self) -> bool:
        """Its recordings are to be read before the workers begin."""
        return True

    def fit(self, chunks: Iterable[Array]) -> NoiseFrom:  # noqa: ARG002  (the sounds do not matter)
        """This transform, its recordings read, so that workers share them. Raises DataError where there are none."""
        whose = self._whose
        _read[whose] = _recordings(*whose)
        return self

    def files_digest(self) -> str:
        """That of the recordings' values, in order; "" before they are read."""
        sha = hashlib.sha256()
        for noise in _read.get(self._whose, ()):
            sha.update(len(noise).to_bytes(8, "little") + to_file(noise).data)
        return sha.hexdigest() if self._whose in _read else ""

    @property
    def _whose(self) -> tuple[Path, int]:
        """What tells its recordings from those of others."""
        return Path(self.folder).absolute(), self.sample_rate

    def apply(self, images: Array, draws: Draws) -> Array:
        """Add in place."""
        whose = self._whose
        if whose not in _read:
            self.fit([])
        noises = _read[whose]
        chosen, which = draws.uniform() < self.probability, draws.integers(len(noises))
        place, snr = draws.uniform(), draws.uniform(*self.snr)
        for index in np.flatnonzero(chosen).tolist():
            sound, noise = images[index], noises[which[index]]
            start = int(place[index] * len(noise))
            under = np.take(noise, np.arange(start, start + sound.shape[1]), mode="wrap")
            loud, under_loud = float(np.mean(np.square(sound))), float(np.mean(np.square(under)))
            if loud > 0 and under_loud > 0:
                factor = np.sqrt(loud / under_loud * 10 ** (-snr[index] / 10))
                sound += (under * factor).astype(sound.dtype)[None, :, None]
        return images


def _recordings(folder: Path, sample_rate: int) -> tuple[Array, ...]:
    """Every recording of a folder, sorted by path: float32. Raises DataError."""
    place = on_disk(folder, "Set the folder of noise_from to one of recordings", folder=True)
    paths = sorted(files_below(place, SUFFIXES))
    if not paths:
        raise DataError(f"{place} holds no recordings, expected files named {', '.join(sorted(SUFFIXES))}. Add some")
    found, total = [], 0
    for path in paths:
        one = recording(Path(path))
        total += one.length(sample_rate)
        if total > MOST_SAMPLES:
            raise DataError(
                f"{place} holds more than {MOST_SAMPLES / sample_rate / 60:,.0f} minutes of noise, which is read into "
                "memory. Name a folder of fewer or shorter recordings"
            )
        found.append(one.heard(sample_rate, 0, one.length(sample_rate)).astype(np.float32))
    return tuple(found)
