"""Sound fields say how files of sound become samples of one length, in every dataset that reads such files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np

from cnntrain.config.fields import Range
from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError, StorageError
from cnntrain.ops.spectra import has_empty_band, mel_filters
from cnntrain.parts.datasets.base import Dataset
from cnntrain.reading.decoded import Content, Recipe, Sample
from cnntrain.reading.sounds import Recording, library_version, recording

_FLOOR = 80.0  # decibels below full scale that count as silence
_LONGEST = 10.0  # seconds that a proposal takes of a sound
_SLOWEST, _FASTEST = 1_000, 384_000  # samples a second
_AT_A_TIME = 2**21  # samples of a long recording that are heard at a time
_MAX_SAMPLES = 2**24  # of one sound: 17 minutes at 16 kHz


@dataclass(frozen=True)
class SoundFields(Dataset):
    """The fields of the datasets that read files of sound, which mean the same in all of them."""

    # rate of the samples, in Hz; sounds of another rate are resampled
    sample_rate: Annotated[int, Range(_SLOWEST, _FASTEST)] = 16_000
    # length of a sample in seconds; longer sounds are cut to their middle, shorter ones padded with silence
    duration: Annotated[float, Range(0, 600, open_low=True)] = 1.0
    # what a sample is: the spectrogram that bands, window and hop describe, or the sound itself
    features: Literal["log_mel", "waveform"] = "log_mel"
    bands: Annotated[int, Range(1, 512)] = 40  # bands of the mel scale, which are the rows of the image
    window: Annotated[float, Range(0, 1, open_low=True)] = 0.025  # length of a window in seconds
    hop: Annotated[float, Range(0, 1, open_low=True)] = 0.01  # distance between windows in seconds

    @property
    def sound_settings(self) -> dict[str, object]:
        """These fields, for a source of other files."""
        return {name: getattr(self, name) for name in ("sample_rate", "duration", "features", "bands", "window", "hop")}

    def of_sounds(self, paths: Sequence[Path]) -> Self:
        """The sample rate of most files, and a duration that holds nine in ten of them whole."""
        heads = [head for path in paths if (head := _head(path))]
        if not heads:
            return self  # nothing there can be read: loading it will say so
        usual = Counter(head.rate for head in heads).most_common(1)[0][0]
        rate = min(max(usual, _SLOWEST), _FASTEST)
        seconds = float(np.quantile([head.seconds for head in heads], 0.9, method="higher"))
        return replace(self, sample_rate=rate, duration=round(min(max(seconds, self.window), _LONGEST), 2))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features == "waveform":
            self._check_waveform()
            return
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

    def _check_waveform(self) -> None:
        """Raise ValueError for a length that is none, or for settings of a spectrogram, which would do nothing."""
        if not 1 <= self._samples_in(self.duration) <= _MAX_SAMPLES:
            raise ValueError(
                f"duration must be from one sample to {_MAX_SAMPLES / self.sample_rate:g} s, got {self.duration:g}"
            )
        for name in ("bands", "window", "hop"):
            if getattr(self, name) != getattr(type(self), name):
                raise ValueError(f"{name} needs 'features: log_mel': with waveform, set it in the transform log_mel")

    def prepared(self) -> str:
        """Rate and length, and the spectrogram if there is one."""
        heard = (
            f"one channel, the mean of several; {self.sample_rate:,} Hz, in [-1, 1]; the middle {self.duration:g} s, "
            "or silence around less"
        )
        if self.features == "waveform":
            return heard
        return (
            f"{heard}; then {self.bands} rows of 1 + decibels / {_FLOOR:g}, at least 0: periodic Hann windows of "
            f"{self._samples_in(self.window)} samples every {self._samples_in(self.hop)}, the square of (2 |FFT of "
            f"length {self._spectrum()}| / the sum of the window), and triangles on the mel scale of HTK up to half "
            "the rate"
        )

    def _samples_in(self, seconds: float) -> int:
        return round(seconds * self.sample_rate)

    def _spectrum(self) -> int:
        """The length of the Fourier transform: the power of two that holds a window."""
        return int(1 << (self._samples_in(self.window) - 1).bit_length())

    def sound_recipe(self) -> Recipe:
        """How a file becomes a sample."""

        def decode(sample: Sample) -> Content:
            length = self._samples_in(self.duration)
            return Content(self.shown(recording(sample[0]).middle(self.sample_rate, length)))

        versions = {"sound": 4, "numpy": np.__version__, "soundfile": library_version()}
        return Recipe(decode, {"what": "sound", **self.sound_settings, **versions}, "sounds")

    def windows(self, path: Path, every: float) -> Iterator[tuple[Array, Array]]:
        """Samples along a recording, `duration` long, one every so many seconds: chunks of starts (n,) and samples.

        The first begins with the recording; the last reaches its end, silence behind it, or would begin there. Raises
        DataError.
        """
        whole, size, step = recording(path), self._samples_in(self.duration), max(1, self._samples_in(every))
        length = whole.length(self.sample_rate)
        count = 1 + max(0, min(-(-(length - size) // step), (length - 1) // step))
        chunk = max(1, (_AT_A_TIME - size) // step)
        for first in range(0, count, chunk):
            n = min(chunk, count - first)
            heard = whole.heard(self.sample_rate, first * step, (n - 1) * step + size)
            places = np.arange(n) * step
            samples = np.stack([self.shown(heard[place : place + size]) for place in places.tolist()])
            yield (first * step + places) / self.sample_rate, samples

    def heard(self, path: str, longest: float) -> tuple[Array, int]:
        """The sound of a sample (t,), in [-1, 1], at most so many seconds of its middle, and its rate."""
        count = min(self._samples_in(self.duration), self._samples_in(longest))
        return recording(Path(path)).middle(self.sample_rate, count), self.sample_rate

    def extent(self, path: Path) -> tuple[float, ...] | None:
        """The seconds that a sound lasts."""
        head = _head(path)
        return None if head is None else (head.samples / head.rate,)

    def shown(self, heard: Array) -> Array:
        """A sound in [-1, 1] as a sample: float32 (bands, frames, 1), or (1, samples, 1)."""
        if self.features == "waveform":
            return heard.astype(np.float32)[None, :, None]
        filters = mel_filters(self.bands, self._spectrum(), self.sample_rate)
        return self._spectrogram(heard, filters).astype(np.float32)[..., None]

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


def _head(path: Path) -> Recording | None:
    """What a file says of itself; None where it cannot be read."""
    try:
        return recording(path)
    except (DataError, StorageError):  # decoding it will say what is wrong
        return None
