"""Mosaic: boxes lie where their pixels lie, in every quarter, however the batch is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from cnntrain.core import boxes, registry
from cnntrain.core.arrays import Array
from cnntrain.core.boxes import Boxes, packed
from cnntrain.core.description import Description
from cnntrain.core.moves import Move
from cnntrain.data import loader
from cnntrain.data.loader import Samples
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.tasks.base import Task

HEIGHT, WIDTH, N = 40, 60, 12


@dataclass(frozen=True)
class Boxed(Task):
    """Boxes, and nothing else of a task."""

    target: ClassVar[str] = "boxed"
    loss: ClassVar[str] = "mse"
    usual_metrics: ClassVar[tuple[str, ...]] = ()
    follows: ClassVar[bool] = True

    def amount(self, data: Description, each: bool = False) -> str:
        """Any."""
        return "boxes"

    def moved(self, targets: Array, move: Move) -> Array:
        """As boxes are."""
        return boxes.moved(targets, move)

    def joined(self, parts: Any) -> Array | None:
        """As boxes are."""
        return boxes.joined(parts)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "following", lambda data: Boxed() if data.target == "boxed" else None)


def images() -> Images:
    """One box of its own brightness in each."""
    pixels = np.zeros((N, HEIGHT, WIDTH, 1), np.float32)
    pictures = []
    rng = np.random.default_rng(6)
    for i, image in enumerate(pixels):
        x, y = rng.integers(0, WIDTH - 24), rng.integers(0, HEIGHT - 18)
        image[y : y + 18, x : x + 24] = 0.5 + i / 40
        corners = np.array([[x, y, x + 24, y + 18]], np.float32)
        pictures.append(Boxes((HEIGHT, WIDTH), corners, np.array([i])))
    return Images(pixels, packed(pictures, np.tile(np.array([1, 1, 0, 0], np.float32), (N, 1))), (), target="boxed")


def filled(transforms: tuple[Any, ...], start: int = 0, stop: int = N, epoch: int = 0) -> tuple[Array, Array]:
    x = np.empty((stop - start, HEIGHT, WIDTH, 1), np.float32)
    targets, _ = Samples(images(), np.arange(N), transforms, seed=2, epoch=epoch).fill(start, stop, x)
    return x, targets


MOSAIC = registry.make("transforms", "mosaic")


def test_boxes_lie_where_their_pixels_lie() -> None:
    """The middle of a box has the brightness of its picture; bright pixels lie in boxes, or are what was dropped."""
    seen: set[int] = set()
    for epoch in range(20):
        x, targets = filled((MOSAIC,), epoch=epoch)
        assert targets["labels"].shape == (N, 4)
        for place, (image, record) in enumerate(zip(x[..., 0], targets, strict=True)):
            here = record["labels"] >= 0
            bright = image > 0.47
            for (x1, y1, x2, y2), label in zip(record["corners"][here], record["labels"][here], strict=True):
                if min(x2 - x1, y2 - y1) > 4:
                    assert image[int((y1 + y2) / 2), int((x1 + x2) / 2)] == pytest.approx(0.5 + label / 40, abs=1e-5)
                assert label in {(place - k) % N for k in range(4)}
                bright[max(int(y1) - 1, 0) : int(y2) + 2, max(int(x1) - 1, 0) : int(x2) + 2] = False
            if here.all():
                assert not bright.any()
            seen.add(int(here.sum()))
    assert {2, 3, 4} <= seen


def test_any_cut_of_the_batch_gives_the_same_bits() -> None:
    transforms = (registry.make("transforms", "hflip"), MOSAIC, registry.make("transforms", "random_crop", padding=3))
    whole, targets = filled(transforms)
    for start, stop in ((0, 1), (5, 9), (N - 1, N)):
        some, theirs = filled(transforms, start, stop)
        assert some.tobytes() == whole[start:stop].tobytes()
        assert theirs.tobytes() == targets[start:stop].tobytes()


def test_some_stay_as_they_are() -> None:
    x, targets = filled((registry.make("transforms", "mosaic", probability=0.5),))
    plain = images()
    same = np.array([np.array_equal(ours, theirs) for ours, theirs in zip(x, plain.pixels, strict=True)])
    assert 0 < same.sum() < N
    assert (targets["labels"][same, 1:] == -1).all()
    np.testing.assert_array_equal(targets["corners"][same, 0], plain.targets["corners"][same, 0])


def test_a_mask_would_follow_too() -> None:
    """Each tile's numbers lie in its own window."""
    from cnntrain.checks.contracts.transform import draws

    tiles = MOSAIC.tiles((HEIGHT, WIDTH, 1), draws(range(5)))
    grids = np.ones((5, HEIGHT, WIDTH), np.uint8)
    shown = np.stack([move.pixels(grids, 0) for move in tiles])
    assert shown.sum(axis=0).max() == 1, "no pixel shows two"
    assert (shown.sum(axis=(2, 3)) > 0).all()


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="scale must be two shares from 0 to 1"):
        registry.make("transforms", "mosaic", scale=(0.5, 1.5))
