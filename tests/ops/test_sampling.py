"""Resizing, warping and blurring equal Pillow's, image by image, and the definitions where Pillow has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntrain.core.arrays import Array
from cnntrain.ops.sampling import affine_maps, blur, resample, resampling, warp

FILTERS: dict[str, Any] = {"bilinear": Image.Resampling.BILINEAR, "nearest": Image.Resampling.NEAREST}


def photos(n: int, height: int, width: int, channels: int = 2) -> Array:
    return np.random.default_rng(0).uniform(size=(n, height, width, channels)).astype(np.float32)


def by_pillow(image: Array, change: Any) -> Array:
    """The image with a change Pillow makes to each channel in floats."""
    channels = [np.asarray(change(Image.fromarray(image[:, :, c].copy()))) for c in range(image.shape[2])]
    return np.stack(channels, axis=2)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize(("rows", "columns"), [(20, 32), (5, 4), (9, 13), (1, 40), (30, 3)])
def test_resizing_boxes_equals_pillow(interpolation: Any, rows: int, columns: int) -> None:
    images = photos(4, 9, 13)
    top, left = np.array([0, 2, 4, 8]), np.array([0, 1, 7, 12])
    tall, wide = np.array([9, 5, 5, 1]), np.array([13, 8, 6, 1])
    down = resampling(top, tall, 9, rows, interpolation, cut=True)
    result = resample(images, down, resampling(left, wide, 13, columns, interpolation, cut=True))
    for i, image in enumerate(images):
        box = image[top[i] : top[i] + tall[i], left[i] : left[i] + wide[i]]
        expected = by_pillow(box, lambda picture: picture.resize((columns, rows), FILTERS[interpolation]))
        np.testing.assert_allclose(result[i], expected, atol=1e-6)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize(("rows", "columns"), [(20, 32), (5, 4), (9, 13), (1, 40), (30, 3)])
def test_boxes_that_begin_and_end_between_pixels_equal_pillow(interpolation: Any, rows: int, columns: int) -> None:
    images = photos(4, 9, 13)
    top, left = np.array([0, 2.286, 4.5, 8.25]), np.array([0.125, 0, 7.75, 12.5])
    tall, wide = np.array([9, 5.375, 4.5, 0.5]), np.array([12.875, 8.625, 1.25, 0.25])
    down = resampling(top, tall, 9, rows, interpolation)
    result = resample(images, down, resampling(left, wide, 13, columns, interpolation))
    for i, image in enumerate(images):
        box = left[i], top[i], left[i] + wide[i], top[i] + tall[i]
        expected = by_pillow(image, lambda one, box=box: one.resize((columns, rows), FILTERS[interpolation], box))
        np.testing.assert_allclose(result[i], expected, atol=1e-6)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_turning_equals_pillow(interpolation: Any) -> None:
    images, angles = photos(6, 9, 13), np.array([-170.0, -33.3, 0, 12.5, 45, 80])
    none = np.zeros(6)
    result = warp(images, affine_maps((6.5, 4.5), -angles, (none, none), none + 1, (none, none)), interpolation)
    for got, image, angle in zip(result, images, angles, strict=True):
        expected = by_pillow(image, lambda picture, turn=angle: picture.rotate(turn, FILTERS[interpolation]))
        np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_warping_equals_pillow(interpolation: Any) -> None:
    images = photos(20, 9, 13)
    rng = np.random.default_rng(1)
    angle, scale, u, v = (rng.uniform(low, high, 20) for low, high in ((-60, 60), (0.4, 2), (-30, 30), (-30, 30)))
    move = rng.integers(-3, 4, 20), rng.integers(-3, 4, 20)
    maps = affine_maps((6.5, 4.5), angle, move, scale, (u, v))
    result = warp(images, maps, interpolation)
    for got, image, rows in zip(result, images, maps, strict=True):
        values = tuple(rows.ravel())
        expected = by_pillow(
            image,
            lambda picture, values=values: picture.transform(
                picture.size, Image.Transform.AFFINE, values, FILTERS[interpolation]
            ),
        )
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_an_affine_map_is_the_inverse_of_its_parts_in_their_order() -> None:
    angle, scale, u, v, x, y = 20.0, 1.5, 10.0, -25.0, 3.0, -2.0
    r, su, sv = np.deg2rad((angle, u, v))
    turn = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    shear_y = np.array([[1, 0, 0], [-np.tan(sv), 1, 0], [0, 0, 1]])
    shear_x = np.array([[1, -np.tan(su), 0], [0, 1, 0], [0, 0, 1]])
    center = np.array([[1, 0, 6.5], [0, 1, 4.5], [0, 0, 1]])
    move = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
    # torchvision's a, b, c, d: cos(r - v) / cos v = cos r + sin r tan v, a turn after a shear along y by -v
    whole = move @ center @ turn @ shear_y @ shear_x @ np.diag([scale, scale, 1]) @ np.linalg.inv(center)
    one = np.ones(1)
    maps = affine_maps((6.5, 4.5), angle * one, (x * one, y * one), scale * one, (u * one, v * one))
    np.testing.assert_allclose(maps[0], np.linalg.inv(whole)[:2], atol=1e-11)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_quarter_turns_move_pixels(interpolation: Any) -> None:
    images, none = photos(4, 6, 6), np.zeros(4)
    angles = np.array([0.0, 90, 180, -90])
    result = warp(images, affine_maps((3, 3), angles, (none, none), none + 1, (none, none)), interpolation)
    for got, image, quarters in zip(result, images, (0, -1, 2, 1), strict=True):
        np.testing.assert_array_equal(got, np.rot90(image, quarters))


def test_blurring_is_the_double_sum() -> None:
    images = photos(2, 5, 7).astype(np.float64)
    weights = np.array([[0.1, 0.2, 0.4, 0.2, 0.1], [0.0, 0.3, 0.4, 0.3, 0.0]])
    result = blur(images, weights)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), "reflect")
    for i in range(2):
        window = np.outer(weights[i], weights[i])[:, :, None]
        for y in range(5):
            for x in range(7):
                expected = (padded[i, y : y + 5, x : x + 5] * window).sum(axis=(0, 1))
                np.testing.assert_allclose(result[i, y, x], expected, rtol=1e-12)
