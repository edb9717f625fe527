"""Sounds of every form: at the rate that is asked for, by libsndfile where that is needed, or refused by name."""

from __future__ import annotations

import re
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError
from cnntrain.core.extras import install
from cnntrain.reading import sounds
from cnntrain.reading.sounds import recording

RATE = 24_000  # which Opus knows, too
T = np.arange(RATE) / RATE
SOUND = 0.5 * np.sin(2 * np.pi * 440 * T) * np.hanning(RATE)
FORMATS = {  # ending -> what soundfile calls it, and the largest error that its compression may make
    "flac": ({"format": "FLAC"}, 4e-5),
    "aiff": ({"format": "AIFF"}, 4e-5),
    "ogg": ({"format": "OGG", "subtype": "VORBIS"}, 0.03),
    "opus": ({"format": "OGG", "subtype": "OPUS"}, 0.05),
    "mp3": ({"format": "MP3"}, 0.05),
}


def written(path: Path, ending: str, sound: Array = SOUND) -> Path:
    soundfile = pytest.importorskip("soundfile")
    place = path / f"a.{ending}"
    soundfile.write(str(place), np.stack([sound * 1.5, sound * 0.5], 1), RATE, **FORMATS[ending][0])
    return place


@pytest.mark.parametrize("ending", FORMATS)
def test_what_libsndfile_reads_is_the_same_sound_whole_and_in_stretches(tmp_path: Path, ending: str) -> None:
    found = recording(written(tmp_path, ending))
    assert (found.rate, found.samples) == (RATE, len(SOUND))
    whole = found.heard(RATE, 0, len(SOUND))
    assert abs(whole - SOUND).max() < FORMATS[ending][1]
    np.testing.assert_array_equal(found.heard(RATE, 9000, 1000), whole[9000:10000])
    np.testing.assert_array_equal(found.middle(RATE, 2000), whole[11000:13000])


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("seed", range(8))
def test_damage_is_an_error_that_names_the_file_or_another_sound(tmp_path: Path, ending: str, seed: int) -> None:
    place = written(tmp_path, ending)
    data, rng = bytearray(place.read_bytes()), np.random.default_rng(seed)
    for at in rng.integers(0, min(len(data), 400), 6).tolist():
        data[at] = int(rng.integers(256))
    place.write_bytes(data[: int(rng.integers(1, len(data)))])
    try:
        found = recording(place).middle(8000, 8000)
    except DataError as error:
        assert str(place) in str(error)  # noqa: PT017  (either is right)
    else:
        assert found.shape == (8000,)
        assert abs(found).max() < 2


@pytest.mark.parametrize("data", [b"", b"ID3" + bytes(50), b"fLaC", b"OggS" + bytes(99), bytes(1000)])
@pytest.mark.parametrize("ending", FORMATS)
def test_what_is_no_sound_is_refused_by_name(tmp_path: Path, data: bytes, ending: str) -> None:
    pytest.importorskip("soundfile")
    place = tmp_path / f"a.{ending}"
    place.write_bytes(data)
    with pytest.raises(DataError, match=r"^.*a\.\w+ (is|has) .*(Convert it to WAV|Fetch or make it again)"):
        recording(place)


def test_without_soundfile_the_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    (tmp_path / "a.flac").write_bytes(b"fLaC")
    with pytest.raises(DataError, match=f"needs soundfile to be read. Run: {re.escape(install('audio'))}, or convert"):
        recording(tmp_path / "a.flac")


def wav(path: Path, sound: Array, rate: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.round(sound * 32767).astype(np.int16).tobytes())
    return path


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_any_rate_is_heard_at_the_one_asked_for(tmp_path: Path, rate: int) -> None:
    t = np.arange(rate) / rate
    place = wav(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 1000 * t), rate)
    found = recording(place)
    assert found.length(16_000) == 16_000
    heard = found.heard(16_000, 4000, 8000)
    expected = 0.5 * np.sin(2 * np.pi * 1000 * (4000 + np.arange(8000)) / 16_000)
    np.testing.assert_allclose(heard, expected, atol=2e-5 + 1 / 32767)


def test_more_than_memory_should_hold_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(sounds, "MOST_SAMPLES", 10_000)
    place = wav(tmp_path / "a.wav", np.zeros(20_000), 16_000)
    with pytest.raises(DataError, match=r"at most 10,000 are decoded at a time\. Cut it"):
        recording(place).heard(8000, 0, 10_000)
