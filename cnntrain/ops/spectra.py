"""Spectra: how much of each frequency there is in a sound from moment to moment, and the mel scale of what is heard."""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np

from cnntrain.core.arrays import Array

MelScale = Literal["htk", "slaney"]


@functools.cache
def hann(size: int) -> Array:
    """The periodic Hann window, float64 (size,)."""
    window: Array = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    return window


def power(sound: Array, window: int, hop: int, size: int) -> Array:
    """The power spectra |FFT(w x)|^2 of the windows of a sound (t,), (frames, size // 2 + 1), in its dtype.

    A window is a Hann window of `window` samples in the middle of `size` samples; there is one every `hop` samples as
    long as all of `size` fits.
    """
    shape = np.zeros(size, sound.dtype)
    before = (size - window) // 2
    shape[before : before + window] = hann(window)
    pieces = np.lib.stride_tricks.sliding_window_view(sound, size)[::hop]
    spectra = np.fft.rfft(pieces * shape)
    found: Array = np.square(spectra.real) + np.square(spectra.imag)
    return found


@functools.cache
def triangles(
    bands: int, size: int, sample_rate: int, low: float, high: float, scale: MelScale, unit_area: bool
) -> Array:
    """Triangular filters, (size // 2 + 1, bands), whose corners are evenly spaced in mel from `low` to `high` Hz.

    Their peaks are 1, or their areas over hertz, for `unit_area` (Slaney 1998).
    """
    corners = _corners(bands, low, high, scale)
    frequencies = np.arange(size // 2 + 1)[:, None] * (sample_rate / size)
    rising = (frequencies - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - frequencies) / (corners[2:] - corners[1:-1])
    filters: Array = np.maximum(np.minimum(rising, falling), 0)
    if unit_area:
        filters *= 2 / (corners[2:] - corners[:-2])
    return filters


def mel_filters(bands: int, size: int, sample_rate: int) -> Array:
    """Triangular filters of peak 1, evenly spaced on HTK's mel scale from 0 Hz to half the sample rate."""
    return triangles(bands, size, sample_rate, 0.0, sample_rate / 2, "htk", False)


def has_empty_band(
    bands: int, size: int, sample_rate: int, low: float = 0.0, high: float | None = None, scale: MelScale = "htk"
) -> bool:
    """Whether some filter would hold no frequency, without the memory that the filters take."""
    corners = _corners(bands, low, sample_rate / 2 if high is None else high, scale)
    spacing = sample_rate / size
    first = (np.floor(corners[:-2] / spacing) + 1) * spacing  # the frequency after a filter's lower corner
    return bool((first >= corners[2:]).any())


def _corners(bands: int, low: float, high: float, scale: MelScale) -> Array:
    """Frequencies in hertz, evenly spaced in mel, (bands + 2,): filter i rises from corner i and falls to i + 2."""
    first, last = _mel(np.array([low, high]), scale)
    return _hertz(np.linspace(first, last, bands + 2), scale)


def _mel(hertz: Array, scale: MelScale) -> Array:
    """HTK: 2595 log10(1 + f / 700) (O'Shaughnessy 1987). Slaney 1998: f / (200 / 3), from 1000 Hz on logarithmic."""
    if scale == "htk":
        mel: Array = 2595 * np.log10(1 + hertz / 700)
        return mel
    return np.where(hertz < 1000, hertz * 3 / 200, 15 + 27 * np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4))


def _hertz(mel: Array, scale: MelScale) -> Array:
    """The frequency of a mel value."""
    if scale == "htk":
        hertz: Array = 700 * (10 ** (mel / 2595) - 1)
        return hertz
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) * (np.maximum(mel, 15) - 15) / 27))


@functools.cache
def cosines(bands: int, coefficients: int) -> Array:
    """The orthonormal DCT-II, (bands, coefficients): what decibels are multiplied by to give cepstral coefficients."""
    angles = np.pi / bands * (np.arange(bands)[:, None] + 0.5) * np.arange(coefficients)
    basis: Array = np.cos(angles) * np.sqrt(2 / bands)
    basis[:, 0] /= np.sqrt(2)
    return basis
