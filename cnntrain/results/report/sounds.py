"""Sounds in a report: a sample is shown as a spectrogram, and played in the page where its recording is at hand."""

from __future__ import annotations

import base64
import struct

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError, OutOfMemoryError, StorageError
from cnntrain.ops import spectra
from cnntrain.results.report.html import Markup, element
from cnntrain.results.report.judged import Judged

_LONGEST = 10.0  # seconds of a sound that a page holds
_WINDOW, _COLUMNS = 256, 96  # samples of a window, and windows, of a picture of a waveform
_FLOOR = 60.0  # decibels below the loudest that are black


def picture(image: Array) -> Array:
    """The image of a stored spectrogram or waveform, low frequencies at the bottom: floats in [0, 1]."""
    if image.shape[0] > 1:
        return image[::-1]
    sound = image[0, :, 0]
    size = min(_WINDOW, len(sound))
    found = spectra.power(sound, size, max(1, (len(sound) - size) // _COLUMNS), size)
    decibels = 10 * np.log10(np.maximum(found, found.max() * 10 ** (-_FLOOR / 10) or 1))
    shown: Array = ((decibels - decibels.max()) / _FLOOR + 1).T[::-1, :, None]
    return np.clip(shown, 0, 1).astype(np.float32)


def player(judged: Judged, position: int) -> Markup:
    """The player of the sample at a position of the split; nothing where its sound cannot be read."""
    source, index = judged.heard, int(judged.indices[position])
    if source is None or not judged.images.names:
        return Markup()
    try:
        heard = source.heard(judged.images.names[index], _LONGEST)
    except (DataError, StorageError, OutOfMemoryError):  # what was judged came from the cache
        return Markup()
    data = base64.b64encode(_wav(*heard)).decode()
    return element("audio", controls="", preload="none", src=f"data:audio/wav;base64,{data}")


def _wav(sound: Array, rate: int) -> bytes:
    """A sound in [-1, 1] as a WAV file of 16 bits."""
    data: bytes = np.rint(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)  # PCM, one channel
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body
