"""Ten thousand random boxes through every transform that moves something: where its pixels say that the corners went.

The pictures hold their own coordinates: red is x, green is y, blue is 1 wherever there is a picture. What a transform
makes of them, read between its pixels where a corner should have come to lie, must be the corner's coordinates.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from cnntrain.checks.contracts.transform import draws
from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.moves import Move
from cnntrain.ops import policies
from cnntrain.parts.transforms import trivial_augment_wide
from cnntrain.parts.transforms.base import Transform

HEIGHT, WIDTH = 48, 64
PICTURES, EACH = 500, 20  # boxes each
CASES: list[tuple[str, dict[str, Any]]] = [
    ("hflip", {}),
    ("vflip", {}),
    ("pad", {"padding": (3, 0, 5, 1)}),
    ("center_crop", {"size": (33, 70)}),
    ("random_crop", {"padding": 6, "size": (40, 50)}),
    ("resize", {"size": (100, 90)}),
    ("resize", {"size": (31, 40)}),
    ("resize", {"size": (100, 90), "fit_": "letterbox"}),
    ("resize", {"size": (60, 120), "fit_": "cover"}),
    ("resize", {"size": 24, "interpolation": "nearest"}),
    ("random_resized_crop", {"size": 40, "scale": (0.3, 1.0)}),
    ("random_resized_crop", {"size": 40, "scale": (0.3, 1.0), "interpolation": "nearest"}),
    ("random_iou_crop", {}),
    ("random_rotation", {"degrees": 180.0, "interpolation": "bilinear"}),
    ("random_rotation", {"degrees": 180.0}),
    (
        "random_affine",
        {"degrees": 30.0, "translate": (0.2, 0.1), "scale": (0.7, 1.4), "shear": 10.0, "interpolation": "bilinear"},
    ),
]


def told() -> set[str]:
    """The transforms that say where points go."""
    parts: dict[str, Any] = dict(registry.parts("transforms"))
    return {name for name, cls in parts.items() if cls.on == "image" and cls.points is not Transform.points}


def pictures() -> Array:
    """Their own coordinates, in [0, 1]."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    one = np.stack([x / WIDTH, y / HEIGHT, np.ones_like(x)], axis=-1)
    return np.tile(one, (PICTURES, 1, 1, 1))


def read(images: Array, points: Array) -> Array:
    """What images (n, h, w, c) hold at points (n, k, 2), linearly between the centers of pixels."""
    n, height, width, _ = images.shape
    left = np.clip(np.floor(points[..., 0] - 0.5), 0, width - 2).astype(int)
    top = np.clip(np.floor(points[..., 1] - 0.5), 0, height - 2).astype(int)
    across, down = (points - 0.5 - np.stack([left, top], axis=-1))[..., None].transpose(2, 0, 1, 3)
    rows = np.arange(n)[:, None]
    above = images[rows, top, left] * (1 - across) + images[rows, top, left + 1] * across
    below = images[rows, top + 1, left] * (1 - across) + images[rows, top + 1, left + 1] * across
    return above * (1 - down) + below * down


def errors(result: Array, move: Move, corners: Array) -> Array:
    """How far, in pixels of the result, each corner (n, k, 2) is from where the pixels say it went.

    Left out are corners that the result does not show, and those so near its border that a filter was cut off there.
    """
    points = move.points(corners)
    scale = np.abs(move.maps[:, :, :2]).sum(axis=2)[:, None]  # of the result's pixels to one of the picture's
    margin = 1 + np.maximum(scale, 1)
    size = np.array([move.after[1], move.after[0]])
    found = read(result, np.clip(points, 0, size))
    shown = (points > margin).all(axis=2) & (points < size - margin).all(axis=2) & (found[..., 2] > 1 - 1e-9)
    away = move.points(found[..., :2] * [WIDTH, HEIGHT]) - points
    assert shown.mean() > 0.1, "too few corners were seen to say anything"
    return np.hypot(away[..., 0], away[..., 1])[shown]


def boxes() -> Array:
    """The corners (pictures, 4 each, 2) of random boxes that keep three pixels from the border."""
    rng = np.random.default_rng(1)
    x, y = (
        np.sort(rng.uniform(3, WIDTH - 3, (2, PICTURES, EACH)), axis=0),
        np.sort(rng.uniform(3, HEIGHT - 3, (2, PICTURES, EACH)), axis=0),
    )
    corners = np.stack([np.stack([x[i], y[j]], axis=-1) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))], axis=2)
    return corners.reshape(PICTURES, EACH * 4, 2)


def cases() -> Iterator[Any]:
    """Every transform with its settings, and whether it copies the nearest pixel."""
    for name, fields in CASES:
        transform = registry.make("transforms", name, **fields)
        nearest = getattr(transform, "interpolation", "bilinear") == "nearest"
        yield pytest.param(transform, nearest, id=f"{name}{'-nearest' * nearest}-{fields}")


def test_every_transform_that_tells_is_tried() -> None:
    assert told() == {name for name, _ in CASES} | {"rand_augment", "trivial_augment_wide"}


@pytest.mark.parametrize(("transform", "nearest"), [*cases()])
def test_ten_thousand_boxes(transform: Any, nearest: bool) -> None:
    shape, samples = (HEIGHT, WIDTH, 3), range(PICTURES)
    move = transform.follow(shape, draws(samples))
    found = errors(transform.apply(pictures(), draws(samples)), move, boxes())
    tell(transform.name_in_config, nearest, found)
    zoom = np.abs(move.maps[:, :, :2]).sum(axis=2)
    shrinks = zoom.min() < 1 and transform.name_in_config in ("resize", "random_resized_crop", "random_iou_crop")
    allowed = 0.71 * max(zoom.max(), 1) if nearest else 0.1 if shrinks else 1e-9  # averaging sampled weights is uneven
    assert found.max() < allowed


@pytest.mark.parametrize("name", policies.MOVING)
def test_ten_thousand_boxes_by_a_policy(name: str) -> None:
    """What rand_augment and trivial_augment_wide draw from, which copies the nearest pixel."""
    rng = np.random.default_rng(2)
    which = np.full(PICTURES, list(policies.OPERATIONS).index(name))
    drawn = which, rng.integers(12, size=PICTURES), rng.random(PICTURES) < 0.5, trivial_augment_wide.magnitudes()
    ends = np.tile(np.array([(0, 0), (1, 0), (0, 1)], np.float64), (PICTURES, 1, 1))
    origin, right, lower = policies.carry(ends, (HEIGHT, WIDTH), *drawn).transpose(1, 0, 2)
    move = Move(np.stack([right - origin, lower - origin, origin], axis=-1), (HEIGHT, WIDTH), (HEIGHT, WIDTH))
    found = errors(policies.augment(pictures(), *drawn), move, boxes())
    tell(f"policy: {name}", True, found)
    assert found.max() < 0.71 * np.abs(move.maps[:, :, :2]).sum(axis=2).max()


def tell(name: str, nearest: bool, found: Array) -> None:
    """A row of the table that `pytest -s` shows."""
    how = "nearest pixel" if nearest else "exact"
    print(f"{name:24}{how:14}{found.size:8,} corners  worst {found.max():.2g} px", file=sys.stderr)
