"""Transforms of sounds and spectrograms: what each one promises beside the contract."""

from __future__ import annotations

import re
import shutil
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.checks.contracts.transform import draws
from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError

RATE = 8000


def make(name: str, **fields: Any) -> Any:
    return registry.make("transforms", name, **fields)


def tones(hertz: float = 440.0, n: int = 30, samples: int = RATE) -> Array:
    t = np.arange(samples) / RATE
    return np.repeat(0.5 * np.sin(2 * np.pi * hertz * t)[None, None, :, None], n, 0)


def test_a_tone_lands_in_its_row_and_its_power_in_decibels() -> None:
    spectrogram = make("power_spectrogram", sample_rate=RATE, window=0.032, hop=0.016)
    found = spectrogram.apply(tones(1000, 1), draws([0]))[0, :, 5, 0]
    assert found.argmax() == 1000 / RATE * 256
    assert found.max() == pytest.approx(20 * np.log10(0.5 * 256 / 4), abs=1e-6)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"bands": 200}, "some of 200 would hold no frequency"),
        ({"low": 9000.0}, "low and high must rise"),
        ({"high": 9000.0}, "must rise and be at most 8000 Hz"),
        ({"window": 0.00001}, "window and hop must be longer than a sample"),
        ({"fft": 100}, "fft must hold a window of 400 samples, got 100"),
    ],
)
def test_settings_that_cannot_be(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        make("log_mel", **fields)


@pytest.mark.parametrize("name", ["log_mel", "mfcc", "power_spectrogram"])
@pytest.mark.parametrize(("fft", "samples"), [(256, 400), (257, 400), (257, 399), (257, 401), (301, 480)])
def test_the_frames_of_any_transform_and_length_are_as_many_as_promised(name: str, fft: int, samples: int) -> None:
    transform = make(name, sample_rate=RATE, window=0.03, hop=0.01, fft=fft)
    shape = transform.output_shape((1, samples, 1))
    assert shape[1] == 1 + (samples - fft % 2) // 80  # as torch.stft counts
    found = transform.apply(tones(1000, 2, samples), draws([0, 1]))
    assert found.shape == (2, *shape)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", ["log_mel", "mfcc", "power_spectrogram", "speed"])
def test_a_picture_is_no_sound(name: str) -> None:
    with pytest.raises(ValueError, match=r"needs sounds of shape \(1, samples, channels\), got \(8, 8, 3\)"):
        make(name).output_shape((8, 8, 3))


def test_spec_augment_hides_no_more_than_it_says_and_sometimes_as_much() -> None:
    images = np.ones((500, 20, 50, 1), np.float32)
    one = make("spec_augment", frequency_masks=1, frequency_width=4, time_masks=0).apply(
        images.copy(), draws(range(500))
    )
    rows = (one[:, :, 0, 0] == 0).sum(axis=1)
    assert {*rows.tolist()} == {0, 1, 2, 3, 4}
    share = make("spec_augment", frequency_masks=0, time_masks=1, time_width=30, time_share=0.1)
    columns = (share.apply(images.copy(), draws(range(500)))[:, 0, :, 0] == 0).sum(axis=1)
    assert {*columns.tolist()} == {0, 1, 2, 3, 4, 5}
    hidden = [np.flatnonzero(row == 0) for row in one[:, :, 0, 0]]
    assert all((np.diff(places) == 1).all() for places in hidden)
    assert {*np.concatenate(hidden).tolist()} == {*range(20)}


def test_time_shift_moves_both_ways_and_leaves_silence() -> None:
    images = np.arange(1, 11, dtype=np.float32).reshape(1, 1, 10, 1).repeat(200, 0)
    moved = make("time_shift", share=0.3).apply(images, draws(range(200)))[:, 0, :, 0]
    expected = {
        tuple(np.concatenate([np.zeros(max(step, 0)), np.arange(1, 11), np.zeros(max(-step, 0))])[max(-step, 0) :][:10])
        for step in range(-3, 4)
    }
    assert {tuple(row) for row in moved.tolist()} == expected
    wrapped = make("time_shift", share=0.3, wrap=True).apply(images, draws(range(200)))
    assert (np.sort(wrapped, axis=2) == images).all()


def test_gain_is_in_decibels() -> None:
    louder = make("gain", decibels=(-6.0, 6.0)).apply(tones(), draws(range(30)))
    change = 20 * np.log10(np.abs(louder).max(axis=(1, 2, 3)) / 0.5)
    assert -6 <= change.min() < -4
    assert 4 < change.max() <= 6


def test_speed_changes_the_pitch_and_not_the_length() -> None:
    played = make("speed", factors=(0.8, 1.25)).apply(tones(400), draws(range(30)))
    assert played.shape == tones().shape
    peaks = np.abs(np.fft.rfft(played[:, 0, 2500:5500, 0] * np.hanning(3000), RATE)).argmax(axis=1)
    assert {*peaks.tolist()} == {320, 500}
    assert abs(played[peaks == 500, 0, :700]).max() == 0  # 6400 samples in the middle of 8000


def test_speed_needs_a_factor() -> None:
    with pytest.raises(ValueError, match="factors must have an entry"):
        make("speed", factors=())


def test_speed_of_one_is_the_sound_itself() -> None:
    np.testing.assert_array_equal(make("speed", factors=(1.0,)).apply(tones(), draws(range(30))), tones())


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    for index, hertz in enumerate((1500, 2500)):
        sound = 0.1 * np.sin(2 * np.pi * hertz * np.arange(6000) / (2 * RATE))
        with wave.open(str(tmp_path / f"{index}.wav"), "wb") as file:
            file.setparams((1, 2, 2 * RATE, 0, "NONE", ""))
            file.writeframes(np.round(sound * 32767).astype("<i2").tobytes())
    return tmp_path


def test_noise_is_as_loud_as_the_ratio_says_of_any_recording_and_chance(noise: Path) -> None:
    part = make("noise_from", folder=str(noise), sample_rate=RATE, snr=(6.0, 12.0), probability=1.0)
    added = part.apply(tones(), draws(range(30))) - tones()
    ratio = 10 * np.log10(np.square(tones()).mean(axis=(1, 2, 3)) / np.square(added).mean(axis=(1, 2, 3)))
    assert 6 - 0.01 <= ratio.min() < 7.5
    assert 10.5 < ratio.max() <= 12 + 0.01
    peaks = np.abs(np.fft.rfft(added[:, 0, :1000, 0], RATE)).argmax(axis=1)
    assert all(min(abs(peak - 1500), abs(peak - 2500)) < 25 for peak in peaks)
    assert {*(peaks > 2000).tolist()} == {False, True}
    again = part.apply(tones()[[7, 3]], draws([7, 3])) - tones()[[7, 3]]
    np.testing.assert_array_equal(again, added[[7, 3]])
    half = make("noise_from", folder=str(noise), sample_rate=RATE)
    changed = (half.apply(tones(n=200), draws(range(200))) != tones(n=200)).any(axis=(1, 2, 3))
    assert 60 < changed.sum() < 140


def test_each_training_reads_the_recordings_that_are_there_then(
    noise: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one process, and whatever its working directory is."""

    def heard() -> set[bool]:
        part = make("noise_from", folder=noise.name, sample_rate=RATE, probability=1.0).fit([])
        added = part.apply(tones(), draws(range(30))) - tones()
        return {*(np.abs(np.fft.rfft(added[:, 0, :1000, 0], RATE)).argmax(axis=1) > 2000).tolist()}

    monkeypatch.chdir(noise.parent)
    assert heard() == {False, True}
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(noise, elsewhere / noise.name)
    (noise / "0.wav").unlink()
    assert heard() == {True}
    monkeypatch.chdir(elsewhere)
    assert heard() == {False, True}


def test_silence_stays_silent(noise: Path) -> None:
    part = make("noise_from", folder=str(noise), sample_rate=RATE, probability=1.0)
    assert not part.apply(np.zeros((3, 1, 500, 1)), draws(range(3))).any()


def test_a_folder_without_noise_is_named_before_training(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no recordings, expected files named"):
        make("noise_from", folder=str(tmp_path / "empty")).fit([])
    with pytest.raises(DataError, match="does not exist, expected a folder"):
        make("noise_from", folder=str(tmp_path / "none")).fit([])


def padded(length: int, whole: int) -> Array:
    """A recording of samples 1, 2, ... with silence on both sides."""
    sound = np.zeros((1, 1, whole, 1), np.float32)
    before = (whole - length) // 2
    sound[0, 0, before : before + length, 0] = 1 + np.arange(length)
    return sound


def test_stretches_are_spread_over_the_recording_and_not_over_the_silence_around_it() -> None:
    views = make("sound_views", seconds=0.1, sample_rate=1000, windows=3)
    found = views.apply(padded(300, 1000), draws([0]))[:, 0, :, 0]
    assert found[:, 0].tolist() == [1, 101, 201]
    assert found[:, -1].tolist() == [100, 200, 300]
    short = views.apply(padded(40, 1000), draws([0]))[:, 0, :, 0]
    np.testing.assert_array_equal(short, [padded(40, 100)[0, 0, :, 0]] * 3)
    assert not views.apply(np.zeros((2, 1, 1000, 1), np.float32), draws([0, 1])).any()
    crop = make("sound_crop", seconds=0.1, sample_rate=1000)
    starts = crop.apply(padded(103, 1000).repeat(200, 0), draws(range(200)))[:, 0, 0, 0]
    assert {*starts.tolist()} == {1, 2, 3, 4}
    middle = make("sound_crop", seconds=0.1, sample_rate=1000, place="middle")
    assert middle.apply(padded(300, 1000), draws([0]))[0, 0, 0, 0] == 101
    with pytest.raises(ValueError, match=r"cannot cut 2 s, 2000 samples, out of 1000: set the source's duration"):
        make("sound_crop", seconds=2.0, sample_rate=1000).output_shape((1, 1000, 1))
