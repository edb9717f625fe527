"""WAV files: where their samples lie and how they are coded, and a stretch of them as numbers in [-1, 1].

Known are RIFF, RIFX (big-endian), RF64 and BW64 (EBU Tech 3306), holding PCM of 8, 16, 24 or 32 bits, floats of 32 or
64, A-law or mu-law (ITU-T G.711), declared as such or as WAVE_FORMAT_EXTENSIBLE (Microsoft 2001). What was written into
a pipe has no length; its samples then reach to the end of the file.
"""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError
from cnntrain.reading.input_files import opened

_FORMS = {b"RIFF": "<", b"RIFX": ">", b"RF64": "<", b"BW64": "<"}
_PCM, _FLOAT, _A_LAW, _MU_LAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")  # all of a GUID but the code it begins with
_CODES = {2: "ADPCM of Microsoft", 6: "A-law", 7: "mu-law", 17: "ADPCM of IMA", 80: "MPEG", 85: "MP3", 255: "AAC"}
_ELSEWISE = {  # what other files of sound begin with: what they are, and the ending of those that are read as such
    b"fLaC": ("FLAC", ".flac"),
    b"OggS": ("Ogg", ".ogg"),
    b"ID3": ("MP3", ".mp3"),
    b"\xff\xfb": ("MP3", ".mp3"),
    b"FORM": ("AIFF", ".aiff"),
    b".snd": ("AU of Sun", ""),
    b"caff": ("CAF of Apple", ""),
    b"riff": ("Wave64 of Sony", ""),
    b"#!AMR": ("AMR", ""),
    b"wvpk": ("WavPack", ""),
    b"TTA1": ("True Audio", ""),
    b"\x0bw": ("AC-3", ""),
    b"\x30\x26\xb2\x75": ("Windows Media", ""),
    b"\x1aE\xdf\xa3": ("Matroska or WebM", ""),
    b"Creative Voi": ("VOC of Creative", ""),
}
_SILENT = {  # what files begin with that hold none, and what they are
    b"MThd": "MIDI, which holds notes and no sound",
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89PNG": "a PNG picture",
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF document",
    b"PK\3\4": "a ZIP archive",
}
_UNKNOWN_LENGTHS = range(0x7FFFF000, 0x100000000)  # what writers put where they could not know
_ADVICE = "Convert it to PCM of 8, 16, 24 or 32 bits, say with: ffmpeg -i FILE -c:a pcm_s16le OUT.wav"
EMPTY = "Make it again, or leave it out"  # what to do about a sound that has no samples
_MOST_CHUNKS = 10_000
_MAX_CHANNELS = 16
_LOUDEST = 16.0  # 24 decibels over full scale, which no sound in [-1, 1] reaches by mistake


class Sound(NamedTuple):
    """What a file says of itself, checked against what is there."""

    rate: int  # samples a second, 1 or more
    samples: int  # of each channel, 1 or more
    channels: int
    width: int  # bytes of a sample of one channel
    code: int  # one of _PCM, _FLOAT, _A_LAW and _MU_LAW
    order: str  # "<" or ">"
    start: int  # where the samples begin in the file

    def stretch(self, path: Path, first: int, count: int) -> Array:
        """Samples [first, first + count) as float64, the mean of the channels.

        Raises OSError, EOFError, and DataError for floats of another range.
        """
        frame = self.channels * self.width
        with opened(path) as file:
            file.seek(self.start + first * frame)
            data = file.read(count * frame)
        if len(data) != count * frame:
            raise EOFError("ends early")
        mono: Array = self._amplitudes(path, data).reshape(count, self.channels).mean(axis=1)
        return mono

    def _amplitudes(self, path: Path, data: bytes) -> Array:
        """Bytes as float64 in [-1, 1]: PCM of 8 bits is unsigned around 128, wider ones are signed."""
        if self.code in _COMPANDED:
            return _COMPANDED[self.code][np.frombuffer(data, np.uint8)]
        if self.code == _FLOAT:
            with np.errstate(invalid="ignore"):  # a signalling NaN, which callers refuse like any other
                return clipped(path, np.frombuffer(data, f"{self.order}f{self.width}").astype(np.float64))
        if self.width == 1:
            return (np.frombuffer(data, np.uint8) - 128.0) / 128
        stored = np.frombuffer(data, np.uint8).reshape(-1, self.width)
        wide = np.zeros((len(stored), 4), np.uint8)
        wide[:, 4 - self.width :] = stored if self.order == "<" else stored[:, ::-1]  # the upper bytes: signs stay
        return wide.view("<i4")[:, 0] / 2.0**31


def clipped(path: Path, values: Array) -> Array:
    """The values of a sound in [-1, 1], NaN and infinities as they are: those of one a little too loud are cut.

    Raises DataError where they are of another range, in which the sound would become a square wave.
    """
    largest = float(np.abs(values).max(initial=0))
    if not math.isfinite(largest):
        return values
    if largest > _LOUDEST:
        raise DataError(
            f"{path} holds floats such as {largest:,.0f}, expected -1 to 1. Divide them by what stands for full scale, "
            "such as 32,768 where they are whole numbers of 16 bits, and write it again"
        )
    return np.clip(values, -1, 1, out=values)


def _a_law() -> Array:
    """What the 256 bytes of A-law stand for (ITU-T G.711): 13 bits, of which the largest is 4032 / 4096.

    Every second bit is inverted; then come the sign (1 is positive), three bits of exponent and four of mantissa.
    """
    stored = np.arange(256) ^ 0x55
    exponent, mantissa = stored >> 4 & 7, stored & 15
    steps = np.where(exponent > 0, (2 * mantissa + 33) << np.maximum(exponent - 1, 0), 2 * mantissa + 1)
    amplitudes: Array = np.where(stored & 0x80, steps, -steps) / 4096.0
    return amplitudes


def _mu_law() -> Array:
    """What the 256 bytes of mu-law stand for (ITU-T G.711): 14 bits, of which the largest is 8031 / 8192."""
    stored = np.arange(256) ^ 0xFF
    exponent, mantissa = stored >> 4 & 7, stored & 15
    steps = ((2 * mantissa + 33) << exponent) - 33
    amplitudes: Array = np.where(stored & 0x80, -steps, steps) / 8192.0
    return amplitudes


_COMPANDED = {_A_LAW: _a_law(), _MU_LAW: _mu_law()}


def sound(path: Path) -> Sound:
    """What a WAV file is. Raises ValueError saying what is wrong with it and what to do; OSError."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise ValueError("is damaged or cut short: it holds nothing. Fetch or make it again")
        form, length, kind = file.read(4), file.read(4), file.read(4)
        if form not in _FORMS or kind != b"WAVE":
            raise ValueError(f"is no WAV file that can be read ({_instead(form + length + kind)}")
        return _found(_Chunks(file, size, _FORMS[form], struct.unpack(_FORMS[form] + "I", length)[0]))


def _instead(head: bytes) -> str:
    """What a file that begins so is instead of WAV, and what to do."""
    if head[4:8] == b"ftyp":
        return f"it is MPEG-4). {_ADVICE}"
    for beginning, (name, ending) in _ELSEWISE.items():
        if head.startswith(beginning):
            return f"it is {name}). {f'Rename it to end in {ending}' if ending else _ADVICE}"
    for beginning, name in _SILENT.items():
        if head.startswith(beginning):
            return f"it is {name}). Give a recording in its place"
    return f"it begins otherwise). If it is a recording, c{_ADVICE[1:]}"


class _Chunks:
    """The chunks of a file, up to that of the samples."""

    def __init__(self, file: BinaryIO, size: int, order: str, declared: int) -> None:
        self.order, self.size = order, size
        self.format = b""  # what is in the chunk of that name
        self.start = self.length = -1  # of the samples
        self.known = False  # whether the length is that of RF64, which is never a guess
        self.streamed = declared == 0 or declared in _UNKNOWN_LENGTHS
        sizes = b""  # of RF64
        for _ in range(_MOST_CHUNKS):
            head = file.read(8)
            if len(head) < 8:
                return
            name, length = head[:4], struct.unpack(order + "I", head[4:])[0]
            here = file.tell()
            if name == b"data":
                self.start = here
                self.length = struct.unpack("<8xQ", sizes)[0] if length == 0xFFFFFFFF and sizes else length
                self.known = bool(sizes)
                if self.format:
                    return
            elif name == b"fmt ":
                self.format = file.read(min(length, 64))
                if self.start >= 0:
                    return
            elif name == b"ds64" and length >= 16:
                sizes = file.read(16)
            file.seek(here + length)
            if length % 2 and not _padded(file):
                file.seek(here + length)


def _padded(file: BinaryIO) -> bool:
    """Whether a byte of padding follows, as it should after an odd length, rather than the next chunk. Skips it."""
    head = file.read(5)
    file.seek(file.tell() - max(len(head) - 1, 0))
    return not (head[:1] != b"\0" and head[:4].isascii() and head[:4] in (b"data", b"fmt ", b"LIST", b"fact", b"JUNK"))


def _found(chunks: _Chunks) -> Sound:
    """The description in the chunks. Raises ValueError."""
    if chunks.start < 0 or len(chunks.format) < 16:
        missing = "data" if chunks.start < 0 else "fmt"
        raise ValueError(f"is no WAV file that can be read (it has no chunk {missing!r}, or ends early). {_ADVICE}")
    code, channels, rate, _, block, bits = struct.unpack(chunks.order + "HHIIHH", chunks.format[:16])
    if code == _EXTENSIBLE and len(chunks.format) >= 40:
        inner, rest = chunks.format[24:40][:2], chunks.format[26:40]
        code = struct.unpack(chunks.order + "H", inner)[0] if rest == _SUBFORMAT else code
    width = (bits + 7) // 8
    known = {_PCM: 1 <= width <= 4, _FLOAT: bits in (32, 64), _A_LAW: bits == 8, _MU_LAW: bits == 8}
    if not known.get(code, False):
        if code == _PCM:
            raise ValueError(f"has samples of {bits} bits, expected 8, 16, 24 or 32. {_ADVICE}")
        what = f" ({_CODES[code]})" if code in _CODES else ""
        raise ValueError(f"is no WAV file that can be read (unknown format: {code}{what} of {bits} bits). {_ADVICE}")
    there = chunks.size - chunks.start
    length = there if _is_unknown(chunks, there) else chunks.length
    frame = channels * width
    count = length // frame if frame else 0
    if not 0 < channels <= _MAX_CHANNELS or (block and block != frame):
        raise ValueError(
            f"has samples of {channels:,} channels in {block} bytes, expected 1 to {_MAX_CHANNELS} channels, here of "
            f"{8 * width} bits each. {_ADVICE}"
        )
    if not count:
        raise ValueError(f"has 0 samples, expected 1 or more. {EMPTY}")
    if not rate:
        raise ValueError("has 0 samples a second, expected 1 or more. Make it again")
    if length > there:
        raise ValueError(
            f"is cut short: it declares {count:,} samples and holds {max(there, 0) // frame:,}. Fetch or make it again"
        )
    return Sound(rate, count, channels, width, code, chunks.order, chunks.start)


def _is_unknown(chunks: _Chunks, there: int) -> bool:
    """Whether the length of the samples was unknown to the writer."""
    if chunks.known:
        return False
    return (chunks.length in _UNKNOWN_LENGTHS and chunks.length > there) or (not chunks.length and chunks.streamed)
