"""Sixty kinds of sound file, by hand and from sox and FFmpeg: read to the right samples, or refused with what to do."""

from __future__ import annotations

import shutil
import struct
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError
from cnntrain.reading.sounds import OTHERS, recording
from tests.parts.datasets.test_audio_folder import riff

RATE = 16_000
T = np.arange(RATE // 2) / RATE
SOUND = 0.5 * np.sin(2 * np.pi * 440 * T) * np.hanning(len(T))

# What sox and FFmpeg write, by the arguments between input and output: the ending, and how far it may be from SOUND;
# None where it must be refused. Coarse ones quantize to 8 bits, or leave out what is not heard.
SOX = {
    "wav 8 bits": ("-b 8 -e unsigned-integer", "wav", 2 / 128),
    "wav 16 bits": ("-b 16", "wav", 1e-4),
    "wav 24 bits": ("-b 24", "wav", 1e-4),
    "wav 32 bits": ("-b 32 -e signed-integer", "wav", 1e-4),
    "wav float": ("-b 32 -e floating-point", "wav", 1e-4),
    "wav double": ("-b 64 -e floating-point", "wav", 1e-4),
    "wav A-law": ("-e a-law", "wav", 0.02),
    "wav mu-law": ("-e mu-law", "wav", 0.02),
    "wav two channels": ("-c 2", "wav", 1e-4),
    "wav six channels": ("-c 6", "wav", 1e-4),
    "wavpcm": ("-t wavpcm -b 24", "wav", 1e-4),
    "wav big-endian": ("-B -b 16", "wav", 1e-4),
    "wav ADPCM of Microsoft": ("-e ms-adpcm", "wav", None),
    "wav ADPCM of IMA": ("-e ima-adpcm", "wav", None),
    "wav GSM": ("-e gsm-full-rate -r 8000", "wav", None),
    "flac": ("", "flac", 1e-4),
    "flac 24 bits, two channels": ("-b 24 -c 2", "flac", 1e-4),
    "vorbis": ("-C 8", "ogg", 0.02),
    "mp3": ("-C 192", "mp3", 0.03),
    "aiff": ("", "aiff", 1e-4),
    "aiff 8 bits": ("-b 8", "aif", 2 / 128),
    "au": ("", "au", None),
    "caf": ("", "caf", None),
    "w64": ("", "w64", None),
    "voc": ("", "voc", None),
    "raw": ("", "raw", None),
    "AIFF named .wav": ("-t aiff", "wav", None),
    "FLAC named .wav": ("-t flac", "wav", None),
}
FFMPEG = {
    "pcm_u8": ("-c:a pcm_u8", "wav", 2 / 128),
    "pcm_s16le": ("-c:a pcm_s16le", "wav", 1e-4),
    "pcm_s24le": ("-c:a pcm_s24le", "wav", 1e-4),
    "pcm_s32le": ("-c:a pcm_s32le", "wav", 1e-4),
    "pcm_f32le": ("-c:a pcm_f32le", "wav", 1e-4),
    "pcm_f64le": ("-c:a pcm_f64le", "wav", 1e-4),
    "pcm_alaw": ("-c:a pcm_alaw", "wav", 0.02),
    "pcm_mulaw": ("-c:a pcm_mulaw", "wav", 0.02),
    "pcm_s64le": ("-c:a pcm_s64le", "wav", None),
    "RF64": ("-rf64 always", "wav", 1e-4),
    "a broadcast wave": ("-write_bext 1 -metadata description=x", "wav", 1e-4),
    "with metadata": ("-metadata title=odd -metadata artist=x", "wav", 1e-4),
    "with peaks": ("-write_peak on", "wav", 1e-4),
    "5.1 channels": ("-af pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0", "wav", 1e-4),
    "adpcm_ms": ("-c:a adpcm_ms", "wav", None),
    "adpcm_ima_wav": ("-c:a adpcm_ima_wav", "wav", None),
    "mp3 in wav": ("-c:a libmp3lame -f wav", "wav", None),
    "flac": ("", "flac", 1e-4),
    "ogg flac": ("-c:a flac", "oga", None),  # which libsndfile refuses from FFmpeg
    "vorbis": ("-c:a libvorbis -q:a 8", "ogg", 0.02),
    "opus": ("-c:a libopus -b:a 128k", "opus", 0.05),
    "mp3": ("-c:a libmp3lame -b:a 192k", "mp3", 0.03),
    "mp3 without ID3": ("-c:a libmp3lame -b:a 128k -id3v2_version 0 -write_xing 0", "mp3", 0.03),
    "aiff": ("", "aiff", 1e-4),
    "aac": ("-c:a aac", "m4a", None),
    "alac": ("-c:a alac", "m4a", None),
    "adts": ("-c:a aac", "aac", None),
    "ac3": ("", "ac3", None),
    "wavpack": ("", "wv", None),
    "true audio": ("", "tta", None),
    "windows media": ("", "wma", None),
    "matroska": ("-c:a libvorbis", "mka", None),
    "mp3 named .wav": ("-c:a libmp3lame -f mp3", "wav", None),
    "ogg named .wav": ("-c:a libvorbis -f ogg", "wav", None),
}
HEADS = {  # what else may be called .wav: its first bytes, and what is said of it
    "FLAC": (b"fLaC", r"it is FLAC\)\. Rename it to end in \.flac"),
    "Ogg": (b"OggS\0\2", r"it is Ogg\)\. Rename it to end in \.ogg"),
    "MP3 with a tag": (b"ID3\3", r"it is MP3\)\. Rename it to end in \.mp3"),
    "MP3": (b"\xff\xfb\x90d", r"it is MP3\)\. Rename it to end in \.mp3"),
    "AIFF": (b"FORM\0\0\0\0AIFF", r"it is AIFF\)\. Rename it to end in \.aiff"),
    "AU": (b".snd\0\0\0\x18", r"it is AU of Sun\)\. Convert it"),
    "CAF": (b"caff\0\1\0\0", r"it is CAF of Apple\)\. Convert it"),
    "Wave64": (b"riff\x2e\x91\xcf\x11", r"it is Wave64 of Sony\)\. Convert it"),
    "AMR": (b"#!AMR\n", r"it is AMR\)\. Convert it"),
    "WavPack": (b"wvpk", r"it is WavPack\)\. Convert it"),
    "MPEG-4": (b"\0\0\0\x1cftypM4A ", r"it is MPEG-4\)\. Convert it"),
    "WMA": (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", r"it is Windows Media\)\. Convert it"),
    "WebM": (b"\x1aE\xdf\xa3", r"it is Matroska or WebM\)\. Convert it"),
    "VOC": (b"Creative Voice File", r"it is VOC of Creative\)\. Convert it"),
    "MIDI": (b"MThd\0\0\0\6", r"it is MIDI, which holds notes and no sound\)\. Give a recording in its place"),
    "JPEG": (b"\xff\xd8\xff\xe0\0\x10JFIF", r"it is a JPEG picture\)\. Give a recording in its place"),
    "PNG": (b"\x89PNG\r\n\x1a\n", r"it is a PNG picture\)\. Give a recording in its place"),
    "a page": (b"<!doctype html>", r"it begins otherwise\)\. If it is a recording, convert it"),
}
CODES = {2: "ADPCM of Microsoft", 17: "ADPCM of IMA", 80: "MPEG", 85: "MP3", 255: "AAC", 49: "", 353: ""}


def source(folder: Path) -> Path:
    """SOUND as plain a file as can be."""
    path = folder / "source.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.round(SOUND * 32767).astype("<i2").tobytes())
    return path


def judge(path: Path, error: float | None) -> None:
    """Whether a file is SOUND up to an error, or refused by name."""
    if error is None:
        with pytest.raises(DataError, match=r"^\S+ (is|has) .*(Convert it|Rename it to end in \.\w+)"):
            recording(path)
        return
    found = recording(path)
    late = 0
    if path.suffix == ".mp3":  # not every encoder writes down how much later its sound begins
        whole = found.heard(RATE, 0, len(SOUND) + 3000)
        late = int(np.correlate(whole, SOUND, "valid").argmax())
    heard = found.heard(RATE, late, len(SOUND))
    assert abs(heard - SOUND).max() <= error


def test_this_table_has_sixty_kinds() -> None:
    assert len(SOX) + len(FFMPEG) >= 60


def made(tool: str, folder: Path, arguments: list[str], path: Path, error: float | None) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    if path.suffix in OTHERS:
        pytest.importorskip("soundfile", reason="comes with the extra `audio`")
    command = [tool, *(["-y", "-i"] if tool == "ffmpeg" else []), str(source(folder)), *arguments, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if ended.returncode:
        pytest.skip(f"this {tool} cannot write it: {ended.stderr.strip()[-200:]}")
    judge(path, error)


@pytest.mark.parametrize("kind", SOX)
def test_of_sox(tmp_path: Path, kind: str) -> None:
    arguments, ending, error = SOX[kind]
    made("sox", tmp_path, arguments.split(), tmp_path / f"a.{ending}", error)


@pytest.mark.parametrize("kind", FFMPEG)
def test_of_ffmpeg(tmp_path: Path, kind: str) -> None:
    arguments, ending, error = FFMPEG[kind]
    made("ffmpeg", tmp_path, arguments.split(), tmp_path / f"a.{ending}", error)


@pytest.mark.parametrize("tool", ["sox", "ffmpeg"])
def test_what_is_written_into_a_pipe(tmp_path: Path, tool: str) -> None:
    """Its length is not known when its header is written."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    given = str(source(tmp_path))
    into = {"sox": [given, "-t", "wav", "-"], "ffmpeg": ["-i", given, "-f", "wav", "-"]}[tool]
    ended = subprocess.run([tool, *into], capture_output=True, check=True, timeout=60)
    (tmp_path / "piped.wav").write_bytes(ended.stdout)
    judge(tmp_path / "piped.wav", 1e-4)


@pytest.mark.parametrize("kind", HEADS)
def test_other_files_named_wav_are_called_what_they_are(tmp_path: Path, kind: str) -> None:
    head, said = HEADS[kind]
    (tmp_path / "a.wav").write_bytes(head + bytes(100))
    with pytest.raises(DataError, match=rf"^\S+a\.wav is no WAV file that can be read \({said}"):
        recording(tmp_path / "a.wav")


@pytest.mark.parametrize("code", CODES)
def test_codes_that_are_not_read_are_named(tmp_path: Path, code: int) -> None:
    (tmp_path / "a.wav").write_bytes(riff(bytes(80), code=code, bits=4))
    name = f" ({CODES[code]})" if CODES[code] else ""
    with pytest.raises(DataError, match="is no WAV file that can be read") as caught:
        recording(tmp_path / "a.wav")
    assert f"(unknown format: {code}{name} of 4 bits). Convert it to PCM" in str(caught.value)


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8, 16])
@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 192_000])
def test_any_channels_at_any_rate(tmp_path: Path, rate: int, channels: int) -> None:
    """The mean of the channels, whose sum is the same tone whatever their number."""
    tone: Array = np.sin(2 * np.pi * 440 * np.arange(rate // 4) / rate)
    data = np.round(np.outer(tone, np.arange(1, channels + 1) / (channels + 1)) * 32767).astype("<i2").tobytes()
    (tmp_path / "a.wav").write_bytes(riff(data, channels=channels, rate=rate))
    found = recording(tmp_path / "a.wav")
    assert (found.rate, found.samples) == (rate, rate // 4)
    np.testing.assert_allclose(found.heard(rate, 0, rate // 4), tone / 2, atol=1e-4)


def test_a_length_that_is_a_lie_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(riff(bytes(80), length=struct.unpack("<I", b"\0\0\0\x10")[0]))
    with pytest.raises(DataError, match=r"cut short: it declares .* and holds 40\. Fetch or make it again"):
        recording(tmp_path / "a.wav")
