"""Every transform: shapes, dtypes, samples that do not depend on their company, and what each one promises."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntrain.checks.contracts import transform as contract
from cnntrain.checks.contracts.transform import SHAPE, draws, photos
from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.errors import ConfigError, DataError
from cnntrain.core.extras import install
from cnntrain.core.random import Draws
from cnntrain.ops import policies
from cnntrain.parts.transforms import trivial_augment_wide
from cnntrain.parts.transforms.base import Sometimes, Transform
from cnntrain.reading.pictures import fitted
from tests.support import golden
from tests.support.experiments import run, write

OPENCV = pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="OpenCV is not installed")
NEEDS = {"dense_sift": OPENCV}
SETTINGS = [
    pytest.param(registry.make("transforms", name, **fields), id=f"{name}-{index}", marks=NEEDS.get(name, ()))
    for name, cls in registry.parts("transforms").items()
    for index, fields in enumerate(cls.examples)
    if cls.on == "image"  # those that mix samples: test_mixing.py
]


@pytest.mark.parametrize("transform", SETTINGS)
def test_gives_the_declared_shape_and_the_dtype_it_got_and_does_something(transform: Transform) -> None:
    contract.gives_the_declared_shape_and_the_type_it_got(transform)


@pytest.mark.parametrize("transform", SETTINGS)
def test_pixels_stay_in_their_range(transform: Transform) -> None:
    contract.keeps_pixels_in_their_range(transform)


@pytest.mark.parametrize("transform", SETTINGS)
def test_a_sample_does_not_depend_on_its_company(transform: Transform) -> None:
    contract.sees_each_sample_alone(transform)


@pytest.mark.parametrize("transform", SETTINGS)
def test_only_random_transforms_change_with_the_epoch(transform: Transform) -> None:
    contract.changes_with_the_epoch_only_if_random(transform)


@pytest.mark.parametrize("transform", SETTINGS)
def test_a_fitted_transform_is_made_of_its_fields(transform: Transform) -> None:
    contract.is_made_of_its_fields(transform)


@pytest.mark.parametrize("transform", SETTINGS)
def test_fitting_does_not_depend_on_the_chunks(transform: Transform) -> None:
    contract.measures_the_same_in_any_chunks(transform)


@pytest.mark.parametrize("transform", SETTINGS)
def test_points_go_where_pixels_go(transform: Transform) -> None:
    contract.points_go_where_pixels_go(transform)
    contract.points_are_affine(transform)


@pytest.mark.parametrize(("shape", "size"), [((32, 32), (96, 112)), ((1, 1), (6, 8)), ((61, 80), (32, 32))])
def test_resize_fills_as_pictures_from_files_are_brought_to_a_size(shape, size):
    image = np.random.default_rng(0).random((1, *shape, 1)).astype(np.float32)
    filled = make("resize", size=size, fit_="cover").apply(image, draws([0]))[0, :, :, 0]
    box = fitted(shape, size, "cover").box
    expected = Image.fromarray(image[0, :, :, 0]).resize(size[::-1], Image.Resampling.BILINEAR, box)
    np.testing.assert_allclose(filled, np.asarray(expected), atol=1e-5)


def test_resize_in_proportion_frames_or_fills() -> None:
    image = np.zeros((1, 20, 40, 1))
    image[:, :, 20:] = 1
    boxed = make("resize", size=(40, 40), fit_="letterbox").apply(image, draws([0]))[0, :, :, 0]
    assert (boxed[:10] == 114 / 255).all()
    assert (boxed[30:] == 114 / 255).all()
    np.testing.assert_allclose(boxed[10:30], image[0, :, :, 0], atol=1e-12)
    filled = make("resize", size=(20, 20), fit_="cover").apply(image, draws([0]))[0, :, :, 0]
    np.testing.assert_allclose(filled, image[0, :, 10:30, 0], atol=1e-12)
    with pytest.raises(ValueError, match=re.escape("fit: cover needs size: [height, width]")):
        make("resize", size=20, fit_="cover")


@pytest.mark.parametrize("name", policies.MOVING)
def test_a_policy_takes_points_where_it_takes_pixels(name: str) -> None:
    """One bright pixel a picture, moved by the nearest one: it comes to lie where its center went."""
    rng = np.random.default_rng(3)
    images, places = (
        np.zeros((40, 24, 32, 1), np.float32),
        np.stack([rng.integers(32, size=40), rng.integers(24, size=40)]),
    )
    images[np.arange(40), places[1], places[0]] = 1
    which = np.full(40, list(policies.OPERATIONS).index(name))
    strength, negative = rng.integers(8, size=40), rng.random(40) < 0.5
    table = trivial_augment_wide.magnitudes()
    moved = policies.carry(places.T[:, None] + 0.5, (24, 32), which, strength, negative, table)[:, 0]
    result = policies.augment(images, which, strength, negative, table)
    seen = 0
    for image, (x, y) in zip(result[..., 0], moved, strict=True):
        rows, columns = np.nonzero(image)
        seen += len(rows)
        assert np.hypot(columns + 0.5 - x, rows + 0.5 - y).max(initial=0) < 1.5
    assert seen > 20


@pytest.mark.parametrize("transform", SETTINGS)
def test_what_moves_something_says_where_or_is_refused(transform: Transform) -> None:
    """And what changes colours alone says nothing."""
    shape = contract.suited(transform).shape[1:]
    if transform.whole_clips:  # nothing that targets place in a picture is in a clip
        return
    if transform.name_in_config in (
        "haar",
        "dense_sift",
        "patch_whiten",
        "time_shift",
        "log_mel",
        "mfcc",
        "power_spectrogram",
        "sound_crop",
    ):
        with pytest.raises(ValueError, match="cannot say where to"):
            transform.check_followed(shape)
        return
    transform.check_followed(shape)
    moves = transform.displaces or transform.output_shape(shape)[:2] != shape[:2]
    assert transform.points_are_told == moves


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


def test_normalize_each_row_over_the_dataset_and_over_its_own_image() -> None:
    images = photos(50, np.float64) * np.linspace(0.5, 2, SHAPE[0])[:, None, None]
    mean, std = (getattr(images, name)(axis=(0, 2), keepdims=True) for name in ("mean", "std"))
    normalize = make("normalize", from_="dataset", each="row").fit([images[:9], images[9:]])
    np.testing.assert_allclose(normalize.apply(images.copy(), draws(range(50))), (images - mean) / std, atol=1e-12)
    with pytest.raises(ValueError, match=f"{SHAPE[0] * 3} entries, the image {3 * (SHAPE[0] + 1)} rows"):
        normalize.output_shape((SHAPE[0] + 1, *SHAPE[1:]))
    own = make("normalize", from_="per_image", each="row").apply(images.copy(), draws(range(50)))
    mean, std = (getattr(images, name)(axis=2, keepdims=True) for name in ("mean", "std"))
    np.testing.assert_allclose(own, (images - mean) / std, rtol=1e-10, atol=1e-12)


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
    with pytest.raises(ValueError, match="mean and std have 1 entry, the image 3 channels"):
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


@pytest.mark.parametrize(("shape", "size"), [((5, 5), (2, 2)), ((3, 8), None), ((1, 5), (9, 1))])
def test_a_crop_may_lie_in_the_frame_alone(shape: tuple[int, int], size: tuple[int, int] | None) -> None:
    images = np.ones((300, *shape, 1), np.float32)
    crops = make("random_crop", padding=4, size=size).apply(images, draws(range(300)))
    top, left = make("random_crop", padding=4, size=size)._places((*shape, 1), draws(range(300)))
    framed = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    rows, columns = size or shape
    for crop, image, y, x in zip(crops, framed, top + 4, left + 4, strict=True):
        np.testing.assert_array_equal(crop, image[y : y + rows, x : x + columns])
    assert min(crop.sum() for crop in crops) == 0 or size is None


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


def test_hflip_alternating_shows_both_sides_in_two_epochs() -> None:
    images = photos(1000, np.uint8, (2, 5, 3))
    flip = make("hflip", alternate=True)
    epochs = [flip.apply(images.copy(), draws(range(1000), epoch)) for epoch in range(4)]
    flipped = [(epoch == images[:, :, ::-1]).all(axis=(1, 2, 3)) for epoch in epochs]
    assert abs(flipped[0].sum() - 500) < 5 * 1000**0.5 / 2
    for earlier, later in itertools.pairwise(flipped):
        np.testing.assert_array_equal(earlier, ~later)
    xy = np.tile([[1.0, 1.0]], (1000, 1, 1))
    np.testing.assert_array_equal(
        flip.points(xy, (2, 5, 3), draws(range(1000), 1))[:, 0, 0], np.where(flipped[1], 4, 1)
    )


OTHERS = ("mixup", "cutmix", "haar")  # whose golden files are read elsewhere
TOLERANCES = {
    "to_grayscale": 2e-4,  # torchvision cuts the weights of ITU-R 601 to 0.2989
    **dict.fromkeys(("log_mel", "mfcc", "power_spectrogram"), 5e-4),  # of decibels to 100, powers to 200
}


@pytest.mark.parametrize(
    "path", [case for case in golden.cases("transforms") if case.id.partition("-")[0] not in OTHERS]
)
def test_equals_torchvision_torchaudio_or_librosa(path: Path) -> None:
    transform, case = golden.load(path)
    images = case["images"].copy()
    result = transform.apply(images, draws(range(len(images))))
    close_to(result, case["result"], TOLERANCES.get(transform.name_in_config, 2e-6))


# haar


@pytest.mark.parametrize("path", [case for case in golden.cases("transforms") if case.id.startswith("haar")])
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


# zca_whiten


def correlated(n: int = 300) -> Array:
    """Images whose neighboring pixels are alike, and a stripe that never changes."""
    images = np.random.default_rng(3).uniform(size=(n, 4, 5, 2)).cumsum(axis=2) / 5
    images[:, 0] = 0.5
    return images


def test_zca_whiten_is_the_formula_and_leaves_no_correlation() -> None:
    images, epsilon = correlated(), 1e-3
    result = make("zca_whiten", epsilon=epsilon).fit([images]).apply(images, draws(range(300))).reshape(300, -1)
    x = images.reshape(300, -1) - images.reshape(300, -1).mean(axis=0)
    u, s, _ = np.linalg.svd(x.T @ x / 300)  # as Keras has it
    np.testing.assert_allclose(result, x @ (u / np.sqrt(s + epsilon)) @ u.T, atol=1e-5)
    spread = np.linalg.eigvalsh(result.T @ result / 300)[::-1]
    np.testing.assert_allclose(spread, s / (s + epsilon), atol=1e-4)
    assert not result[:, :10].any()  # where nothing varies, nothing is blown up


def test_zca_whiten_stays_as_near_to_the_image_as_can_be() -> None:
    images = correlated()
    matrix = make("zca_whiten").fit([images]).arrays()["matrix"]
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
    assert np.linalg.eigvalsh(matrix.astype(np.float64)).min() > 0


@pytest.mark.parametrize("kernel", ["Haswell", "Zen", "SkylakeX", "Sandybridge"])
def test_zca_whiten_gives_a_sample_the_same_bits_at_every_place_under_every_kernel(kernel: str) -> None:
    if not runs(kernel):
        pytest.skip(f"the processor cannot run the kernels for {kernel}")
    program = """
import numpy as np
from cnntrain.core.random import Draws
from cnntrain.parts.transforms.zca_whiten import ZCAWhiten
for dtype, size in ((np.float32, 10), (np.float64, 10), (np.float32, 5)):
    images = np.random.default_rng(0).random((70, size, size, 3)).astype(dtype)
    whiten = ZCAWhiten().fit([images])
    whole = whiten.apply(images, None)
    for company in ([3], [19, 0, 7], list(range(69, -1, -1)), [5] * 33):
        assert whiten.apply(images[company], None).tobytes() == whole[company].tobytes(), (dtype, company)
"""
    environment = os.environ | {"OPENBLAS_CORETYPE": kernel}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def runs(kernel: str) -> bool:
    """Whether the processor has what OpenBLAS's kernels of this name use."""
    needed = {"Sandybridge": {"AVX"}, "SkylakeX": {"AVX512F", "AVX512DQ", "AVX512VL"}}.get(kernel, {"AVX2", "FMA3"})
    return all(np._core._multiarray_umath.__cpu_features__.get(feature) for feature in needed)


def test_zca_whiten_has_a_largest_image() -> None:
    with pytest.raises(ValueError, match="an image of 27,648 values has a matrix of 764,411,904; at most 4,096 values"):
        make("zca_whiten").output_shape((96, 96, 3))


# dense_sift


@OPENCV
def test_dense_sift_knows_which_way_edges_run() -> None:
    images = np.zeros((2, 32, 32, 1), np.float32)
    images[0, :, 16:] = 1
    images[1, 16:] = 1
    found = make("dense_sift", step=8).apply(images, draws(range(2)))
    assert found.shape == (2, 4, 4, 128)
    for image, direction in zip(found, (0, 6), strict=True):  # brighter to the right; downwards, 270 degrees
        strength = image.reshape(16, 16, 8).sum(axis=(0, 1))
        assert strength.argmax() == direction
        assert strength[direction] > 0.9 * strength.sum()
    photo = make("dense_sift").apply(photos(3, shape=(32, 32, 1)), draws(range(3)))
    np.testing.assert_allclose(np.linalg.norm(photo, axis=-1), 1, atol=0.02)  # OpenCV rounds every value


@OPENCV
def test_dense_sift_of_a_flat_image_is_nothing_and_of_colors_their_brightness() -> None:
    assert not make("dense_sift").apply(np.full((1, 8, 8, 3), 0.3), draws(range(1))).any()
    colors = photos(4)
    gray = make("to_grayscale").apply(colors, draws(range(4)))
    one, other = (make("dense_sift").apply(images, draws(range(4))) for images in (colors, gray))
    np.testing.assert_array_equal(one, other)


def test_dense_sift_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    config = write(tmp_path)
    lists = ("data.train_transforms=[dense_sift]", "data.eval_transforms=[dense_sift]")
    with pytest.raises(ConfigError, match=f"dense_sift: needs OpenCV. Run: {re.escape(install('features'))}") as caught:
        run(config, tmp_path / "run", lists)
    assert str(caught.value).startswith("--set:1:24:")


def close_to(result: Array, expected: Any, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(result, expected, atol=tolerance)


# resize, random_resized_crop


def test_resize_keeps_proportions_by_one_number() -> None:
    assert make("resize", size=5).output_shape((8, 12, 3)) == (5, 7, 3)
    assert make("resize", size=16).output_shape((12, 8, 1)) == (24, 16, 1)
    assert make("resize", size=(3, 4)).output_shape((8, 12, 3)) == (3, 4, 3)


def test_resize_equals_pillow() -> None:
    images = photos()
    result = make("resize", size=(5, 30)).apply(images.copy(), draws(range(20)))
    for channel in range(3):
        picture = Image.fromarray(images[4, :, :, channel].copy()).resize((30, 5), Image.Resampling.BILINEAR)
        close_to(result[4, :, :, channel], np.asarray(picture))


def test_random_resized_crop_draws_boxes_of_the_shares_and_shapes_it_names() -> None:
    crop = make("random_resized_crop")
    top, left, tall, wide = crop.boxes(300, 300, draws(range(5000)))
    assert min(top.min(), left.min()) >= 0
    assert (top + tall).max() <= 300
    assert (left + wide).max() <= 300
    share, ratio = tall * wide / 90000, wide / tall
    assert 0.079 < share.min() < 0.085
    assert share.max() > 0.9
    assert 0.74 < ratio.min() < 0.76
    assert 1.32 < ratio.max() < 1.35
    assert abs(np.log(ratio).mean()) < 0.02
    np.testing.assert_array_equal(np.stack([top, left, tall, wide]) % 1, 0)


def test_random_resized_crop_takes_the_middle_where_no_box_fits() -> None:
    crop = make("random_resized_crop", scale=(1.0, 1.0), ratio=(1.0, 1.0))
    boxes = [value.tolist() for value in crop.boxes(6, 10, draws(range(2)))]
    assert boxes == [[0, 0], [2, 2], [6, 6], [6, 6]]
    boxes = [value.tolist() for value in crop.boxes(10, 6, draws(range(2)))]
    assert boxes == [[2, 2], [0, 0], [6, 6], [6, 6]]


def test_random_resized_crop_of_the_whole_image_is_resize() -> None:
    crop = make("random_resized_crop", size=(5, 7), scale=(1.0, 1.0), ratio=(1.5, 1.5))
    resize = make("resize", size=(5, 7))
    np.testing.assert_array_equal(crop.apply(photos(), draws(range(20))), resize.apply(photos(), draws(range(20))))


# center_crop, pad


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [(4, slice(2, 6), slice(4, 8)), ((5, 7), slice(2, 7), slice(2, 9)), ((7, 11), slice(0, 7), slice(0, 11))],
)
def test_center_crop_is_the_middle(size: Any, rows: slice, columns: slice) -> None:
    images = photos(dtype=np.uint8)
    result = make("center_crop", size=size).apply(images.copy(), draws(range(20)))
    np.testing.assert_array_equal(result, images[:, rows, columns])


def test_center_crop_of_a_smaller_image_frames_it() -> None:
    images = photos(dtype=np.uint8)
    result = make("center_crop", size=(11, 4)).apply(images.copy(), draws(range(20)))
    np.testing.assert_array_equal(result, np.pad(images, ((0, 0), (1, 2), (0, 0), (0, 0)))[:, :, 4:8])


def test_pad_frames_by_its_sides() -> None:
    images = photos(1, np.uint8)
    result = make("pad", padding=(1, 2, 3, 4)).apply(images.copy(), draws([0]))
    assert result.shape == (1, 11, 19, 3)
    np.testing.assert_array_equal(result[:, 1:-2, 3:-4], images)
    assert result.sum(dtype=np.int64) == images.sum(dtype=np.int64)
    row = np.arange(1, 5, dtype=np.uint8).reshape(1, 1, 4, 1)
    for mode, expected in {
        "edge": [1, 1, 1, 2, 3, 4, 4],
        "symmetric": [2, 1, 1, 2, 3, 4, 4],
        "reflect": [3, 2, 1, 2, 3, 4, 3],
    }.items():
        padded = make("pad", padding=(0, 0, 2, 1), mode=mode).apply(row.copy(), draws([0]))
        assert padded.ravel().tolist() == expected


def test_pad_mirrors_only_what_is_there() -> None:
    assert make("pad", padding=7, mode="reflect").output_shape(SHAPE) == (22, 26, 3)
    assert make("pad", padding=8, mode="symmetric").output_shape(SHAPE) == (24, 28, 3)
    with pytest.raises(ValueError, match="reflect can pad a 8x12 image by at most 7 there, got 8"):
        make("pad", padding=8, mode="reflect").output_shape(SHAPE)


# vflip, invert, solarize, posterize, autocontrast


def test_vflip_turns_upside_down() -> None:
    images = photos(dtype=np.uint8)
    result = make("vflip", probability=1.0).apply(images.copy(), draws(range(20)))
    np.testing.assert_array_equal(result, images[:, ::-1])


@pytest.mark.parametrize(
    "name", [name for name, cls in registry.parts("transforms").items() if issubclass(cls, Sometimes)]
)
def test_changes_as_many_as_its_probability_and_leaves_the_others_alone(name: str) -> None:
    images = photos(1000, shape=(4, 5, 3))
    always, never = (make(name, probability=p).apply(images.copy(), draws(range(1000))) for p in (1.0, 0.0))
    np.testing.assert_array_equal(never, images)
    result = make(name, probability=0.3).apply(images.copy(), draws(range(1000)))
    changed = (result == always).all(axis=(1, 2, 3))
    assert (changed | (result == images).all(axis=(1, 2, 3))).all()
    assert abs(changed.sum() - 300) < 5 * (1000 * 0.3 * 0.7) ** 0.5


def test_tones_by_hand() -> None:
    row = np.array([0.0, 0.2, 0.5, 0.8]).reshape(1, 1, 4, 1)
    for name, fields, expected in [
        ("invert", {}, [1, 0.8, 0.5, 0.2]),
        ("solarize", {"threshold": 0.5}, [0, 0.2, 0.5, 0.2]),
        ("posterize", {"bits": 1}, [0, 0, 128 / 255, 128 / 255]),
        ("autocontrast", {}, [0, 0.25, 0.625, 1]),
    ]:
        result = make(name, probability=1.0, **fields).apply(row.copy(), draws([0]))
        np.testing.assert_allclose(result.ravel(), expected, atol=1e-12)


# to_grayscale, to_rgb


def test_to_rgb_and_back_is_the_gray_image() -> None:
    gray = photos(shape=(4, 5, 1))
    color = make("to_rgb").apply(gray.copy(), draws(range(20)))
    np.testing.assert_array_equal(color, np.concatenate([gray] * 3, axis=3))
    close_to(make("to_grayscale").apply(color, draws(range(20))), gray)


def test_to_grayscale_weighs_as_eyes_do() -> None:
    pure = np.eye(3).reshape(1, 1, 3, 3)
    assert make("to_grayscale").apply(pure, draws([0])).ravel().tolist() == [0.299, 0.587, 0.114]


@pytest.mark.parametrize("name", ["to_rgb", "to_grayscale", "trivial_augment_wide", "rand_augment"])
def test_colors_need_one_channel_or_three(name: str) -> None:
    with pytest.raises(ValueError, match="of 1 or 3 channels, got 4"):
        make(name).output_shape((8, 8, 4))
    part = make(name)
    assert part.apply(photos(shape=(8, 8, 1)), draws(range(20))).shape[1:] == part.output_shape((8, 8, 1))


# random_rotation, random_affine


def test_random_rotation_turns_counter_clockwise() -> None:
    images = photos(shape=(6, 6, 2))
    result = make("random_rotation", degrees=(90.0, 90.0)).apply(images.copy(), draws(range(20)))
    np.testing.assert_array_equal(result, np.rot90(images, axes=(1, 2)))


def test_random_affine_moves_by_whole_pixels_up_to_its_share() -> None:
    dot = np.zeros((4000, 9, 11, 1))
    dot[:, 4, 5] = 1
    result = make("random_affine", translate=(0.2, 0.34)).apply(dot, draws(range(4000)))
    _, y, x, _ = np.nonzero(result)
    assert len(y) == 4000
    assert sorted(set((y - 4).tolist())) == [-3, -2, -1, 0, 1, 2, 3]
    assert sorted(set((x - 5).tolist())) == [-2, -1, 0, 1, 2]


def test_random_affine_scales_about_the_center() -> None:
    images = np.zeros((1, 8, 8, 1))
    images[:, 3:5, 3:5] = 1
    result = make("random_affine", scale=(2.0, 2.0)).apply(images, draws([0]))
    expected = np.zeros((8, 8))
    expected[2:6, 2:6] = 1
    np.testing.assert_array_equal(result[0, :, :, 0], expected)


# color_jitter


@pytest.mark.parametrize(("name", "most"), [("brightness", 0.4), ("contrast", 0.4), ("saturation", 0.4)])
def test_color_jitter_draws_factors_around_one(name: str, most: float) -> None:
    images = np.tile(np.array([[[0.4, 0.3, 0.5]], [[0.3, 0.3, 0.4]]]), (3000, 1, 1, 1))
    result = make("color_jitter", **{name: most}).apply(images.copy(), draws(range(3000)))
    other = {
        "brightness": np.zeros_like(images),
        "contrast": (images @ [0.299, 0.587, 0.114]).mean(axis=(1, 2))[:, None, None, None],
        "saturation": (images @ [0.299, 0.587, 0.114])[..., None],
    }[name]
    factors = ((result - other) / (images - other))[:, 0, 0, 2]
    assert 1 - most <= factors.min() < 1 - most + 0.01
    assert 1 + most - 0.01 < factors.max() <= 1 + most
    assert abs(factors.mean() - 1) < 0.02


def test_color_jitter_takes_every_order() -> None:
    color = np.tile(np.array([0.2, 0.5, 0.8]), (2000, 1, 2, 1))
    color[:, :, 1] = 0.9
    result = make("color_jitter", brightness=0.5, contrast=0.5).apply(color.copy(), draws(range(2000)))
    numbers = Draws(0, "transform", (0, 0), np.arange(2000))
    order = np.argsort([numbers.uniform() for _ in range(4)], axis=0)
    bright, sharp = numbers.uniform(0.5, 1.5), numbers.uniform(0.5, 1.5)
    place = np.argsort(order, axis=0)
    assert {tuple(row) for row in order.T.tolist()} == set(itertools.permutations(range(4)))
    for i in range(2000):
        steps = [(place[0, i], "b"), (place[1, i], "c")]
        image = color[i]
        for _, step in sorted(steps):
            other = 0 if step == "b" else (image @ [0.299, 0.587, 0.114]).mean()
            factor = bright[i] if step == "b" else sharp[i]
            image = np.clip(other + factor * (image - other), 0, 1)
        np.testing.assert_allclose(result[i], image, atol=1e-12)


def test_color_jitter_of_gray_images() -> None:
    assert make("color_jitter", brightness=0.4).output_shape((8, 8, 1)) == (8, 8, 1)
    with pytest.raises(ValueError, match="saturation and hue need color images"):
        make("color_jitter", brightness=0.4, hue=0.1).output_shape((8, 8, 1))


# gaussian_blur, gaussian_noise, lcn


def test_gaussian_blur_of_a_dot_is_the_bell() -> None:
    dot = np.zeros((1, 9, 9, 1))
    dot[:, 4, 4] = 1
    result = make("gaussian_blur", kernel_size=5, sigma=(1.3, 1.3)).apply(dot, draws([0]))
    bell = np.exp(-(np.arange(-2, 3) ** 2) / (2 * 1.3**2))
    np.testing.assert_allclose(result[0, 2:7, 2:7, 0], np.outer(bell, bell) / bell.sum() ** 2, rtol=1e-12)
    np.testing.assert_allclose(result.sum(), 1, rtol=1e-12)


def test_gaussian_noise_has_its_moments_and_is_nobody_elses() -> None:
    flat = np.full((50, 20, 20, 3), 0.5)
    noise = make("gaussian_noise", mean=0.1, sigma=0.2, clip=False).apply(flat, draws(range(50))) - 0.5
    assert abs(noise.mean() - 0.1) < 5 * 0.2 / 60000**0.5
    assert abs(noise.std() - 0.2) < 5 * 0.2 / 120000**0.5
    assert np.abs(np.corrcoef(noise.reshape(50, -1)) - np.eye(50)).max() < 6 / 1200**0.5


def test_lcn_is_the_formula() -> None:
    images = photos(2, np.float64, (6, 7, 2))
    result = make("lcn", size=3).apply(images.copy(), draws(range(2)))
    bell = np.exp(-((np.array([-1, 0, 1]) / 0.75) ** 2) / 2)
    window = np.outer(bell, bell)[:, :, None] / bell.sum() ** 2 / 2
    local = windows_of(images, window)
    apart = images - local
    deviation = np.sqrt(windows_of(apart**2, window))
    expected = apart / np.maximum(deviation, deviation.mean(axis=(1, 2, 3), keepdims=True))
    np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-13)


def windows_of(images: Array, window: Array) -> Array:
    """Weighted sums over 3 x 3 windows and channels, mirrored at the border: (n, h, w, 1)."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")
    result = np.zeros((*images.shape[:3], 1))
    for y in range(images.shape[1]):
        for x in range(images.shape[2]):
            result[:, y, x, 0] = (padded[:, y : y + 3, x : x + 3] * window).sum(axis=(1, 2, 3))
    return result


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lcn_of_a_flat_image_is_zero(dtype: Any) -> None:
    result = make("lcn").apply(np.full((2, 12, 12, 3), 0.3, dtype), draws(range(2)))
    assert np.abs(result).max() < 1e-6


# random_erasing, cutout


def holes(transform: Transform, n: int, height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Top, bottom, left and right of what became zero in each image, which is a rectangle; nothing where empty."""
    result = transform.apply(np.ones((n, height, width, 1)), draws(range(n)))[..., 0]
    found = []
    for image in result:
        y, x = np.nonzero(image == 0)
        if len(y):
            box = y.min(), y.max() + 1, x.min(), x.max() + 1
            assert not image[box[0] : box[1], box[2] : box[3]].any()
            assert image.sum() == height * width - (box[1] - box[0]) * (box[3] - box[2])
            found.append(tuple(int(side) for side in box))
    return found


def test_random_erasing_draws_rectangles_of_the_shares_and_shapes_it_names() -> None:
    found = holes(make("random_erasing"), 2000, 60, 60)
    assert abs(len(found) - 1000) < 5 * 2000**0.5 / 2
    top, bottom, left, right = np.array(found).T
    share, ratio = (bottom - top) * (right - left) / 3600, (bottom - top) / (right - left)
    assert 0.018 < share.min() < 0.03
    assert 0.31 < share.max() < 0.35
    assert 0.25 < ratio.min() < 0.4
    assert 2.5 < ratio.max() < 3.7
    assert (top.min(), bottom.max(), left.min(), right.max()) == (0, 60, 0, 60)


def test_random_erasing_leaves_an_image_no_rectangle_fits_into() -> None:
    assert not holes(make("random_erasing", scale=(1.0, 1.0), probability=1.0), 20, 6, 6)


def test_cutout_is_a_square_around_any_pixel() -> None:
    found = set(holes(make("cutout", size=4), 2000, 6, 7))
    assert found == {(max(y - 2, 0), min(y + 2, 6), max(x - 2, 0), min(x + 2, 7)) for y in range(6) for x in range(7)}


# trivial_augment_wide, rand_augment


@pytest.mark.parametrize(
    ("name", "fields", "strongest"),
    [("trivial_augment_wide", {}, (135, 32, 2)), ("rand_augment", {"magnitude": 30, "operations": 1}, (30, 150, 4))],
)
def test_the_policies_reach_the_papers_magnitudes(name: str, fields: Any, strongest: tuple[float, ...]) -> None:
    module = importlib.import_module(f"cnntrain.parts.transforms.{name}")
    table = module.magnitudes(331, 331) if name == "rand_augment" else module.magnitudes()
    for key, value in zip(("rotate", "translate_x", "posterize"), strongest, strict=True):
        assert table[key][-1] == pytest.approx(value)
        assert len(table[key]) == 31
    assert table["posterize"][0] == 8
    assert table["solarize"][0] == 1
    images = photos(400, shape=(16, 16, 3))
    result = make(name, **fields).apply(images.copy(), draws(range(400)))
    changed = (result != images).any(axis=(1, 2, 3)).mean()
    assert 0.75 < changed < 1  # identity, and posterize to 8 bits, leave some


def test_rand_augment_of_no_magnitude_keeps_places() -> None:
    images = np.rint(photos(300) * 255).astype(np.float32) / 255
    result = make("rand_augment", magnitude=0, operations=1).apply(images.copy(), draws(range(300)))
    same = np.isclose(result, images, atol=1e-6).all(axis=(1, 2, 3)).mean()
    assert 0.75 < same < 0.95  # all but autocontrast and equalize, 2 of 14


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("random_resized_crop", {"scale": (0.5, 0.1)}, "scale must not fall"),
        ("random_resized_crop", {"ratio": (2.0, 1.0)}, "ratio must not fall"),
        ("random_resized_crop", {"scale": (0.5, 1.5)}, "at most 1, got 1.5"),
        ("random_erasing", {"scale": (0.5, 0.1)}, "scale must not fall"),
        ("random_erasing", {"scale": (0.5, 1.5)}, "at most 1, got 1.5"),
        ("random_rotation", {"degrees": (5.0, 1.0)}, "degrees must not fall"),
        ("random_affine", {"scale": (2.0, 1.0)}, "scale must not fall"),
        ("random_affine", {}, "does nothing"),
        ("color_jitter", {}, "does nothing"),
        ("gaussian_blur", {"kernel_size": 4}, "kernel_size must be odd, got 4"),
        ("gaussian_blur", {"sigma": (2.0, 1.0)}, "sigma must not fall"),
        ("lcn", {"size": 4}, "size must be odd, got 4"),
    ],
)
def test_settings_that_make_no_sense(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(name, **fields)


@pytest.mark.parametrize("name", ["gaussian_blur", "lcn"])
def test_images_too_small_to_be_mirrored(name: str) -> None:
    with pytest.raises(ValueError, match="a 2x9 image is too small for"):
        make(name).output_shape((2, 9, 3))


@pytest.mark.parametrize(
    ("name", "message"), [("random_erasing", "no rectangle is lower"), ("cutmix", "no box of a 1x")]
)
def test_images_too_small_for_anything_to_be_cut_out(name: str, message: str) -> None:
    for shape in ((1, 16000, 1), (9, 1, 3)):
        with pytest.raises(ValueError, match=message if shape[0] == 1 else " a 9x1 image"):
            make(name).output_shape(shape)
    assert make(name).output_shape((2, 2, 3)) == (2, 2, 3)
