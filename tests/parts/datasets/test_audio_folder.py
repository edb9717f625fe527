"""Sounds: tones land in their band, loudness is in decibels, samples of every width mean the same, damage is named."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.cli import main
from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.parts.datasets.audio_folder import has_empty_band, mel_filters, read_wave
from tests.support.datasets import refusal

RATE = 8000


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


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"", "damaged or cut short"),
        (lambda data: b"<html>not a sound</html>", "is no WAV file that can be read"),
        (lambda data: data[:-100], "is cut short: it declares 4,000 samples"),
        (lambda data: data[:20] + b"\x03\x00" + data[22:], "unknown format"),
        (lambda data: data[:22] + b"\xff\xff" + data[24:], "expected 1 or more, of at most 16 channels"),
        (lambda data: data[:24] + b"\x44\xac\x00\x00" + data[28:], "has 44,100 samples a second, expected 8,000"),
        (lambda data: data[:40] + bytes(4), "has 0 samples of 1 channels"),
    ],
)
def test_damage_is_named(root: Path, damage: Any, said: str) -> None:
    path = root / "train/low/1.wav"
    path.write_bytes(damage(path.read_bytes()))
    message = refusal("audio_folder", root=str(root), sample_rate=RATE, duration=0.5)
    assert message.startswith(f"1 of 4 sounds unreadable, first: {path}")
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
