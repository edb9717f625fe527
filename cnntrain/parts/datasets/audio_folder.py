"""A folder of sounds: one folder for each class, and recordings in it; each becomes a waveform or a spectrogram.

A spectrogram is an image, one row for a band of frequencies (the lowest first), one column for a moment, so that
the layers that see pictures also hear. A waveform is an image of one row, whose columns are moments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import numpy as np

from cnntrain.config.fields import Range
from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError, StorageError
from cnntrain.core.registry import register
from cnntrain.ops.spectra import has_empty_band, mel_filters
from cnntrain.parts.datasets.class_folders import ClassFolders
from cnntrain.reading.decoded import Content, Recipe, Sample
from cnntrain.reading.sounds import SUFFIXES, Recording, library_version, recording

_FLOOR = 80.0  # decibels below full scale that count as silence
_LONGEST = 10.0  # seconds that a proposal takes of a sound
_SLOWEST, _FASTEST = 1_000, 384_000  # samples a second
_AT_A_TIME = 2**21  # samples of a long recording that are heard at a time
_MAX_SAMPLES = 2**24  # of one sound: 17 minutes at 16 kHz


@register("audio_folder")
@dataclass(frozen=True)
class AudioFolder(ClassFolders):
    """Sounds in class folders, laid out like the pictures of image_folder: files in `root/train/CLASS/...`.

    Read are WAV files (RIFF, RIFX, RF64, BW64) of PCM of 8, 16, 24 or 32 bits, floats of 32 or 64, A-law and mu-law;
    and .flac, .ogg, .oga, .opus, .mp3, .aif and .aiff with the extra `audio` (soundfile). Sounds of another rate than
    `sample_rate` (Hz) are resampled (reading/resampling.py). Several channels are averaged. A sound longer than
    `duration` (seconds) is cut to its middle, a shorter one gets silence on both sides. `label`, `split` and `group`
    are those of image_folder.

    With `features: waveform` a sample is the sound itself, a float32 image (1, samples, 1) in [-1, 1] for conv1d, or
    for transforms that make a spectrogram of it at every epoch (log_mel, mfcc, power_spectrogram) and change it before
    (time_shift, gain, speed, noise_from).

    With `features: log_mel` it is a float32 image (bands, frames, 1): Hann windows of `window` seconds every `hop`
    seconds, their power spectra summed by `bands` triangular filters evenly spaced on the mel scale from 0 Hz to half
    the sample rate, mel = 2595 log10(1 + f / 700) (O'Shaughnessy 1987, as in HTK), in decibels: 0 stands for -80 dB or
    less, 1 for a sine of full scale.
    """

    suffixes: ClassVar[frozenset[str]] = SUFFIXES
    noun: ClassVar[str] = "sounds"

    # rate of the samples, in Hz; sounds of another rate are resampled
    sample_rate: Annotated[int, Range(_SLOWEST, _FASTEST)] = 16_000
    # length of a sample in seconds; longer sounds are cut to their middle, shorter ones padded with silence
    duration: Annotated[float, Range(0, 600, open_low=True)] = 1.0
    # what a sample is: the spectrogram that bands, window and hop describe, or the sound itself
    features: Literal["log_mel", "waveform"] = "log_mel"
    bands: Annotated[int, Range(1, 512)] = 40  # bands of the mel scale, which are the rows of the image
    window: Annotated[float, Range(0, 1, open_low=True)] = 0.025  # length of a window in seconds
    hop: Annotated[float, Range(0, 1, open_low=True)] = 0.01  # distance between windows in seconds

    def measured(self) -> Self:
        """The sample rate of most files, and a duration that holds nine in ten of them whole."""
        heads = [head for path in self.sample_of_files() if (head := _head(path))]
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
                raise ValueError(f"{name} is of 'features: log_mel': with waveform, set it in the transform log_mel")

    def _samples_in(self, seconds: float) -> int:
        return round(seconds * self.sample_rate)

    def _spectrum(self) -> int:
        """The length of the Fourier transform: the power of two that holds a window."""
        return int(1 << (self._samples_in(self.window) - 1).bit_length())

    def _recipe(self) -> Recipe:
        def decode(sample: Sample) -> Content:
            length = self._samples_in(self.duration)
            return Content(self._shown(recording(sample[0]).middle(self.sample_rate, length)))

        names = ("sample_rate", "duration", "features", "bands", "window", "hop")
        settings = {name: getattr(self, name) for name in names}
        versions = {"sound": 3, "numpy": np.__version__, "soundfile": library_version()}
        return Recipe(decode, {"what": "sound", **settings, **versions}, self.noun)

    def windows(self, path: Path, every: float) -> Iterator[tuple[Array, Array]]:
        """Samples along a recording, `duration` long, one every so many seconds: chunks of starts (n,) and samples.

        The first begins with the recording; the last reaches its end, silence behind it. Raises DataError.
        """
        whole, size, step = recording(path), self._samples_in(self.duration), max(1, self._samples_in(every))
        count = 1 + max(0, -(-(whole.length(self.sample_rate) - size) // step))
        chunk = max(1, (_AT_A_TIME - size) // step)
        for first in range(0, count, chunk):
            n = min(chunk, count - first)
            heard = whole.heard(self.sample_rate, first * step, (n - 1) * step + size)
            places = np.arange(n) * step
            samples = np.stack([self._shown(heard[place : place + size]) for place in places.tolist()])
            yield (first * step + places) / self.sample_rate, samples

    def heard(self, path: str, longest: float) -> tuple[Array, int]:
        """The sound of a sample (t,), in [-1, 1], at most so many seconds of its middle, and its rate."""
        count = min(self._samples_in(self.duration), self._samples_in(longest))
        return recording(Path(path)).middle(self.sample_rate, count), self.sample_rate

    def extent(self, path: Path) -> tuple[int, ...] | None:
        """The number of sound samples."""
        head = _head(path)
        return None if head is None else (head.samples,)

    def _shown(self, heard: Array) -> Array:
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
