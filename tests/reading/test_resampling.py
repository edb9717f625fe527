"""Resampling: test tones come out as the tones they are, and what the new rate cannot hold does not come out."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core.arrays import Array
from cnntrain.reading import resampling
from cnntrain.reading.resampling import CROSSINGS, Resampling, resampled

PAIRS = [(44100, 16000), (48000, 16000), (8000, 16000), (16000, 8000), (22050, 16000), (16000, 44100), (11025, 8000)]


def at(sound: Array, old: int, new: int, first: int = 0, count: int | None = None) -> Array:
    """A sound at another rate."""
    rates = Resampling.between(old, new)
    length = rates.length(len(sound)) if count is None else count
    return resampled(lambda start, size: sound[start : start + size], len(sound), rates, first, length)


def tone(hertz: float, rate: int, seconds: float = 1.0) -> Array:
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate + 0.3)


def inner(sound: Array, old: int, new: int) -> Array:
    """Without the ends, where the silence beyond the sound has a part."""
    margin = CROSSINGS * max(1, -(-new // old)) + 1
    return sound[margin:-margin]


@pytest.mark.parametrize(("old", "new"), PAIRS)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.8, 0.9])
def test_a_tone_up_to_nine_tenths_of_the_band_is_right_to_two_in_a_hundred_thousand(
    old: int, new: int, share: float
) -> None:
    hertz = share * min(old, new) / 2
    found = at(tone(hertz, old), old, new)
    assert len(found) == new
    assert abs(inner(found - tone(hertz, new), old, new)).max() < 2e-5


@pytest.mark.parametrize(("old", "new"), [pair for pair in PAIRS if pair[0] > pair[1]])
@pytest.mark.parametrize("share", [1.0, 1.05, 1.2, 1.35])
def test_a_tone_beyond_the_band_is_a_hundred_decibels_down(old: int, new: int, share: float) -> None:
    found = at(tone(share * new / 2, old), old, new)
    assert abs(inner(found, old, new)).max() < 1.05e-5


@pytest.mark.parametrize(("old", "new"), [*PAIRS, (16000, 16000), (999, 1000), (100, 384_000), (384_000, 1000)])
def test_a_stretch_is_that_of_the_whole(old: int, new: int) -> None:
    sound = np.random.default_rng(0).normal(size=round(old * 0.2))
    whole = at(sound, old, new)
    length = len(whole)
    for first, count in ((0, length), (length // 3, length // 4), (-7, 20), (length - 5, 30), (length + 99, 4)):
        expected = np.zeros(count)
        inside = (first + np.arange(count) >= 0) & (first + np.arange(count) < length)
        expected[inside] = whole[(first + np.arange(count))[inside]]
        found = at(sound, old, new, first, count)
        np.testing.assert_allclose(found[inside], expected[inside], atol=1e-12)


def test_against_scipy() -> None:
    """The same design by another program: its polyphase filter with our low-pass."""
    signal = pytest.importorskip("scipy.signal")
    sound = np.random.default_rng(1).normal(size=3000)
    for old, new in ((3, 2), (2, 3), (441, 160)):
        one = Resampling.between(old, new)
        places = np.arange(-one.reach * one.up, one.reach * one.up + 1)
        window = np.i0(10.06126 * np.sqrt(1 - (places / (one.reach * one.up)) ** 2))
        taps = np.sinc(places / one.up * min(1, new / old) * 0.95) * window
        expected = signal.resample_poly(sound, one.up, one.down, window=taps / taps.sum())
        found = at(sound, old, new)
        margin = 400
        np.testing.assert_allclose(found[margin:-margin], expected[: len(found)][margin:-margin], atol=1e-4)


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_against_soxr(old: int, new: int) -> None:
    """Up to eight tenths of the band, where soxr itself is up to 3e-4 off the tone if rates are no multiples."""
    soxr = pytest.importorskip("soxr")
    for share in (0.01, 0.3, 0.8):
        sound = tone(share * min(old, new) / 2, old)
        expected = soxr.resample(sound, old, new, quality="VHQ")
        apart = (at(sound, old, new)[: len(expected)] - expected[:new])[2000:-2000]
        assert abs(apart).max() < (4e-4 if max(old, new) % min(old, new) else 2e-5)


def test_silence_with_an_offset_stays_what_it_is() -> None:
    found = inner(at(np.full(2000, 0.25), 44100, 16000), 44100, 16000)
    np.testing.assert_allclose(found, 0.25, rtol=1e-14)


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_how_many_weights_are_held_at_a_time_does_not_matter(
    old: int, new: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = np.random.default_rng(0).normal(size=old // 50)
    whole = at(sound, old, new, 3)
    monkeypatch.setattr(resampling, "_TABLE", 3 * 2 * Resampling.between(old, new).reach)
    assert np.array_equal(at(sound, old, new, 3), whole)
