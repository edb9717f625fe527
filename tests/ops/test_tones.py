"""Tones equal Pillow's: to the bit where Pillow works in whole bytes by a table, else to the rounding of a byte."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from cnntrain.core.arrays import Array
from cnntrain.ops import tones

BYTE = 1 / 255


def pictures(n: int = 8, channels: int = 3) -> Array:
    """Bytes of varied contrast, among them a flat picture and one of two values."""
    rng = np.random.default_rng(4)
    spread = rng.integers(10, 120, (n, 1, 1, channels))
    values = 128 + spread * np.clip(rng.standard_normal((n, 14, 17, channels)), -1, 1)
    values[0], values[1, :3], values[1, 3:] = 77, 0, 255
    return values.astype(np.uint8)


def by_pillow(values: Array, change: Any) -> Array:
    return np.stack([np.asarray(change(Image.fromarray(picture), i)) for i, picture in enumerate(values)])


def as_floats(values: Array) -> Array:
    return values.astype(np.float32) / 255


@pytest.mark.parametrize(
    ("name", "enhancer", "tolerance"),
    [
        ("brightness", ImageEnhance.Brightness, 1.01),
        ("contrast", ImageEnhance.Contrast, 2.5),  # Pillow rounds the mean to a byte, and factors reach 2.5
        ("saturation", ImageEnhance.Color, 2.5),  # and the gray image
        ("sharpness", ImageEnhance.Sharpness, 2.5),  # and the smooth one
    ],
)
def test_enhancing_equals_pillow(name: str, enhancer: Any, tolerance: float) -> None:
    values, factors = pictures(), np.linspace(0, 2.5, 8)
    result = getattr(tones, name)(as_floats(values), factors)
    expected = by_pillow(values, lambda picture, i: enhancer(picture).enhance(factors[i]))
    np.testing.assert_allclose(result, as_floats(expected), atol=tolerance * BYTE)


def test_posterizing_equals_pillow() -> None:
    values, bits = pictures(), np.arange(1, 9)
    expected = by_pillow(values, lambda picture, i: ImageOps.posterize(picture, int(bits[i])))
    np.testing.assert_array_equal(tones.posterize(as_floats(values), bits), as_floats(expected))


def test_solarizing_equals_pillow() -> None:
    values, thresholds = pictures(), np.array([0, 30, 77, 78, 128, 200, 255, 256])
    expected = by_pillow(values, lambda picture, i: ImageOps.solarize(picture, int(thresholds[i])))
    result = tones.solarize(as_floats(values), (thresholds - 0.5) / 255)
    np.testing.assert_allclose(result, as_floats(expected), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_equalizing_equals_pillow(channels: int) -> None:
    values = pictures(channels=channels)
    by_channel = [
        by_pillow(values[..., c], lambda picture, _: ImageOps.equalize(picture.convert("L"))) for c in range(channels)
    ]
    np.testing.assert_array_equal(tones.equalize(as_floats(values)), as_floats(np.stack(by_channel, axis=3)))


def test_equalizing_a_large_picture_equals_pillow() -> None:
    values = np.random.default_rng(0).integers(0, 200, (2, 90, 90, 3)).astype(np.uint8) ** 2 // 255
    expected = by_pillow(values, lambda picture, _: ImageOps.equalize(picture))
    np.testing.assert_array_equal(tones.equalize(as_floats(values)), as_floats(expected))


def test_autocontrast_equals_pillow() -> None:
    values = pictures()
    expected = by_pillow(values, lambda picture, _: ImageOps.autocontrast(picture))
    np.testing.assert_allclose(tones.autocontrast(as_floats(values)), as_floats(expected), atol=1.01 * BYTE)


def test_gray_equals_pillow() -> None:
    values = pictures()
    expected = by_pillow(values, lambda picture, _: picture.convert("L"))
    np.testing.assert_allclose(tones.gray(as_floats(values))[..., 0], as_floats(expected), atol=0.51 * BYTE)
    gray = as_floats(pictures(channels=1))
    np.testing.assert_array_equal(tones.gray(gray), gray)


@pytest.mark.parametrize("turn", [-0.5, -0.2, 0.0, 0.1, 0.37, 0.5])
def test_turning_hues_equals_the_standard_library(turn: float) -> None:
    colors = np.random.default_rng(2).uniform(size=(60, 3))
    colors[:10] = np.round(colors[:10])  # corners of the cube: gray and pure colors
    colors[10:20, 1] = colors[10:20, 0]
    result = tones.hue(colors.reshape(1, 6, 10, 3), np.array([turn])).reshape(60, 3)
    for color, got in zip(colors, result, strict=True):
        h, s, v = colorsys.rgb_to_hsv(*color)
        np.testing.assert_allclose(got, colorsys.hsv_to_rgb((h + turn) % 1, s, v), atol=1e-12)
