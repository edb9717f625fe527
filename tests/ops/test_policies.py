"""Every operation of the policies does what torchvision's does with Pillow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from cnntrain.core.arrays import Array
from cnntrain.ops.policies import OPERATIONS, SIGNED, augment


def affine(a: float, b: float, c: float, d: float, e: float, f: float) -> Any:
    return lambda picture: picture.transform(picture.size, Image.Transform.AFFINE, (a, b, c, d, e, f))


def enhance(enhancer: Any) -> Any:
    return lambda by: lambda picture: enhancer(picture).enhance(1 + by)


PILLOW: dict[str, tuple[float, Any]] = {  # a magnitude, and what it makes Pillow do
    "identity": (0, lambda by: lambda picture: picture),
    "shear_x": (0.31, lambda by: affine(1, by, 0, 0, 1, 0)),
    "shear_y": (0.31, lambda by: affine(1, 0, 0, by, 1, 0)),
    "translate_x": (3.7, lambda by: affine(1, 0, -math.trunc(by), 0, 1, 0)),
    "translate_y": (3.7, lambda by: affine(1, 0, 0, 0, 1, -math.trunc(by))),
    "rotate": (33, lambda by: lambda picture: picture.rotate(by)),
    "brightness": (0.6, enhance(ImageEnhance.Brightness)),
    "color": (0.6, enhance(ImageEnhance.Color)),
    "contrast": (0.6, enhance(ImageEnhance.Contrast)),
    "sharpness": (0.6, enhance(ImageEnhance.Sharpness)),
    "posterize": (3, lambda by: lambda picture: ImageOps.posterize(picture, by)),
    "solarize": (0.5, lambda by: lambda picture: ImageOps.solarize(picture, 128)),
    "autocontrast": (0, lambda by: ImageOps.autocontrast),
    "equalize": (0, lambda by: ImageOps.equalize),
}


def picture() -> Array:
    return np.random.default_rng(0).integers(20, 220, (20, 30, 3)).astype(np.uint8)


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_equal_pillow(name: str, negative: bool) -> None:
    by, change = PILLOW[name]
    images = picture()[None].astype(np.float32) / 255
    which = np.array([list(OPERATIONS).index(name)])
    result = augment(images, which, np.array([1]), np.array([negative]), {name: np.array([0.0, by])})
    signed = -by if negative and name in SIGNED else by
    expected = np.asarray(change(signed)(Image.fromarray(picture())))
    np.testing.assert_allclose(result[0] * 255, expected, atol=2.1)


def test_each_image_has_its_own_operation() -> None:
    images = np.repeat(picture()[None].astype(np.float32) / 255, 3, axis=0)
    names = list(OPERATIONS)
    which = np.array([names.index("solarize"), names.index("identity"), names.index("brightness")])
    table = {"solarize": np.array([0.5, 0]), "brightness": np.array([0, 0.5])}
    result = augment(images.copy(), which, np.array([1, 0, 1]), np.array([False, False, True]), table)
    np.testing.assert_allclose(result[0], 1 - images[0], rtol=1e-6)
    np.testing.assert_array_equal(result[1], images[1])
    np.testing.assert_allclose(result[2], images[2] * 0.5, rtol=1e-6)
