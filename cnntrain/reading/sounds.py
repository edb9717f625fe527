"""Sounds: files of any known form, heard at the rate a network listens at, as one channel.

WAV files are read here; FLAC, OGG (Vorbis, Opus), MP3 and AIFF by libsndfile, which is the extra `audio` (soundfile).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError
from cnntrain.core.extras import install
from cnntrain.reading.input_files import check_device, opened, reading
from cnntrain.reading.resampling import Resampling, resampled
from cnntrain.reading.wav import EMPTY, clipped, sound

WAV = frozenset([".wav", ".wave"])
OTHERS = frozenset([".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"])
SUFFIXES = WAV | OTHERS
MOST_SAMPLES = 2**26  # of one channel that are decoded at a time: 23 minutes at 48 kHz
_RATES = range(100, 1_000_001)  # samples a second that a recording may have
_EXACT = ("FLAC", "OGG", "AIFF", "WAV")  # formats in which libsndfile finds a place to the sample; not in MP3
_CONVERT = "Convert it to WAV, say with: ffmpeg -i FILE -c:a pcm_s16le OUT.wav"


@dataclass(frozen=True)
class Recording:
    """A sound in a file: its rate and length, and any stretch of it."""

    path: Path
    rate: int  # samples a second
    samples: int  # of each channel
    stretch: Callable[[int, int], Array]  # [first, first + count) as float64, the mean of the channels

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.samples / self.rate

    def length(self, rate: int) -> int:
        """How many samples it has at another rate."""
        return Resampling.between(self.rate, rate).length(self.samples)

    def heard(self, rate: int, first: int, count: int) -> Array:
        """Samples [first, first + count) at another rate, silence before and after the sound: float64.

        Raises DataError where the file cannot be read.
        """
        resampling = Resampling.between(self.rate, rate)
        needed = count * self.rate // rate + 2 * resampling.reach
        if needed > MOST_SAMPLES:
            raise DataError(
                f"{self.path}: {count / rate:,.0f} s at {self.rate:,} samples a second are {needed:,} samples, at most "
                f"{MOST_SAMPLES:,} are decoded at a time. Cut it into shorter ones"
            )
        with reading(self.path):
            try:
                heard = resampled(self.stretch, self.samples, resampling, first, count)
            except (RuntimeError, EOFError) as error:  # the former are libsndfile's
                check_device(self.path)
                raise EOFError(str(error)) from error
        if not np.isfinite(heard).all():
            raise DataError(f"{self.path} holds NaN or an infinity, expected numbers from -1 to 1. Make it again")
        return heard

    def middle(self, rate: int, count: int) -> Array:
        """The middle `count` samples at a rate, silence on both sides of a shorter sound. Raises DataError."""
        beyond = self.length(rate) - count
        return self.heard(rate, beyond // 2 if beyond >= 0 else -(-beyond // 2), count)


def recording(path: Path) -> Recording:
    """The recording in a file. Raises DataError saying what is wrong with it and what to do."""
    with reading(path):
        try:
            found = _wav(path) if path.suffix.lower() not in OTHERS else _other(path)
        except ValueError as error:
            check_device(path)
            raise DataError(f"{path} {error}") from error
    if found.rate not in _RATES:
        raise DataError(
            f"{path} has {found.rate:,} samples a second, expected {_RATES[0]} to {_RATES[-1]:,}. Make it again"
        )
    return found


def _wav(path: Path) -> Recording:
    found = sound(path)
    return Recording(path, found.rate, found.samples, lambda first, count: found.stretch(path, first, count))


def _other(path: Path) -> Recording:
    """By libsndfile. Raises ValueError."""
    library = _soundfile(path)
    with opened(path) as file:  # so that what is no file is refused as everywhere
        if not file.read(1):
            raise ValueError("is damaged or cut short: it holds nothing. Fetch or make it again")
    try:
        with library.SoundFile(str(path)) as file:
            rate, samples, exact = int(file.samplerate), int(file.frames), file.format in _EXACT
    except RuntimeError as error:
        raise ValueError(f"is not a sound that libsndfile can read ({_reason(error)}). {_CONVERT}") from error
    if not 0 < samples < 2**62:
        raise ValueError(f"has {max(samples, 0):,} samples, expected 1 or more. {_CONVERT if samples > 0 else EMPTY}")

    def stretch(first: int, count: int) -> Array:
        return _decoded(library, path, first, count, exact)

    return Recording(path, rate, samples, stretch)


def _decoded(library: Any, path: Path, first: int, count: int, exact: bool) -> Array:
    """Samples [first, first + count); MP3, where places are not found `exact`ly, is read from the beginning.

    They are read in one piece, since soundfile seeks after every piece.
    """
    start = first if exact else 0
    if first + count - start > MOST_SAMPLES:
        raise DataError(f"{path} is too long to be read to its place {first:,}, as MP3 must be. {_CONVERT}")
    with library.SoundFile(str(path)) as file:
        if start:
            file.seek(start)
        read = file.read(first + count - start, dtype="float64", always_2d=True)
    if len(read) < first + count - start:
        raise EOFError("ends early")
    mono: Array = clipped(path, read[first - start :]).mean(axis=1)
    return mono


def _soundfile(path: Path) -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError where libsndfile itself is missing
        raise ValueError(
            f"needs soundfile to be read. Run: {install('audio')}, or convert {path.suffix} files to WAV"
        ) from error
    return soundfile


def library_version() -> str | None:
    """The version of soundfile, on which the samples of compressed sounds depend; None where it is not installed."""
    try:
        return version("soundfile")
    except PackageNotFoundError:
        return None


def _reason(error: RuntimeError) -> str:
    """What libsndfile says, without the path it says it of."""
    return cast(str, getattr(error, "error_string", str(error))).rstrip(".")
