"""Sounds: tones land in their band, loudness is in decibels, samples of every width mean the same, damage is named."""

from __future__ import annotations

import json
import struct
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.cli import main
from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError
from cnntrain.ops.spectra import has_empty_band, mel_filters
from cnntrain.reading import wav
from cnntrain.reading.sounds import recording
from cnntrain.results.export.network import Duties
from tests.support.datasets import refusal

RATE = 8000


def read_wave(path: Path, rate: int, length: int) -> Array:
    return recording(path).middle(rate, length)


def tone(hertz: float, seconds: float = 0.5, amplitude: float = 0.9) -> Array:
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def write(path: Path, sound: Array, width: int = 2, channels: int = 1, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.round(sound * (2 ** (8 * width - 1) - 1)).astype(np.int64) + (128 if width == 1 else 0)
    data = b"".join(int(v).to_bytes(width, "little", signed=width > 1) for v in values)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(data)
    return path


def test_what_an_export_says_of_sounds_gives_the_samples() -> None:
    fields = {"sample_rate": RATE, "duration": 0.5, "bands": 12, "window": 0.03, "hop": 0.0125}
    source: Any = registry.make("datasets", "audio_folder", root="x", **fields)
    assert source.prepared() == (
        "one channel, the mean of several; 8,000 Hz, in [-1, 1]; the middle 0.5 s, or silence around less; then 12 "
        "rows of 1 + decibels / 80, at least 0: periodic Hann windows of 240 samples every 100, the square of (2 |FFT "
        "of length 256| / the sum of the window), and triangles on the mel scale of HTK up to half the rate"
    )
    heard = tone(440) + 0.01 * np.random.default_rng(0).normal(size=RATE // 2)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(240) / 240)
    frames = np.stack([heard[start : start + 240] * window for start in range(0, len(heard) - 239, 100)])
    power = (2 * np.abs(np.fft.rfft(frames, 256)) / window.sum()) ** 2
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), 14) / 2595) - 1)
    bins = np.arange(129) * RATE / 256
    filters = np.array([np.interp(bins, edges[band : band + 3], (0, 1, 0)) for band in range(12)])
    expected = np.maximum(1 + 10 * np.log10(np.maximum(power @ filters.T, 1e-300)) / 80, 0).T
    np.testing.assert_allclose(source.shown(heard)[..., 0], expected, atol=1e-6)
    waveform: Any = registry.make("datasets", "audio_folder", root="x", features="waveform")
    assert "rows" not in waveform.prepared()
    assert Duties((), "softmax", sounds=source.prepared()).facts()["sounds"] == source.prepared()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, hertz in {"high": 2500, "low": 300}.items():
        for split in ("train", "test"):
            for index in range(2):
                write(tmp_path / split / name / f"{index}.wav", tone(hertz + 20 * index))
    return tmp_path


def make(root: Path, **fields: Any) -> Any:
    return registry.make(
        "datasets", "audio_folder", **({"root": str(root), "sample_rate": RATE, "duration": 0.5} | fields)
    )


def test_tones_land_in_the_band_of_their_frequency(root: Path) -> None:
    source = make(root, bands=24)
    assert source.splits() == ("train", "test")
    images = source.load("train")
    assert images.classes == ("high", "low")
    assert images.targets.tolist() == [0, 0, 1, 1]
    assert images.pixels.dtype == np.float32
    assert images.shape == (24, 1 + (4000 - 200) // 80, 1)
    mel = 2595 * np.log10(1 + np.array([2500, 2520, 300, 320]) / 700)
    expected = mel / (2595 * np.log10(1 + RATE / 2 / 700)) * 25 - 1
    loudest = images.pixels.mean(axis=(2, 3)).argmax(axis=1)
    assert (abs(loudest - expected) <= 0.6).all()


def test_loudness_is_in_decibels_below_full_scale(root: Path) -> None:
    for amplitude, expected in ((1.0, 1.0), (0.1, 0.75), (0.0, 0.0)):
        for path in make(root).files("train"):
            write(path, tone(1000, amplitude=amplitude))
        assert make(root).load("train").pixels.max() == pytest.approx(expected, abs=0.03)


def test_filters_against_the_definition() -> None:
    filters = mel_filters(5, 64, RATE)
    corner = [700 * (10 ** (i * np.log10(1 + 4000 / 700) / 6) - 1) for i in range(7)]
    for bin_, band in np.ndindex(filters.shape):
        f, (low, peak, high) = bin_ * RATE / 64, corner[band : band + 3]
        slope = (f - low) / (peak - low) if f < peak else (high - f) / (high - peak)
        assert filters[bin_, band] == pytest.approx(max(slope, 0), abs=1e-9)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_width_means_the_same(tmp_path: Path, width: int) -> None:
    sound = tone(440, 0.05)
    read = read_wave(write(tmp_path / "a.wav", sound, width), RATE, len(sound))
    np.testing.assert_allclose(read, sound, atol=1.6 / 2 ** (8 * width - 1))


def test_channels_are_averaged_long_sounds_cut_and_short_ones_padded(tmp_path: Path) -> None:
    both = write(tmp_path / "b.wav", np.array([0.5, 0.1, -0.5, -0.3, 0.25, 0.25]), channels=2)
    np.testing.assert_allclose(read_wave(both, RATE, 3), [0.3, -0.4, 0.25], atol=1e-4)
    np.testing.assert_allclose(read_wave(both, RATE, 1), [-0.4], atol=1e-4)
    np.testing.assert_allclose(read_wave(both, RATE, 6), [0, 0.3, -0.4, 0.25, 0, 0], atol=1e-4)


def riff(
    data: bytes,
    *,
    form: bytes = b"RIFF",
    code: int = 1,
    bits: int = 16,
    channels: int = 1,
    extensible: bool = False,
    before: bytes = b"",
    length: int | None = None,
    whole: int | None = None,
    rate: int = RATE,
) -> bytes:
    """A WAV file byte by byte; `length` and `whole` are what it says of its data and of itself, right by default."""
    order = ">" if form == b"RIFX" else "<"
    size = channels * bits // 8
    head = struct.pack(order + "HHIIHH", 0xFFFE if extensible else code, channels, rate, rate * size, size, bits)
    if extensible:
        head += struct.pack(order + "HHIH", 22, bits, 4, code) + bytes.fromhex("000000001000800000aa00389b71")
    chunk = b"fmt " + struct.pack(order + "I", len(head)) + head
    body = b"WAVE" + before + chunk + b"data" + struct.pack(order + "I", len(data) if length is None else length) + data
    return form + struct.pack(order + "I", len(body) if whole is None else whole) + body


def coded(sound: Array, kind: str) -> bytes:
    """A sound in [-1, 1) in the type of that name; "3" is 24 bits."""
    if kind[1] == "f":
        return sound.astype(kind).tobytes()
    if kind[1:] == "u1":
        return (np.round(sound * 127) + 128).astype(np.uint8).tobytes()
    width = int(kind[2:])
    values = np.round(sound * (2 ** (8 * width - 1) - 1)).astype(np.int64)
    order = "little" if kind[0] == "<" else "big"
    return b"".join(int(value).to_bytes(width, order, signed=True) for value in values)  # type: ignore[arg-type]


def companded(sound: Array, code: int) -> bytes:
    """A sound as the nearest bytes of A-law or mu-law: the slow and certain way."""
    table = np.array([wav._COMPANDED[code][byte] for byte in range(256)])
    return np.abs(sound[:, None] - table).argmin(axis=1).astype(np.uint8).tobytes()


SOUND = tone(440, 0.05)
DS64 = b"ds64" + struct.pack("<I3QI", 28, 0, 2 * len(SOUND), len(SOUND), 0)
FORMS = {
    "plain": riff(coded(SOUND, "<i2")),
    "8 bits": riff(coded(SOUND, "<u1"), bits=8),
    "24 bits": riff(coded(SOUND, "<i3"), bits=24),
    "32 bits": riff(coded(SOUND, "<i4"), bits=32),
    "floats": riff(coded(SOUND, "<f4"), code=3, bits=32),
    "doubles": riff(coded(SOUND, "<f8"), code=3, bits=64),
    "extensible 16": riff(coded(SOUND, "<i2"), extensible=True),
    "extensible 24": riff(coded(SOUND, "<i3"), bits=24, extensible=True),
    "extensible 32": riff(coded(SOUND, "<i4"), bits=32, extensible=True),
    "extensible floats": riff(coded(SOUND, "<f4"), code=3, bits=32, extensible=True),
    "big-endian": riff(coded(SOUND, ">i2"), form=b"RIFX"),
    "big-endian 24": riff(coded(SOUND, ">i3"), form=b"RIFX", bits=24),
    "big-endian floats": riff(coded(SOUND, ">f4"), form=b"RIFX", code=3, bits=32),
    "piped by ffmpeg": riff(coded(SOUND, "<i2"), length=0xFFFFFFFF, whole=0xFFFFFFFF),
    "piped by sox": riff(coded(SOUND, "<i2"), length=0x7FFFFFFF - 36, whole=0x7FFFFFFF),
    "piped, lengths of 0": riff(coded(SOUND, "<i2"), length=0, whole=0),
    "RF64": riff(coded(SOUND, "<i2"), form=b"RF64", before=DS64, length=0xFFFFFFFF, whole=0xFFFFFFFF),
    "BW64": riff(coded(SOUND, "<i2"), form=b"BW64", before=DS64, length=0xFFFFFFFF, whole=0xFFFFFFFF),
    "with a list": riff(coded(SOUND, "<i2"), before=b"LIST\4\0\0\0abcd"),
    "padded": riff(coded(SOUND, "<i2"), before=b"junk\3\0\0\0abc\0"),
    "not padded": riff(coded(SOUND, "<i2"), before=b"junk\3\0\0\0abc"),
    "something behind": riff(coded(SOUND, "<i2")) + b"LIST\4\0\0\0abcd",
    "A-law": riff(companded(SOUND, 6), code=6, bits=8),
    "mu-law": riff(companded(SOUND, 7), code=7, bits=8),
    "extensible mu-law": riff(companded(SOUND, 7), code=7, bits=8, extensible=True),
    "two channels": riff(coded(np.repeat(SOUND, 2), "<i2"), channels=2),
}


TOLERANCES = {"8 bits": 2 / 127, "A-law": 0.02, "mu-law": 0.02, "extensible mu-law": 0.02}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same_tone(tmp_path: Path, form: str) -> None:
    (tmp_path / "a.wav").write_bytes(FORMS[form])
    found = read_wave(tmp_path / "a.wav", RATE, len(SOUND))
    np.testing.assert_allclose(found, SOUND, atol=TOLERANCES.get(form, 2 / 32767))


def test_floats_that_are_a_little_too_loud_are_cut(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(riff(coded(2 * SOUND, "<f4"), code=3, bits=32))
    found = read_wave(tmp_path / "a.wav", RATE, len(SOUND))
    np.testing.assert_allclose(found, np.clip(2 * SOUND, -1, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is damaged or cut short: it holds nothing. Fetch"),
        (riff(b"\0" * 80, code=7, bits=16), "unknown format: 7 (mu-law) of 16 bits). Convert it to PCM"),
        (riff(b"\0" * 80, code=17, bits=4), "unknown format: 17 (ADPCM of IMA) of 4 bits). Convert it to PCM"),
        (riff(b"\0" * 80, code=85, bits=0), "unknown format: 85 (MP3) of 0 bits). Convert it"),
        (riff(b"\0" * 80, code=6, bits=12, extensible=True), "unknown format: 6 (A-law) of 12 bits). Convert it"),
        (riff(b"\0" * 80, bits=64), "has samples of 64 bits, expected 8, 16, 24 or 32"),
        (riff(b"\0" * 80, rate=0), "has 0 samples a second, expected 1 or more. Make it again"),
        (riff(b"\0" * 80, length=100), "is cut short: it declares 50 samples and holds 40. Fetch"),
        (riff(b"\0" * 80, form=b"RF64", before=DS64, length=0xFFFFFFFF), "is cut short: it declares 400 samples"),
        (riff(b"\0" * 80, length=0), "has 0 samples, expected 1 or more. Make it again"),
        (riff(b"", length=0xFFFFFFFF), "has 0 samples, expected 1 or more. Make it again"),
        (riff(b"\0" * 80, channels=0), "has samples of 0 channels in 0 bytes, expected 1 to 16 channels"),
        (riff(b"\0" * 80, channels=20), "has samples of 20 channels in 40 bytes, expected 1 to 16 channels"),
        (riff(coded(np.full(9, -29e3), "<f4"), code=3, bits=32), "holds floats such as 29,000, expected -1 to 1. Div"),
        (riff(coded(np.full(9, np.inf), "<f8"), code=3, bits=64), "holds NaN or an infinity"),
        (riff(coded(np.full(9, np.nan), "<f4"), code=3, bits=32), "holds NaN or an infinity"),
        (riff(b"\0" * 80)[:30], "it has no chunk 'data', or ends early). Convert"),
        (b"RIFF\0\0\0\0AVI " + bytes(50), "is no WAV file that can be read (it begins otherwise)"),
    ],
)
def test_what_is_wrong_has_a_reason(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_wave(tmp_path / "a.wav", RATE, 10)
    assert str(caught.value).startswith(f"{tmp_path / 'a.wav'} ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"", "damaged or cut short"),
        (lambda data: b"<html>not a sound</html>", "is no WAV file that can be read"),
        (lambda data: data[:-100], "is cut short: it declares 4,000 samples"),
        (lambda data: data[:20] + b"\x03\x00" + data[22:], "unknown format"),
        (
            lambda data: data[:22] + b"\xff\xff" + data[24:],
            "has samples of 65,535 channels in 2 bytes, expected 1 to 16 channels",
        ),
        (lambda data: data[:24] + b"\x05\x00\x00\x00" + data[28:], "has 5 samples a second, expected 100 to"),
        (lambda data: data[:24] + b"\xff" * 4 + data[28:], "has 4,294,967,295 samples a second, expected 100 to"),
        (lambda data: data[:40] + bytes(4), "has 0 samples, expected 1 or more. Make it again"),
    ],
)
def test_damage_is_named(root: Path, damage: Any, said: str) -> None:
    path = root / "train/low/1.wav"
    path.write_bytes(damage(path.read_bytes()))
    message = refusal("audio_folder", root=str(root), sample_rate=RATE, duration=0.5)
    assert message.startswith(f"1 of 4 sounds unreadable, first: {path} ")
    assert said in message


def test_a_network_learns_to_tell_rising_from_falling_sounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which a look at the mean spectrum could not: the two classes hold the same frequencies."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 20)):
        for index in range(count):
            low, high = rng.uniform(300, 600), rng.uniform(1500, 2500)
            hertz = np.linspace(low, high, RATE // 4)
            for name, sweep in (("rising", hertz), ("falling", hertz[::-1])):
                sound = 0.5 * np.sin(2 * np.pi * sweep.cumsum() / RATE) + rng.normal(0, 0.05, RATE // 4)
                write(tmp_path / "sounds" / split / name / f"{index}.wav", sound)
    config = tmp_path / "sounds.yaml"
    config.write_text(f"""
data:
  source: {{type: audio_folder, root: {tmp_path}/sounds, sample_rate: {RATE}, duration: 0.25, bands: 20}}
model:
  layers: [{{type: conv2d, filters: 8, kernel_size: 5}}, relu, flatten, {{type: dense, units: auto}}]
optimizer: {{type: sgd, lr: 0.02, momentum: 0.9}}
train: {{epochs: 5, batch_size: 16}}
""")
    assert main(["fit", str(config), "-o", str(tmp_path / "run"), "-q"]) == 0
    capsys.readouterr()
    assert main(["eval", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] >= 0.9


@pytest.mark.parametrize("rate", [4000, 16000, 44100])
@pytest.mark.parametrize("size", [64, 256, 1024])
def test_an_empty_band_is_known_without_making_the_filters(rate, size):
    for bands in (1, 2, 5, 20, 40, 80, 128):
        assert has_empty_band(bands, size, rate) != mel_filters(bands, size, rate).any(axis=0).all(), bands
