"""Vowels: synthetic voices have the pitch and the resonances that they should, and a network learns them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.errors import DataError
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.datasets.vowels import _FORMANTS

RATE = 8000


def made(split: str = "train", **fields: Any) -> Images:
    return registry.make("datasets", "vowels", **fields).load(split)


def test_each_vowel_is_loudest_near_its_first_resonance() -> None:
    images = made(samples=200, noise=0.0)
    spectra = np.abs(np.fft.rfft(images.pixels[:, 0, :, 0])) ** 2
    hertz = np.fft.rfftfreq(4000, 1 / RATE)
    center = (spectra * hertz).sum(axis=1) / spectra.sum(axis=1)
    means = [float(np.median(center[images.targets == label])) for label in range(10)]
    first = [formants[0] for formants in _FORMANTS.values()]
    assert np.corrcoef(means, first)[0, 1] > 0.8
    upper = spectra[:, (hertz > 1700) & (hertz < 3200)].sum(axis=1) / spectra.sum(axis=1)
    front = [float(np.median(upper[images.targets == images.classes.index(word)])) for word in ("heed", "hid", "head")]
    back = [float(np.median(upper[images.targets == images.classes.index(word)])) for word in ("whod", "hawed", "hod")]
    assert min(front) > 3 * max(back)


def test_samples_are_sounds_or_spectrograms_that_repeat() -> None:
    one, again = made(samples=10), made(samples=10)
    assert one.pixels.tobytes() == again.pixels.tobytes() != made(samples=10, seed=1).pixels.tobytes()
    assert one.shape == (1, 4000, 1)
    assert 0.1 < abs(one.pixels).max() <= 1
    assert one.targets.tolist() == [*range(10)]
    assert made("test", samples=50, features="log_mel", bands=20).shape == (20, 48, 1)
    with pytest.raises(DataError, match="has the splits train and test, not 'val'"):
        made("val")
