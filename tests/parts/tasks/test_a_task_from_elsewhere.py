"""A task of another kind, whose targets vary in number: one source, one task, one loss and one metric, no third place.

Each picture has one or more bright points; the network is asked for the place of one of them. Targets are records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.description import Description
from cnntrain.core.display import Answer, Gallery, Section
from cnntrain.engine.pool import Pool
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.losses.base import Loss
from cnntrain.parts.metrics.base import Mean
from cnntrain.parts.tasks.base import Evaluation, Task
from cnntrain.reading.reader import ALONE, Reader
from cnntrain.results.report import sections
from cnntrain.results.report.judged import judging
from cnntrain.rundir.history import read
from cnntrain.trained.inference import Trained
from tests.support.experiments import run

MOST, SIDE = 3, 8
POINTS = np.dtype([("count", np.int64), ("places", np.float32, (MOST, 2))])  # a target: so many rows of places count


def nearest(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """Squared distances (n,) from outputs (n, 2) to the nearest of each sample's points, and the way from there."""
    ways = outputs[:, None] - targets["places"]
    squares = np.square(ways).sum(axis=2)
    squares[np.arange(MOST) >= targets["count"][:, None]] = np.inf
    best = squares.argmin(axis=1)
    rows = np.arange(len(outputs))
    return squares[rows, best], ways[rows, best]


@dataclass(frozen=True)
class Spots(Dataset):
    """Dark pictures with one to three bright points."""

    samples: int = 60

    def splits(self) -> tuple[str, ...]:
        """Both."""
        return ("train", "test")

    def load(self, split: str, reader: Reader = ALONE) -> Images:
        """Draw."""
        rng = np.random.default_rng(split == "test")
        pixels, targets = np.zeros((self.samples, SIDE, SIDE, 1), np.uint8), np.zeros(self.samples, POINTS)
        for image, target in zip(pixels, targets, strict=True):
            target["count"] = rng.integers(1, MOST + 1)
            for place in target["places"][: target["count"]]:
                y, x = rng.integers(0, SIDE, 2)
                image[y, x], place[...] = 255, (y / SIDE, x / SIDE)
        return Images(pixels, targets, (), target="points")


@dataclass(frozen=True)
class Near(Loss):
    """Half the squared distance to the nearest point."""

    scores: ClassVar[tuple[str, ...]] = ("points",)

    def score(self, outputs: Array, targets: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """Losses and gradient."""
        squares, ways = nearest(outputs, targets)
        losses[...] = squares / 2
        if d_outputs is not None:
            d_outputs[...] = ways * weights[:, None]


@dataclass(frozen=True)
class Distance(Mean):
    """The mean distance."""

    scores: ClassVar[tuple[str, ...]] = ("points",)

    def each(self, outputs: Array, targets: Array) -> Array:
        """Of each sample."""
        return np.sqrt(nearest(outputs.astype(np.float64), targets)[0])


@dataclass(frozen=True)
class Point(Task):
    """Where a bright point is."""

    target: ClassVar[str] = "points"
    loss: ClassVar[str] = "near"
    metrics: ClassVar[tuple[str, ...]] = ("distance",)
    usual_metrics: ClassVar[tuple[str, ...]] = ("distance",)

    def outputs(self, data: Description) -> int:
        """Two."""
        return 2

    def blank(self, n: int, data: Description) -> Array:
        """One point in the corner."""
        targets = np.zeros(n, POINTS)
        targets["count"] = 1
        return targets

    def random(self, n: int, data: Description, rng: np.random.Generator) -> Array:
        """One point anywhere."""
        targets = self.blank(n, data)
        targets["places"] = rng.random((n, MOST, 2))
        return targets

    def amount(self, data: Description, each: bool = False) -> str:
        """Points."""
        return "points"

    def answer(self, outputs: Array, data: Description, top: int = 1) -> Answer:
        """A place."""
        y, x = outputs.tolist()
        return Answer(f"at {y:.2f}, {x:.2f}", {"point": [y, x]}, ("y", "x"), ((y, x),))

    def evaluated(self, data: Description) -> tuple[str, ...]:
        """The distance."""
        return ("distance",)

    def mistakes(self, evaluation: Evaluation) -> Array:
        """The farthest first."""
        return np.argsort(-nearest(evaluation.outputs, evaluation.targets)[0], kind="stable")

    def report(self, evaluation: Evaluation) -> list[Section]:
        """The farthest."""
        positions = self.mistakes(evaluation)[:4]
        return [Section("Farthest", [Gallery("far", "farthest", positions, [("far away",)] * 4)])]


CONFIG = """\
name: spots
data: {source: spots, val: 0.2, train_transforms: [invert]}
model: {layers: [flatten, {type: dense, units: 16}, relu, {type: dense, units: auto}]}
task: point
optimizer: {type: adam, lr: 0.01}
train: {epochs: 3, batch_size: 8}
checkpoint: {best: {monitor: val/distance}}
"""


@pytest.fixture
def known(monkeypatch) -> None:
    """The parts above, as if files of the package held them."""
    named = {"datasets": ("spots", Spots), "losses": ("near", Near), "metrics": ("distance", Distance)}
    for kind, (name, cls) in (named | {"tasks": ("point", Point)}).items():
        registry.parts(kind)
        monkeypatch.setitem(registry._parts[kind], name, cls)
        monkeypatch.setattr(cls, "name_in_config", name, raising=False)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("line", ["task: point\n", "loss: near\n"], ids=["named", "found"])
def test_it_trains_evaluates_predicts_and_reports(tmp_path, line) -> None:
    (tmp_path / "spots.yaml").write_text(CONFIG.replace("task: point\n", line))
    run(tmp_path / "spots.yaml", tmp_path / "run")
    with Pool(1) as pool:
        trained = Trained(tmp_path / "run", pool)
        document: dict[str, Any] = trained.evaluate("test")
        assert trained.network.task == Point()
        assert trained.description == Description((SIDE, SIDE, 1), (), 0, "points")
    assert 0 < document["distance"] < 1
    with judging(read(tmp_path / "run"), "test", (), 1) as judged:
        told = trained.network.task.report(judged.evaluation)
        assert sections.markup(told[0], judged).count("far away") == 4
        assert judged.measured["distance"] == pytest.approx(document["distance"])
