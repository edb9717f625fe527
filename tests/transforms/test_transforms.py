"""Every transform: shapes, dtypes, samples that do not depend on their company, and what each one promises."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cnntrain import registry
from cnntrain.arrays import Array
from cnntrain.errors import DataError
from cnntrain.random import Draws
from cnntrain.transforms.base import Transform
from tests.support import golden

# isort: split
import numpy as np
import pytest

SETTINGS = [
    pytest.param(registry.make("transforms", name, **fields), id=f"{name}-{index}")
    for name, cls in registry.parts("transforms").items()
    for index, fields in enumerate(cls.examples)
]
SHAPE = (8, 12, 3)


def photos(n: int = 20, dtype: Any = np.float32, shape: tuple[int, ...] = SHAPE) -> Array:
    """Images in [0.1, 0.9], no two alike."""
    values = np.random.default_rng(7).uniform(0.1, 0.9, (n, *shape))
    return (values * 255).astype(np.uint8) if dtype == np.uint8 else values.astype(dtype)


def draws(samples: Iterable[int], epoch: int = 0) -> Draws:
    return Draws(0, "transform", (epoch, 0), np.array(list(samples), np.int64))


def fitted(transform: Transform, images: Array | None = None) -> Transform:
    return transform.fit([photos() if images is None else images]) if transform.needs_fit() else transform


def dtypes(transform: Transform) -> list[Any]:
    return [np.float32, np.float64] + [np.uint8] * transform.moves_pixels_only


@pytest.mark.parametrize("transform", SETTINGS)
def test_gives_the_declared_shape_and_the_dtype_it_got_and_does_something(transform: Transform) -> None:
    transform = fitted(transform)
    for dtype in dtypes(transform):
        images = photos(dtype=dtype)
        result = transform.apply(images.copy(), draws(range(20)))
        assert result.shape == (20, *transform.output_shape(SHAPE))
        assert result.dtype == dtype
        assert result.flags.c_contiguous
        assert result.shape != images.shape or not np.array_equal(result, images)


@pytest.mark.parametrize("transform", SETTINGS)
def test_a_sample_does_not_depend_on_its_company(transform: Transform) -> None:
    transform = fitted(transform)
    for dtype in dtypes(transform):
        images = photos(dtype=dtype)
        whole = transform.apply(images.copy(), draws(range(20)))
        for company in ([3], [19, 0, 7], list(reversed(range(20)))):
            some = transform.apply(images[company], draws(company))
            assert some.tobytes() == whole[company].tobytes()


@pytest.mark.parametrize("transform", SETTINGS)
def test_only_random_transforms_change_with_the_epoch(transform: Transform) -> None:
    transform = fitted(transform)
    first, second = (transform.apply(photos(), draws(range(20), epoch)) for epoch in (0, 1))
    same = np.array_equal(first, second)
    certain = getattr(transform, "probability", 0) == 1
    assert same == (not transform.random or certain)


@pytest.mark.parametrize("transform", SETTINGS)
def test_a_fitted_transform_is_made_of_its_fields(transform: Transform) -> None:
    done = fitted(transform)
    assert not done.needs_fit()
    assert done.fit([photos()]) == done
    again = registry.make("transforms", done.name_in_config, **dataclasses.asdict(done))
    assert again.apply(photos(), draws(range(20))).tobytes() == done.apply(photos(), draws(range(20))).tobytes()


@pytest.mark.parametrize("transform", SETTINGS)
def test_fitting_does_not_depend_on_the_chunks(transform: Transform) -> None:
    images = photos()
    whole, parts = transform.fit([images]), transform.fit(iter([images[:1], images[1:15], images[15:]]))
    for field in dataclasses.fields(transform):
        ours, theirs = getattr(parts, field.name), getattr(whole, field.name)
        if isinstance(ours, tuple):
            assert ours == pytest.approx(theirs, rel=1e-12)
        else:
            assert ours == theirs


def make(name: str, **fields: Any) -> Any:
    return registry.make("transforms", name, **fields)


# scale


def test_scale_maps_the_training_range_and_does_not_clip() -> None:
    scale = make("scale", low=-1.0, high=3.0).fit(
        [np.array([0.25, 0.5]).reshape(2, 1, 1, 1), np.full((1, 1, 1, 1), 0.75)]
    )
    assert scale.data_range == (0.25, 0.75)
    result = scale.apply(np.array([0.25, 0.5, 0.75, 1.0, 0.0]).reshape(5, 1, 1, 1), draws(range(5)))
    np.testing.assert_allclose(result.ravel(), [-1, 1, 3, 5, -3], atol=1e-15)


def test_scale_of_flat_images() -> None:
    with pytest.raises(DataError, match=re.escape("every pixel is 0.5")):
        make("scale").fit([np.full((3, 2, 2, 1), 0.5)])


# normalize


def test_normalize_by_the_dataset_gives_mean_zero_and_std_one_for_each_channel() -> None:
    images = photos(50, np.float64) * [1, 2, 0.1] + [0, 5, 9]
    normalize = make("normalize", from_="dataset").fit([images[:9], images[9:]])
    np.testing.assert_allclose(normalize.mean, images.mean(axis=(0, 1, 2)), rtol=1e-13)
    np.testing.assert_allclose(normalize.std, images.std(axis=(0, 1, 2)), rtol=1e-12)
    assert normalize.from_ is None
    result = normalize.apply(images, draws(range(50)))
    np.testing.assert_allclose(result.mean(axis=(0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(result.std(axis=(0, 1, 2)), 1, rtol=1e-12)


def test_normalize_per_image() -> None:
    images = photos(6, np.float64)
    result = make("normalize", from_="per_image").apply(images.copy(), draws(range(6)))
    mean, std = images.mean(axis=(1, 2), keepdims=True), images.std(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(result, (images - mean) / std, rtol=1e-10, atol=1e-12)


def test_normalize_of_flat_images_is_zero() -> None:
    flat = np.full((2, 4, 4, 1), 0.3)
    assert not make("normalize", from_="per_image").apply(flat.copy(), draws(range(2))).any()
    dataset = make("normalize", from_="dataset").fit([flat])
    assert dataset.std == (1.0,)
    np.testing.assert_allclose(dataset.apply(flat, draws(range(2))), 0, atol=1e-15)


def test_normalize_by_given_numbers() -> None:
    images = photos(4, np.float64)
    result = make("normalize", mean=(0.5, 0.4, 0.3), std=(0.2, 0.5, 1.0)).apply(images.copy(), draws(range(4)))
    np.testing.assert_allclose(result, (images - [0.5, 0.4, 0.3]) / [0.2, 0.5, 1.0], rtol=1e-12, atol=1e-15)


def test_normalize_counts_channels() -> None:
    normalize = make("normalize", mean=(0.5,), std=(0.2,))
    assert normalize.output_shape((8, 8, 1)) == (8, 8, 1)
    with pytest.raises(ValueError, match="mean and std have 1 entries, the image 3 channels"):
        normalize.output_shape(SHAPE)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "exactly one of"),
        ({"mean": (0.5,)}, "mean and std go together"),
        ({"std": (0.5,), "from_": "dataset"}, "mean and std go together"),
        ({"mean": (0.5,), "std": (0.5,), "from_": "per_image"}, "exactly one of"),
        ({"mean": (0.5, 0.5), "std": (0.5,)}, "mean has 2 entries and std 1"),
        ({"mean": (0.5,), "std": (0.0,)}, "std must be"),
    ],
)
def test_normalize_takes_exactly_one_way(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make("normalize", **fields)


# random_crop


def test_random_crop_cuts_windows_out_of_the_padded_image() -> None:
    images = photos(400, np.uint8, (3, 4, 2))
    result = make("random_crop", padding=1).apply(images, draws(range(400)))
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    seen = set()
    for crop, image in zip(result, padded, strict=True):
        places = [(i, j) for i in range(3) for j in range(3) if np.array_equal(crop, image[i : i + 3, j : j + 4])]
        assert places
        seen.update(places)
    assert len(seen) == 9  # every offset occurs


def test_random_crop_offsets_are_uniform() -> None:
    images = np.zeros((9000, 1, 3, 1), np.uint8)
    images[:, 0, :, 0] = [1, 2, 3]
    counts = np.bincount(make("random_crop", padding=0, size=(1, 1)).apply(images, draws(range(9000))).ravel())[1:]
    assert np.abs(counts - 3000).max() < 5 * (9000 * 2 / 9) ** 0.5


def test_random_crop_without_room_to_move_is_the_image() -> None:
    np.testing.assert_array_equal(make("random_crop", padding=0).apply(photos(), draws(range(20))), photos())


def test_random_crop_larger_than_the_padded_image() -> None:
    with pytest.raises(ValueError, match="cannot cut 11x4 out of a 8x12 image padded by 1"):
        make("random_crop", padding=1, size=(11, 4)).output_shape(SHAPE)


# hflip


def test_hflip_mirrors_about_half() -> None:
    images = photos(1000, np.uint8, (2, 5, 3))
    result = make("hflip").apply(images.copy(), draws(range(1000)))
    flipped = (result == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (flipped | (result == images).all(axis=(1, 2, 3))).all()
    assert abs(flipped.sum() - 500) < 5 * 1000**0.5 / 2


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_hflip_for_certain_and_never(dtype: Any) -> None:
    images = photos(dtype=dtype)
    np.testing.assert_array_equal(
        make("hflip", probability=1.0).apply(images.copy(), draws(range(20))), images[:, :, ::-1]
    )
    np.testing.assert_array_equal(make("hflip", probability=0.0).apply(images.copy(), draws(range(20))), images)


# haar


@pytest.mark.parametrize("path", golden.cases("transforms"))
def test_equals_pywavelets(path: Path) -> None:
    transform, case = golden.load(path)
    images = case["images"]
    result = transform.apply(images.copy(), draws(range(len(images))))
    np.testing.assert_allclose(result, case["result"], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_haar_keeps_the_energy_and_can_be_undone(levels: int) -> None:
    images = photos(5, np.float64, (16, 24, 2))
    result = make("haar", levels=levels).apply(images.copy(), draws(range(5)))
    np.testing.assert_allclose((result**2).sum(axis=(1, 2, 3)), (images**2).sum(axis=(1, 2, 3)), rtol=1e-13)
    for _ in range(levels):
        result = undo_one_level(result)
    np.testing.assert_allclose(result, images, rtol=1e-12, atol=1e-14)


def undo_one_level(bands: Array) -> Array:
    """The transpose of the docstring's formula, square by square."""
    n, height, width, channels = bands.shape
    ll, lh, hl, hh = np.moveaxis(bands.reshape(n, height, width, channels // 4, 4), -1, 0)
    images = np.empty((n, 2 * height, 2 * width, channels // 4))
    images[:, 0::2, 0::2] = (ll + lh + hl + hh) / 2
    images[:, 0::2, 1::2] = (ll + lh - hl - hh) / 2
    images[:, 1::2, 0::2] = (ll - lh + hl - hh) / 2
    images[:, 1::2, 1::2] = (ll - lh - hl + hh) / 2
    return images


def test_haar_names_its_bands() -> None:
    stripes = np.zeros((2, 2, 2, 1))
    stripes[0, 0] = 1  # one bright row: changes along the height
    stripes[1, :, 0] = 1  # one bright column: changes along the width
    result = make("haar").apply(stripes, draws(range(2)))
    assert result[0, 0, 0].tolist() == [1, 1, 0, 0]
    assert result[1, 0, 0].tolist() == [1, 0, 1, 0]


def test_haar_needs_even_sizes() -> None:
    assert make("haar", levels=2).output_shape(SHAPE) == (2, 3, 48)
    with pytest.raises(ValueError, match="3 levels need height and width divisible by 8, got 8x12"):
        make("haar", levels=3).output_shape(SHAPE)
