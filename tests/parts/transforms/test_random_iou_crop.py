"""The random crop that keeps sight of things."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntrain.checks.contracts.transform import draws
from cnntrain.core import registry
from cnntrain.core.boxes import Boxes, moved, packed, things

SHAPE = (48, 64, 3)
N = 300


def crop(**fields: Any) -> Any:
    return registry.make("transforms", "random_iou_crop", **fields)


def test_every_crop_sees_a_thing_or_is_none() -> None:
    """Whatever is drawn, an image that showed something shows something; and most are cut."""
    rng = np.random.default_rng(4)
    corners = np.sort(rng.uniform(0, 1, (N, 3, 2, 2)), axis=2).reshape(N, 3, 4) * [64, 48, 64, 48]
    plain = np.tile(np.array([1, 1, 0, 0], np.float32), (N, 1))
    pictures = [
        Boxes(SHAPE[:2], one[np.ptp(one.reshape(3, 2, 2), axis=1).min(axis=1) > 4].astype(np.float32))
        for one in corners
    ]
    pictures = [Boxes(one.size, one.corners, np.zeros(len(one), np.int64)) for one in pictures]
    records = packed(pictures, plain)
    looking = crop().looking(things(records))
    move = looking.follow(SHAPE, draws(range(N)))
    after = moved(records, move)
    before, left = ((found["labels"] >= 0).sum(axis=1) for found in (records, after))
    assert (left[before > 0] > 0).mean() > 0.98, "one cut to a sliver may go"
    whole = (np.abs(move.maps - np.array([[1, 0, 0], [0, 1, 0]])) < 1e-12).all(axis=(1, 2))
    assert 0.1 < whole.mean() < 0.6


def test_the_overlap_that_is_asked_for_is_had() -> None:
    """A small thing in a corner: no crop can overlap it by 0.1 of their union, so that only overlap 0 cuts it."""
    seen = np.tile(np.array([[[0, 0, 6, 4]]], np.float32), (N, 1, 1))
    move = crop().looking(seen).follow(SHAPE, draws(range(N)))
    cut = ~(np.abs(move.maps - np.array([[1, 0, 0], [0, 1, 0]])) < 1e-12).all(axis=(1, 2))
    centers = move.points(np.tile(np.array([[[3.0, 2.0]]]), (N, 1, 1)))[:, 0]
    assert 0.02 < cut.mean() < 1 / 7 + 0.06
    assert ((centers > 0) & (centers < [64, 48])).all(), "its center stays in sight"


def test_where_there_is_nothing_any_crop_will_do() -> None:
    nothing = np.full((N, 2, 4), np.nan, np.float32)
    one, two = (part.follow(SHAPE, draws(range(N))) for part in (crop().looking(nothing), crop()))
    assert one.maps.tobytes() == two.maps.tobytes()
