"""A spectrogram turns a sound into an image: a row for each frequency, lowest first, and a column for each moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import NonNegative, Positive, PositiveInt, Range
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops import spectra
from cnntrain.parts.transforms.base import Transform, check_sound

LEAST = 1e-10  # power below which it counts as this, in torchaudio and librosa


@dataclass(frozen=True)
class Spectrogram(Transform):
    """Power spectra |FFT(w x)|^2 under periodic Hann windows of `window` seconds every `hop` seconds.

    The sound is continued by half a Fourier transform on both sides, so that the first window is about its first
    sample: mirrored (torchaudio) or as silence (librosa). There are 1 + t // hop columns.
    """

    of_sounds: ClassVar[bool] = True
    gives_pixels: ClassVar[bool] = False

    sample_rate: Annotated[int, Range(1000, 384_000)] = 16_000  # of the sounds, in Hz: that of the data source
    window: Annotated[float, Range(0, 1, open_low=True)] = 0.025  # length of a window in seconds
    hop: Annotated[float, Range(0, 1, open_low=True)] = 0.01  # distance between windows in seconds
    # samples of the Fourier transform, which has the window in its middle; by default a power of two that holds it
    fft: Annotated[int, Range(2, 2**20)] | None = None
    definition: Literal["torchaudio", "librosa"] = "torchaudio"  # whose defaults the rest follows

    def __post_init__(self) -> None:
        super().__post_init__()
        window = self._samples_in(self.window)
        if window < 2 or self._samples_in(self.hop) < 1:
            raise ValueError(f"window and hop must be longer than a sample, got {self.window:g} and {self.hop:g} s")
        if self.size < window:
            raise ValueError(f"fft must hold a window of {window} samples, got {self.fft}")

    @property
    def size(self) -> int:
        """Samples of the Fourier transform."""
        return self.fft or 1 << (self._samples_in(self.window) - 1).bit_length()

    def output_shape(self, shape: Shape) -> Shape:
        """(1, t, c) -> (rows, frames, c). Raises ValueError for what is no sound, or is shorter than half a window."""
        check_sound(shape)
        if shape[1] <= self.size // 2:
            raise ValueError(f"a sound of {shape[1]} samples is too short for a Fourier transform of {self.size}")
        margins = 2 * (self.size // 2)  # that of apply, before and after
        return self._rows(), 1 + (shape[1] + margins - self.size) // self._samples_in(self.hop), shape[2]

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """One sound after the other."""
        n, _, _, channels = images.shape
        result = np.empty((n, *self.output_shape(images.shape[1:])), images.dtype)
        margin = self.size // 2
        for image, sounds in zip(result, images[:, 0], strict=True):
            for channel in range(channels):
                mode: Any = "reflect" if self.definition == "torchaudio" else "constant"
                whole = np.pad(sounds[:, channel], margin, mode)
                found = spectra.power(whole, self._samples_in(self.window), self._samples_in(self.hop), self.size)
                image[..., channel] = self._read(found[: image.shape[1]]).T
        return result

    def _samples_in(self, seconds: float) -> int:
        return round(seconds * self.sample_rate)

    def _rows(self) -> int:
        return self.size // 2 + 1

    def _read(self, power: Array) -> Array:
        """What is shown of power spectra (frames, size // 2 + 1): (frames, rows)."""
        return power


@register("power_spectrogram")
@dataclass(frozen=True)
class PowerSpectrogram(Spectrogram):
    """A sound (1, t, c) as power spectra, (fft / 2 + 1, frames, c), in decibels unless `decibels: false`.

    |FFT(w x)|^2 under periodic Hann windows w of `window` seconds every `hop` seconds, the sound continued on both
    sides, mirrored (`definition: torchaudio`, its Spectrogram) or silent (`librosa`, the square of its stft).
    Decibels are 10 log10(max(power, 1e-10)).
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"window": 0.004, "hop": 0.002},
        {"window": 0.003, "fft": 50, "decibels": False, "definition": "librosa"},
    )

    decibels: bool = True  # give decibels, not the power itself

    def _read(self, power: Array) -> Array:
        return decibels(power) if self.decibels else power


@register("log_mel")
@dataclass(frozen=True)
class LogMel(Spectrogram):
    """A sound (1, t, c) as a log-mel spectrogram (bands, frames, c): decibels by mel (Davis and Mermelstein 1980).

    Power spectra as those of power_spectrogram are summed by `bands` triangles from `low` to `high` Hz, and given as
    10 log10(max(p, 1e-10)), at least `top_db` below the loudest of the sound where that is given.
    `definition: torchaudio` is its MelSpectrogram and AmplitudeToDB: HTK's mel scale, triangles of peak 1, the sound
    mirrored at its ends. `librosa` is its melspectrogram and power_to_db: Slaney's mel scale, triangles of area 1,
    silence beyond the ends.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"window": 0.016, "hop": 0.004, "bands": 10},
        {"window": 0.02, "bands": 12, "definition": "librosa", "low": 50.0, "high": 7000.0, "top_db": 60.0},
    )

    bands: Annotated[int, Range(1, 512)] = 40  # bands of the mel scale, which are the rows
    low: NonNegative = 0.0  # where the lowest band begins, in Hz
    high: Positive | None = None  # where the highest band ends, in Hz; by default half the sample rate
    top_db: Positive | None = None  # decibels below the loudest of each sound at which it is cut off; by default none

    def __post_init__(self) -> None:
        super().__post_init__()
        high = self._high()
        if not self.low < high <= self.sample_rate / 2:
            raise ValueError(
                f"low and high must rise and be at most {self.sample_rate / 2:g} Hz, got {self.low:g} and {high:g}"
            )
        if spectra.has_empty_band(self.bands, self.size, self.sample_rate, self.low, high, self._scale()):
            raise ValueError(
                f"bands must be fewer for a Fourier transform of {self.size} samples: some of {self.bands} would hold "
                "no frequency"
            )

    def _rows(self) -> int:
        return self.bands

    def _high(self) -> float:
        return self.sample_rate / 2 if self.high is None else self.high

    def _scale(self) -> spectra.MelScale:
        return "htk" if self.definition == "torchaudio" else "slaney"

    def _read(self, power: Array) -> Array:
        librosa = self.definition == "librosa"
        filters = spectra.triangles(
            self.bands, self.size, self.sample_rate, self.low, self._high(), self._scale(), librosa
        )
        shown = decibels(power @ filters.astype(power.dtype))
        return shown if self.top_db is None else np.maximum(shown, shown.max() - self.top_db)


@register("mfcc")
@dataclass(frozen=True)
class Mfcc(LogMel):
    """A sound (1, t, c) as mel-frequency cepstral coefficients (coefficients, frames, c) (Davis, Mermelstein 1980).

    The orthonormal DCT-II of the decibels of log_mel, of which the first `coefficients` are kept: torchaudio's MFCC
    and librosa's mfcc, by `definition`, both of which cut off at `top_db: 80`.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"window": 0.016, "hop": 0.004, "bands": 10, "coefficients": 8},
        {"window": 0.02, "bands": 12, "definition": "librosa", "coefficients": 12},
    )

    coefficients: PositiveInt = 13  # how many are kept, which are the rows
    top_db: Positive | None = 80.0  # decibels below the loudest of each sound at which it is cut off, or null

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.coefficients > self.bands:
            raise ValueError(f"coefficients must be at most the {self.bands} bands, got {self.coefficients}")

    def _rows(self) -> int:
        return self.coefficients

    def _read(self, power: Array) -> Array:
        found: Array = super()._read(power) @ spectra.cosines(self.bands, self.coefficients).astype(power.dtype)
        return found


def decibels(power: Array) -> Array:
    """10 log10 of it, and -100 of less than 1e-10."""
    found: Array = 10 * np.log10(np.maximum(power, LEAST))
    return found
