"""The contract of transforms: shapes, types, and samples that do not depend on the rest of the batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from cnntrain.checks.contracts.base import close, equal, hold
from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.random import Draws
from cnntrain.parts.transforms.base import Transform

SHAPE = (8, 12, 3)
SOUND = (1, 400, 1)
CLIP = (5, 6, 4, 3)


def photos(n: int = 20, dtype: Any = np.float32, shape: tuple[int, ...] = SHAPE) -> Array:
    """Images in [0.1, 0.9], no two alike."""
    values = np.random.default_rng(7).uniform(0.1, 0.9, (n, *shape))
    return (values * 255).astype(np.uint8) if dtype == np.uint8 else values.astype(dtype)


def draws(samples: Iterable[int], epoch: int = 0) -> Draws:
    """The random numbers of these samples."""
    return Draws(0, "transform", (epoch, 0), np.array(list(samples), np.int64))


def fitted(transform: Transform, images: Array | None = None) -> Transform:
    """The transform, having measured what it wants to measure."""
    return transform.fit([photos() if images is None else images]) if transform.needs_fit() else transform


def dtypes(transform: Transform) -> list[Any]:
    """The types of pixels it must take."""
    return [np.float32, np.float64] + [np.uint8] * transform.moves_pixels_only


def suited(transform: Transform, dtype: Any = np.float32) -> Array:
    """Images the transform takes."""
    usual = CLIP if transform.whole_clips else SOUND if transform.of_sounds else SHAPE
    return photos(dtype=dtype, shape=transform.tried_on or usual)


def gives_the_declared_shape_and_the_type_it_got(transform: Transform) -> None:
    """And does something."""
    transform = fitted(transform)
    for dtype in dtypes(transform):
        images = suited(transform, dtype)
        result = transform.apply(images.copy(), draws(range(20)))
        shape = (20, *transform.output_shape(images.shape[1:]))
        hold(result.shape == shape, f"its images are {result.shape}, declared {shape}")
        hold(result.dtype == dtype, f"given {np.dtype(dtype).name} it gives {result.dtype}")
        hold(result.flags.c_contiguous, "its images are not contiguous")
        hold(result.shape != images.shape or not np.array_equal(result, images), "it changes nothing in 20 images")


def keeps_pixels_in_their_range(transform: Transform) -> None:
    """[0, 1], unless it is not to clip them, or says by `gives_pixels` that it makes something else of them."""
    if not transform.gives_pixels or getattr(transform, "clip", True) is False:
        return
    cure = "clip them, or say gives_pixels = False"
    for images in (suited(transform), np.rint(suited(transform))):  # black and white is the hardest
        result = transform.apply(images, draws(range(20)))
        hold(result.min() >= 0, f"it gives a pixel of {result.min():g}: {cure}")
        most = 1 + 1e-6  # a mean's weights sum to 1 nearly
        hold(result.max() <= most, f"it gives a pixel of {result.max():g}: {cure}")


def sees_each_sample_alone(transform: Transform) -> None:
    """Whatever else is in the batch, to the bit."""
    transform = fitted(transform)
    for dtype in dtypes(transform):
        images = suited(transform, dtype)
        whole = transform.apply(images.copy(), draws(range(20)))
        for company in ([3], [19, 0, 7], list(reversed(range(20)))):
            some = transform.apply(images[company], draws(company))
            hold(some.tobytes() == whole[company].tobytes(), f"samples {company} depend on their company")


def changes_with_the_epoch_only_if_random(transform: Transform) -> None:
    """As its class declares by `random`."""
    transform = fitted(transform)
    first, second = (transform.apply(suited(transform), draws(range(20), epoch)) for epoch in (0, 1))
    same = np.array_equal(first, second)
    certain = getattr(transform, "probability", 0) == 1
    expected = not transform.random or certain
    hold(
        same == expected,
        f"two epochs give {'the same' if same else 'different'} images, and random is {transform.random}",
    )


def is_made_of_its_fields(transform: Transform) -> None:
    """A checkpoint keeps its fields and arrays, which are all it measured."""
    done = fitted(transform)
    hold(not done.needs_fit(), "once fitted, it still asks to be")
    hold(done.fit([photos()]) == done, "fitted again, it changes")
    settings = {field.name: getattr(done, field.name) for field in dataclasses.fields(done) if field.init}
    again = registry.make("transforms", done.name_in_config, **settings).with_arrays(done.arrays())
    shapes = {name: array.shape for name, array in done.arrays().items()}
    hold(shapes == done.array_shapes(SHAPE), f"its arrays are {shapes}, declared {done.array_shapes(SHAPE)}")
    first, second = (part.apply(suited(part), draws(range(20))) for part in (again, done))
    equal(first, second, "made again from its fields and arrays, it gives other images")


def measures_the_same_in_any_chunks(transform: Transform) -> None:
    """The images that it is fitted to come in pieces of any size."""
    images = photos()
    whole, parts = transform.fit([images]), transform.fit(iter([images[:1], images[1:15], images[15:]]))
    for field in dataclasses.fields(transform):
        ours, theirs = getattr(parts, field.name), getattr(whole, field.name)
        if not field.init:
            continue
        if transform.needs_fit() and isinstance(ours, tuple):
            close(ours, theirs, f"measured in chunks, {field.name} differs", rtol=1e-12, atol=1e-12)
        else:
            hold(ours == theirs, f"measured in chunks, {field.name} differs")
    for name, array in parts.arrays().items():
        hold(array.dtype == np.float32, f"its array {name} is {array.dtype}, expected float32")
        close(array, whole.arrays()[name], f"measured in chunks, {name} differs", rtol=1e-5, atol=1e-6)


def points_go_where_pixels_go(transform: Transform) -> None:
    """The pixels of a bright box lie in the box around the places of its corners, and the middle of that is bright.

    A box lies on, and near, the edges of pixels; filters spread it by as much as they average.
    """
    shape = suited(transform).shape[1:]
    if not transform.points_are_told or transform.recolours:  # moves that go with other changes have tests of their own
        return
    mirrors = getattr(transform, "mode", "constant") in ("reflect", "symmetric")  # things are seen again in the frame
    rng = np.random.default_rng(11)
    height, width = shape[:2]
    left, top = rng.integers(0, width - 5, 20), rng.integers(0, height - 5, 20)
    right, bottom = left + rng.integers(4, 6, 20), top + rng.integers(4, 6, 20)
    images = np.zeros((20, *shape), np.float32)
    for image, box in zip(images, zip(top, bottom, left, right, strict=True), strict=True):
        image[box[0] : box[1], box[2] : box[3]] = 1
    move = transform.follow(shape, draws(range(20)))
    assert move is not None
    empty = transform.apply(np.zeros_like(images), draws(range(20)))
    result = (transform.apply(images, draws(range(20))) - empty).max(axis=-1)
    corners = move.points(np.stack([left, top, right, top, right, bottom, left, bottom], axis=-1).reshape(20, 4, 2))
    reach = 1 + np.abs(move.maps[:, :, :2]).sum(axis=2)  # of a filter: a pixel, of before or after
    low, high = corners.min(axis=1) - reach, corners.max(axis=1) + reach
    y, x = np.mgrid[: result.shape[1], : result.shape[2]] + 0.5
    middles = corners.mean(axis=1)
    for image, (x1, y1), (x2, y2), (middle_x, middle_y) in zip(result, low, high, middles, strict=True):
        outside = (x < x1) | (x > x2) | (y < y1) | (y > y2)
        brightest = image[outside].max(initial=0)
        hold(mirrors or brightest < 0.05, f"a pixel of {brightest:.3g} lies outside the box that it belongs to")
        row, column = int(np.floor(middle_y)), int(np.floor(middle_x))
        if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
            hold(image[row, column] > 0.5, f"the middle of a bright box comes out as {image[row, column]:.3g}")


def points_are_affine(transform: Transform) -> None:
    """A point goes where the affine map through three others takes it, whatever else is in the batch."""
    shape = suited(transform).shape[1:]
    move = transform.follow(shape, draws(range(20)))
    if move is None:
        return
    points = np.random.default_rng(12).uniform(-3, 15, (20, 7, 2))
    told = transform.points(points, shape, draws(range(20)))
    close(told, move.points(points), "its points do not follow an affine map", rtol=0, atol=1e-9)
    some = transform.points(points[[19, 3]], shape, draws([19, 3]))
    equal(some, told[[19, 3]], "where a sample's points go depends on its company")
    hold(move.after == transform.output_shape(shape)[:2], "its move ends in another shape than its images")


CHECKS = (
    gives_the_declared_shape_and_the_type_it_got,
    keeps_pixels_in_their_range,
    sees_each_sample_alone,
    changes_with_the_epoch_only_if_random,
    is_made_of_its_fields,
    measures_the_same_in_any_chunks,
    points_go_where_pixels_go,
    points_are_affine,
)


def does_not_see_where_a_batch_is_cut(cls: type[Transform]) -> None:
    """Where it mixes or joins samples, or makes views of them: workers ask for the stretch that they compute."""
    for fields in cls.examples if cls.on != "image" else ():
        transform = cls(**fields)
        for number in range(8):  # it may leave some batches as they are
            whole = _of_stretch(transform, 0, 20, number)
            for start, stop in ((0, 20), (3, 9), (18 - transform.earlier, 20)):
                for part, all_of_it in zip(_of_stretch(transform, start, stop, number), whole, strict=True):
                    place = all_of_it[start * transform.views :][: len(part)]
                    hold(part.tobytes() == place.tobytes(), f"of a batch, samples {start} to {stop} differ when alone")
            hold(all(np.isfinite(array).all() for array in whole), "it gives NaN or infinity")
            hold(whole[0].dtype == np.float32, f"given float32 it gives {whole[0].dtype}")


def _of_stretch(transform: Any, start: int, stop: int, number: int) -> tuple[Array, ...]:
    """What it makes of a stretch of 20 samples, which it may not write, and of their targets if it mixes these."""
    images, targets = suited(transform), np.eye(4, dtype=np.float32)[np.arange(20) % 4]
    images.flags.writeable = targets.flags.writeable = False
    if transform.on == "pair":
        mixed: tuple[Array, Array] = transform.mix(
            images[start:stop], targets[start:stop], np.random.default_rng(number)
        )
        return mixed
    of = draws(range(start + transform.earlier, stop), number)
    return ((transform.apply if transform.on == "views" else transform.join)(images[start:stop], of),)


OF_CLASS = (does_not_see_where_a_batch_is_cut,)


def subjects(cls: type[Transform]) -> Iterator[tuple[Transform]]:
    """What a transform's checks are given: each example's, unless it makes something else of samples than one each."""
    for fields in cls.examples if cls.on == "image" else ():
        yield (cls(**fields),)
