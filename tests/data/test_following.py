"""Targets that are places in the picture: moved with what it shows, or the transform is refused at its line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from cnntrain.config.load import load
from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.description import Description
from cnntrain.core.errors import ConfigError
from cnntrain.core.moves import Move
from cnntrain.core.registry import make
from cnntrain.data.loader import Samples
from cnntrain.network import build
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.losses.base import Loss
from cnntrain.parts.tasks.base import Task
from cnntrain.reading.reader import ALONE, Reader

HEIGHT, WIDTH = 6, 8


@dataclass(frozen=True)
class Lit(Dataset):
    """Dark pictures with one bright pixel, whose center (x, y) is the target."""

    def splits(self) -> tuple[str, ...]:
        """One."""
        return ("train",)

    def describe(self) -> Description:
        """Two numbers."""
        return Description((HEIGHT, WIDTH, 1), (), 2, "marks")

    def load(self, split: str, reader: Reader = ALONE) -> Images:
        """Light them."""
        rng = np.random.default_rng(5)
        pixels, targets = np.zeros((40, HEIGHT, WIDTH, 1), np.uint8), np.zeros((40, 2), np.float32)
        for image, target in zip(pixels, targets, strict=True):
            x, y = rng.integers(WIDTH), rng.integers(HEIGHT)
            image[y, x], target[...] = 255, (x + 0.5, y + 0.5)
        return Images(pixels, targets, (), target="marks")


@dataclass(frozen=True)
class Mark(Task):
    """Where the bright pixel is."""

    target: ClassVar[str] = "marks"
    loss: ClassVar[str] = "away"
    usual_metrics: ClassVar[tuple[str, ...]] = ()
    follows: ClassVar[bool] = True

    def outputs(self, data: Description) -> int:
        """Two."""
        return 2

    def amount(self, data: Description, each: bool = False) -> str:
        """One."""
        return "a mark"

    def moved(self, targets: Array, move: Move) -> Array:
        """Moved as points are."""
        return move.points(targets[:, None])[:, 0]


@dataclass(frozen=True)
class Away(Loss):
    """Half the squared distance."""

    scores: ClassVar[tuple[str, ...]] = ("marks",)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts above, as if files of the package held them."""
    for kind, name, cls in (("datasets", "lit", Lit), ("losses", "away", Away), ("tasks", "mark", Mark)):
        registry.parts(kind)
        monkeypatch.setitem(registry._parts[kind], name, cls)
        monkeypatch.setattr(cls, "name_in_config", name, raising=False)


def test_targets_go_where_the_picture_goes() -> None:
    """The draws are the same for both, in every epoch and at every place of the list."""
    images = Lit().load("train")
    transforms = (
        make("transforms", "hflip"),
        make("transforms", "invert", probability=1.0),
        make("transforms", "hflip"),
    )
    moved = set()
    for epoch in range(3):
        x = np.empty((40, HEIGHT, WIDTH, 1), np.float32)
        targets, _ = Samples(images, np.arange(40), transforms, seed=9, epoch=epoch).fill(0, 40, x)
        for image, (column, row), before in zip(x[..., 0], targets, images.targets, strict=True):
            assert image[int(row), int(column)] == 0, "inverted, the brightest pixel is the darkest"
            moved.add(bool(column != before[0]))
    assert moved == {True, False}
    assert images.targets.tolist() == Lit().load("train").targets.tolist(), "what is stored stays"


CONFIG = """\
name: lit
data:
  source: lit
  train_transforms: [hflip, TRAIN]
  eval_transforms: [EVAL]
model: {layers: [flatten, {type: dense, units: auto}]}
loss: away
optimizer: {type: adam, lr: 0.01}
train: {epochs: 3, batch_size: 8}
"""
MOVES = (
    ": it moves what a picture shows and cannot say where to, so that targets that are places in the picture cannot "
    "follow. Remove it, or do it to the pictures and their annotations beforehand"
)


@pytest.mark.parametrize(
    ("train", "evaluation", "line", "message"),
    [
        ("haar", "haar", 4, "haar" + MOVES),
        ("mixup", "invert", 4, "mixup: it adds up targets by weights, and places in a picture cannot be added up"),
        ("cutmix", "invert", 4, "cutmix: it adds up targets by weights, and places in a picture cannot be added up"),
    ],
)
def test_what_they_cannot_follow_is_refused_at_its_line(
    tmp_path: Path, train: str, evaluation: str, line: int, message: str
) -> None:
    path = tmp_path / "lit.yaml"
    path.write_text(CONFIG.replace("TRAIN", train).replace("EVAL", evaluation))
    loaded = load([path])
    with pytest.raises(ConfigError) as caught:
        build.network(loaded, Lit().describe())
    assert f"lit.yaml:{line}:" in str(caught.value)
    assert message in str(caught.value)


PLAIN = """\
name: plain
data: {source: {type: synthetic, samples: 20}, train_transforms: [hflip, TRANSFORM]}
model: {layers: [flatten, {type: dense, units: auto}]}
optimizer: {type: adam, lr: 0.01}
train: {epochs: 1, batch_size: 4}
"""


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        ("random_iou_crop", "random_iou_crop needs boxes around things, but the data has classes: remove it"),
        ("mosaic", "mosaic joins pictures, but classes cannot be joined: remove it"),
    ],
)
def test_what_needs_boxes_is_refused_where_there_are_none(tmp_path: Path, transform: str, message: str) -> None:
    path = tmp_path / "plain.yaml"
    path.write_text(PLAIN.replace("TRANSFORM", transform))
    loaded = load([path])
    with pytest.raises(ConfigError) as caught:
        build.network(loaded, Description((16, 16, 1), ("a", "b")))
    assert "plain.yaml:2:" in str(caught.value)
    assert message in str(caught.value)
