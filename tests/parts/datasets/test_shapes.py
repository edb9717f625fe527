"""Shapes: true boxes and masks of what the pictures show."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.boxes import BOXES
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.datasets.shapes import Shapes


def made(split: str = "train", **fields: Any) -> Images:
    source: Shapes = registry.make("datasets", "shapes", **fields)
    return source.load(split)


def test_same_settings_same_bytes() -> None:
    first, second = made(samples=20), made(samples=20)
    assert first.pixels.tobytes() == second.pixels.tobytes()
    assert first.targets.tobytes() == second.targets.tobytes()
    assert made(samples=20, seed=1).pixels.tobytes() != first.pixels.tobytes()
    assert len(made("test", samples=20)) == 4
    assert first.target == BOXES


def test_boxes_and_masks_are_of_the_same_pictures() -> None:
    """Without noise the bright pixels are those of the mask, and every box is as tight as its shape is visible."""
    settings: dict[str, Any] = {"samples": 60, "noise": 0.0, "size": (48, 64), "classes": 6, "things": (0, 5)}
    boxes, masks = made(**settings), made(target="mask", **settings)
    assert boxes.pixels.tobytes() == masks.pixels.tobytes()
    assert masks.classes == ("background", *boxes.classes)
    assert masks.targets.shape == (60, 48, 64)
    bright = boxes.pixels.max(axis=3) >= 127
    np.testing.assert_array_equal(bright, masks.targets > 0)
    counts = set()
    for record, mask in zip(boxes.targets, masks.targets, strict=True):
        here = record["labels"] >= 0
        counts.add(int(here.sum()))
        covered = np.zeros(mask.shape, bool)
        for (x1, y1, x2, y2), label in zip(record["corners"][here].astype(int), record["labels"][here], strict=True):
            assert 0 <= x1 < x2 <= 64
            assert 0 <= y1 < y2 <= 48
            covered[y1:y2, x1:x2] = True
            assert (mask[y1:y2, x1:x2] == label + 1).any()
        assert not (mask > 0)[~covered].any()
    assert counts == {0, 1, 2, 3, 4, 5}


def test_a_box_is_tight() -> None:
    """One shape a picture: the box is that of its bright pixels."""
    alone = made(samples=40, things=(1, 1), noise=0.0, classes=6)
    for image, record in zip(alone.pixels, alone.targets, strict=True):
        rows, columns = np.nonzero(image.max(axis=2) >= 127)
        assert record["corners"][0].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"things": (3, 1)}, "things must not fall, got [3, 1]"),
        ({"things": (0, 0)}, "things must allow at least one, got [0, 0]"),
        ({"size": (64, 8)}, "size must be at least 16, or shapes cannot be told apart, got 8"),
        ({"classes": 7}, "classes must be"),
    ],
)
def test_settings_that_cannot_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        made(**fields)
