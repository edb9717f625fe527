"""A folder of sounds: one folder for each class, and WAV files in it; each becomes a log-mel spectrogram.

A spectrogram is an image, one row for a band of frequencies (the lowest first), one column for a moment, so that
the layers that see pictures also hear.
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Self

import numpy as np

from cnntrain.config.fields import Range
from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError
from cnntrain.core.registry import register
from cnntrain.parts.datasets.base import ClassFolders
from cnntrain.reading.decoded import Content, Recipe, Sample
from cnntrain.reading.input_files import reading
from cnntrain.reading.wav import sound

_FLOOR = 80.0  # decibels below full scale that count as silence
_LONGEST = 10.0  # seconds that a proposal takes of a sound
_MAX_SAMPLES = 2**24  # of one sound: 17 minutes at 16 kHz


@register("audio_folder")
@dataclass(frozen=True)
class AudioFolder(ClassFolders):
    """Sounds in class folders, laid out like the pictures of image_folder: WAV files in `root/train/CLASS/...`.

    Read are PCM of 8, 16, 24 or 32 bits and floats of 32 or 64, in RIFF, RIFX, RF64 and BW64.
    Every file must have the rate `sample_rate` (Hz): nothing is resampled. Several channels are averaged. A sound
    longer than `duration` (seconds) is cut to its middle, a shorter one gets silence on both sides.

    A sample is a float32 image (bands, frames, 1): Hann windows of `window` seconds every `hop` seconds, their power
    spectra summed by `bands` triangular filters evenly spaced on the mel scale from 0 Hz to half the sample rate,
    mel = 2595 log10(1 + f / 700) (O'Shaughnessy 1987, as in HTK), in decibels: 0 stands for -80 dB or less, 1 for a
    sine of full scale.
    """

    suffixes: ClassVar[frozenset[str]] = frozenset([".wav"])
    noun: ClassVar[str] = "sounds"

    # rate that every file must have, in Hz; nothing is resampled
    sample_rate: Annotated[int, Range(1000, 384_000)] = 16_000
    # length of a sample in seconds; longer sounds are cut to their middle, shorter ones padded with silence
    duration: Annotated[float, Range(0, 600, open_low=True)] = 1.0
    bands: Annotated[int, Range(1, 512)] = 40  # bands of the mel scale, which are the rows of the image
    window: Annotated[float, Range(0, 1, open_low=True)] = 0.025  # length of a window in seconds
    hop: Annotated[float, Range(0, 1, open_low=True)] = 0.01  # distance between windows in seconds

    def measured(self) -> Self:
        """The sample rate of most files, and a duration that holds nine in ten of them whole."""
        heads = [head for path in self.sample_of_files() if (head := _head(path))]
        if not heads:
            return self  # nothing there can be read: loading it will say so
        rate = Counter(rate for rate, _ in heads).most_common(1)[0][0]
        seconds = float(np.quantile([count / rate for rate, count in heads], 0.9, method="higher"))
        return replace(self, sample_rate=rate, duration=round(min(max(seconds, self.window), _LONGEST), 2))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self._samples_in(self.window) < 2 or self._samples_in(self.hop) < 1:
            raise ValueError(f"window and hop must be longer than a sample, got {self.window:g} and {self.hop:g} s")
        if not self._samples_in(self.window) <= self._samples_in(self.duration) <= _MAX_SAMPLES:
            raise ValueError(
                f"duration must be from one window ({self.window:g} s) to {_MAX_SAMPLES / self.sample_rate:g} s, got "
                f"{self.duration:g}"
            )
        if has_empty_band(self.bands, self._spectrum(), self.sample_rate):
            raise ValueError(
                f"bands must be fewer for a window of {self.window:g} s: some of {self.bands} would hold no frequency"
            )

    def _samples_in(self, seconds: float) -> int:
        return round(seconds * self.sample_rate)

    def _spectrum(self) -> int:
        """The length of the Fourier transform: the power of two that holds a window."""
        return int(1 << (self._samples_in(self.window) - 1).bit_length())

    def _recipe(self) -> Recipe:
        filters = mel_filters(self.bands, self._spectrum(), self.sample_rate)
        length = self._samples_in(self.duration)

        def decode(sample: Sample) -> Content:
            heard = read_wave(sample[0], self.sample_rate, length)
            return Content(self._spectrogram(heard, filters).astype(np.float32)[..., None])

        settings = {"what": "sound", "wav": 2, **vars(self), "root": None, "numpy": np.__version__}
        return Recipe(decode, settings, self.noun)

    def extent(self, path: Path) -> tuple[int, ...] | None:
        """The number of sound samples."""
        head = _head(path)
        return head and head[1:]

    def _spectrogram(self, heard: Array, filters: Array) -> Array:
        """The image (bands, frames) of a sound in [-1, 1]."""
        size = self._samples_in(self.window)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
        pieces = np.lib.stride_tricks.sliding_window_view(heard, size)[:: self._samples_in(self.hop)]
        spectra = np.fft.rfft(pieces * hann, self._spectrum())  # (frames, size // 2 + 1)
        power = np.abs(spectra * (2 / hann.sum())) ** 2  # a sine of amplitude 1 peaks at 1
        decibels = 10 * np.log10(np.maximum(power @ filters, 10 ** (-_FLOOR / 10)))
        image: Array = (1 + decibels / _FLOOR).T
        return image


def _head(path: Path) -> tuple[int, int] | None:
    """Rate and number of samples of a WAV file as its header has them; None where it cannot be read."""
    try:
        found = sound(path)
    except (OSError, ValueError):  # whoever decodes it will say what is wrong
        return None
    return found.rate, found.samples


@functools.cache
def mel_filters(bands: int, size: int, sample_rate: int) -> Array:
    """Triangular filters, (size // 2 + 1, bands), whose corners are evenly spaced in mel and whose peaks are 1."""
    corners = _corners(bands, sample_rate)
    frequencies = np.arange(size // 2 + 1)[:, None] * (sample_rate / size)
    rising = (frequencies - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - frequencies) / (corners[2:] - corners[1:-1])
    filters: Array = np.maximum(np.minimum(rising, falling), 0)
    return filters


def has_empty_band(bands: int, size: int, sample_rate: int) -> bool:
    """Whether some filter would hold no frequency, without the memory that the filters take."""
    corners, spacing = _corners(bands, sample_rate), sample_rate / size
    first = (np.floor(corners[:-2] / spacing) + 1) * spacing  # the frequency after a filter's lower corner
    return bool((first >= corners[2:]).any())


def _corners(bands: int, sample_rate: int) -> Array:
    """Frequencies in hertz, evenly spaced in mel, (bands + 2,): filter i rises from corner i and falls to i + 2."""
    top = 2595 * np.log10(1 + sample_rate / 2 / 700)
    corners: Array = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    return corners


def read_wave(path: Path, sample_rate: int, length: int) -> Array:
    """The middle `length` samples of a WAV file in [-1, 1], silence around a shorter one. Raises DataError."""
    with reading(path):
        try:
            found = sound(path)
        except ValueError as error:
            raise DataError(f"{path} {error}") from error
        if found.rate != sample_rate:
            raise DataError(
                f"{path} has {found.rate:,} samples a second, expected {sample_rate:,} as 'sample_rate' says"
            )
        kept = min(found.samples, length)
        mono = found.stretch(path, (found.samples - kept) // 2, kept)
    if not np.isfinite(mono).all():
        raise DataError(f"{path} holds NaN or an infinity, expected numbers from -1 to 1. Make it again")
    before = (length - kept) // 2
    return np.pad(mono, (before, length - kept - before))
