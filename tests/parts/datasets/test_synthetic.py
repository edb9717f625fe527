"""Synthetic images: the same for the same settings, and learnable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.arrays import Array
from tests.support.datasets import refusal

PATTERNS = ("gratings", "blobs", "shapes")


def make(**fields: Any) -> Any:
    return registry.make("datasets", "synthetic", **fields)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_same_settings_same_bytes(pattern: str) -> None:
    first, second = make(pattern=pattern, samples=30).load("train"), make(pattern=pattern, samples=30).load("train")
    assert first.pixels.tobytes() == second.pixels.tobytes()
    other = make(pattern=pattern, samples=30, seed=1).load("train")
    assert first.pixels.tobytes() != other.pixels.tobytes()
    test = make(pattern=pattern, samples=150).load("test")
    assert len(test) == 30
    assert first.pixels.tobytes() != test.pixels.tobytes()


def features(images: Array, pattern: str) -> Array:
    """What a first layer could see: the pixels, or for waves and shapes the strength of every frequency."""
    floats = images[..., 0] / 255
    if pattern != "blobs":
        floats = np.abs(np.fft.fft2(floats - floats.mean(axis=(1, 2), keepdims=True)))
    return floats.reshape(len(images), -1)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_nearest_class_mean_is_mostly_right(pattern: str) -> None:
    source = make(pattern=pattern, samples=400)
    train, test = source.load("train"), source.load("test")
    x, wanted = features(train.pixels, pattern), features(test.pixels, pattern)
    means = np.stack([x[train.targets == label].mean(axis=0) for label in range(4)])
    distances = ((wanted[:, None] - means) ** 2).sum(axis=2)
    assert (distances.argmin(axis=1) == test.targets).mean() > (0.9 if pattern != "shapes" else 0.5)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_noise_is_what_is_asked_for(pattern: str) -> None:
    clean, noisy = (make(pattern=pattern, samples=200, noise=noise).load("train").pixels / 255 for noise in (0.0, 0.1))
    middle = (clean > 0.4) & (clean < 0.6)
    if pattern != "shapes":
        assert (noisy - clean)[middle].std() == pytest.approx(0.1, rel=0.1)
    assert not np.array_equal(noisy, clean)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="there are 6 shapes, got 7 classes"):
        make(pattern="shapes", classes=7)
    with pytest.raises(ValueError, match="classes must be"):
        make(classes=1)
    assert "splits train and test, not 'val'" in refusal("synthetic", "val")
