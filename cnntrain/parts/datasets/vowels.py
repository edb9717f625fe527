"""Synthetic speech: the vowels of ten English words in many voices, computed on the spot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import NonNegative, PositiveInt, Range, Seed
from cnntrain.core.arrays import Array
from cnntrain.core.description import Description
from cnntrain.core.errors import DataError
from cnntrain.core.random import stream
from cnntrain.core.registry import register
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.datasets.sound_fields import SoundFields
from cnntrain.reading.reader import ALONE, Reader

_FORMANTS = {  # the resonances of men's voices, in Hz: means of Peterson and Barney (1952), table II
    "heed": (270, 2290, 3010),
    "hid": (390, 1990, 2550),
    "head": (530, 1840, 2480),
    "had": (660, 1720, 2410),
    "hod": (730, 1090, 2440),
    "hawed": (570, 840, 2410),
    "hood": (440, 1020, 2240),
    "whod": (300, 870, 2240),
    "hud": (640, 1190, 2390),
    "heard": (490, 1350, 1690),
}
_WIDTHS = np.array([60.0, 90.0, 150.0])  # of the resonances, in Hz (Klatt 1980)
_PITCHES = (90.0, 250.0)  # Hz: from low voices to high ones, whose resonances lie up to a fifth higher


@register("vowels")
@dataclass(frozen=True)
class Vowels(SoundFields):
    """The vowels of heed, hid, head, had, hod, hawed, hood, who'd, hud and heard (Peterson and Barney 1952).

    A voice is a sum of harmonics of a gliding pitch, shaped by three resonances (source and filter: Fant 1960); pitch,
    size of the speaker, loudness, beginning and length are drawn for each sample, and noise is added. Classes take
    turns. Test has a fifth as many samples as train. A network that has learned them also recognizes them in
    recordings. The fields of sounds are those of audio_folder.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"samples": 20},
        {"samples": 10, "features": "log_mel", "duration": 0.3, "bands": 20},
    )

    sample_rate: Annotated[int, Range(4000, 48_000)] = 8000  # samples a second
    duration: Annotated[float, Range(0.1, 10)] = 0.5  # length of a sample in seconds
    features: Literal["log_mel", "waveform"] = "waveform"  # what a sample is, as in audio_folder
    samples: PositiveInt = 600  # training samples; there are a fifth as many for the test
    noise: NonNegative = 0.01  # standard deviation of the noise, where a voice is as loud as 0.1 to 0.5
    seed: Seed = 0  # decides what the voices sound like

    def splits(self) -> tuple[str, ...]:
        """Train and test."""
        return ("train", "test")

    def describe(self) -> Description:
        """Everything is known from the settings."""
        silence = np.zeros(round(self.duration * self.sample_rate))
        return Description(self.shown(silence).shape, tuple(_FORMANTS))

    def load(self, split: str, reader: Reader = ALONE) -> Images:  # noqa: ARG002  (no file)
        """Compute a split: float32 and labels. Raises DataError for a split other than train and test."""
        if split not in self.splits():
            raise DataError(f"vowels has the splits train and test, not {split!r}")
        count = self.samples if split == "train" else max(self.samples // 5, 1)
        labels = np.arange(count) % len(_FORMANTS)
        rng = stream(self.seed, f"vowels {split}")
        formants = np.array([*_FORMANTS.values()], np.float64)
        sounds = np.stack([self.shown(self._voice(formants[label], rng)) for label in labels.tolist()])
        return Images(np.ascontiguousarray(sounds), labels.astype(np.int64), tuple(_FORMANTS))

    def _voice(self, formants: Array, rng: np.random.Generator) -> Array:
        """One vowel, somewhere in the sample, and noise: float64 (t,)."""
        size, rate = round(self.duration * self.sample_rate), self.sample_rate
        deep, glide, loud = rng.random(), rng.uniform(0.85, 1.15), rng.uniform(0.1, 0.5)
        length = int(size * rng.uniform(0.5, 1))
        start = int(rng.integers(size - length + 1))
        pitch = _PITCHES[0] * (_PITCHES[1] / _PITCHES[0]) ** deep * np.geomspace(1, glide, length)
        phase = 2 * np.pi * np.cumsum(pitch) / rate
        harmonics = np.arange(1, int(0.45 * rate / pitch.max()) + 1)
        hertz = harmonics * pitch.mean()
        resonances = formants * (1 + 0.2 * deep) * rng.normal(1, 0.02, 3)
        gain = np.prod(_resonance(hertz[:, None], resonances, _WIDTHS), axis=1) / harmonics  # of source and mouth
        shifts = rng.uniform(0, 2 * np.pi, len(harmonics))
        voice = gain @ np.sin(harmonics[:, None] * phase + shifts[:, None])
        ramp = np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.1 * length)
        sound = rng.normal(0, self.noise, size)
        sound[start : start + length] += voice * np.minimum(ramp, 1) * (loud / np.abs(voice).max())
        heard: Array = np.clip(sound, -1, 1)
        return heard


def _resonance(hertz: Array, center: Array, width: Array) -> Array:
    """How much a resonance of two poles lets through of a frequency, 1 at 0 Hz (Fant 1960)."""
    passed: Array = center**2 / np.sqrt((center**2 - hertz**2) ** 2 + (width * hertz) ** 2)
    return passed
