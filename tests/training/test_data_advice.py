"""Warnings about data: classes without samples, batches beyond the data, pictures that move away from their targets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from cnntrain.config.load import load
from cnntrain.core.boxes import BOXES
from cnntrain.core.console import Console
from cnntrain.core.description import Description
from cnntrain.core.masks import MASKS
from cnntrain.core.registry import make
from cnntrain.parts.tasks.base import Task
from cnntrain.training.data_advice import names_alike, without_samples
from cnntrain.training.job import make_job

CONFIG = """\
data: {source: {type: npz, path: PATH}, val: 0.2}
model: {layers: [flatten, {type: dense, units: auto}]}
train: {epochs: 1, batch_size: 4}
"""
BOXED = """\
task: detect
data: {source: {type: shapes, samples: 40, size: 128, things: [2, 2]}, val: 0.2}
model: {preset: {type: fcos_small, width: 8, depth: 1, strides: [8]}}
train: {epochs: 1, batch_size: 8}
"""


def warned(folder: Path, capsys: pytest.CaptureFixture[str], y: Any, *sets: str) -> list[str]:
    """The warnings that a run on random pictures of these targets begins with."""
    y = np.asarray(y)
    np.savez(folder / "a.npz", x_train=np.random.default_rng(0).integers(0, 256, (len(y), 6, 6), np.uint8), y_train=y)
    (folder / "c.yaml").write_text(CONFIG.replace("PATH", str(folder / "a.npz")))
    make_job(load([folder / "c.yaml"], sets), 1, Console("none"))
    return [line.removeprefix("cnntrain: warning: ") for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (range(3), None),
        (range(1, 4), "class '0' has no training sample: labels are 1 to 3. Number them from 0: save y"),
        (range(1, 11), "class '0' has no training sample: labels are 1 to 10. Number them from 0: save y"),
        (
            (0, 1, 255),
            "253 of 256 classes have no training sample, first '2': some of the labels 0 to 255 do not occur",
        ),
        (
            (0, 2),
            "class '1' has no training sample: some of the labels 0 to 2 do not occur. Number those that do from",
        ),
    ],
)
def test_classes_without_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], labels: Any, said: str | None
) -> None:
    y = np.tile(np.array(labels), 40 // len(labels) + 1)
    found = warned(tmp_path, capsys, y)
    if said is None:
        assert found == []
        return
    (line,) = found
    assert line.startswith(said)
    assert line.endswith("[empty-classes]")
    assert warned(tmp_path, capsys, y, "warnings.ignore=[empty-classes]") == []
    _, renumbered = np.unique(y, return_inverse=True)  # what it advises
    assert warned(tmp_path, capsys, renumbered) == []


def test_a_class_that_has_a_name_is_called_by_it() -> None:
    said = "class 'cat' has no training sample: the network has an output for it that nothing teaches. Add samples"
    data, task = Description((2, 2, 1), ("cat", "dog")), cast(Task, make("tasks", "classify"))
    assert str(without_samples(task, data, (0, 3))).startswith(said)
    assert without_samples(task, data, (1, 3)) is None


def test_many_classes_of_one_sample_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = warned(tmp_path, capsys, range(12), "data.val=null", "warnings.ignore=[no-validation]")
    assert line.startswith("none of 12 classes has two training samples, so that nothing they share is learned. Check")
    assert line.endswith("[single-samples]")
    for labels in (range(9), [*range(12), 0]):
        assert warned(tmp_path, capsys, labels, "data.val=null", "warnings.ignore=[no-validation]") == []


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (("CAT", "Dog", "cat", "dog"), "'CAT' and 'cat' are two classes. If they are meant to be one, write"),
        (("stop sign", "stop-sign"), "'stop sign' and 'stop-sign' are two classes"),
        (("A", "a", "-10", "10", "1.5", "15", "c++", "c#"), None),
    ],
)
def test_names_that_differ_in_capitals_alone(classes: tuple[str, ...], said: str | None) -> None:
    found = names_alike(classes)
    assert found is None if said is None else str(found).startswith(said)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("detect", "class 'dog' has no training box: the network has an output for it that nothing teaches. Add"),
        (
            "segment",
            "class 'dog' has no training pixel: the network has an output for it that nothing teaches. Add samples, "
            "leave the class out, or see whether `ignore` takes its pixels",
        ),
    ],
)
def test_a_class_without_a_box_or_a_pixel(task: str, said: str) -> None:
    data = Description((6, 6, 1), ("cat", "dog"), target={"detect": BOXES, "segment": MASKS}[task])
    asked = cast(Task, make("tasks", task))
    targets = asked.blank(2, data)
    if task == "detect":
        targets["labels"][0, 0] = 0
    else:
        targets[0, 0] = 0  # the rest is ignored, as the foreground of 0 and 255 is
    assert str(without_samples(asked, data, asked.occurrences(targets, data))).startswith(said)


def test_a_batch_larger_than_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    y = np.arange(20) % 2
    (said,) = warned(tmp_path, capsys, y, "train.batch_size=17")
    assert said == (
        "train.batch_size is 17, more than there are training samples (16): each step sees all. Set train.batch_size "
        "to 4 or so [batch-beyond-data]"
    )
    assert warned(tmp_path, capsys, y, "train.batch_size=16") == []
    assert warned(tmp_path, capsys, y, "train.batch_size=4") == []


@pytest.mark.parametrize(
    "transform", ["hflip", "vflip", "{type: random_crop, padding: 2}", "{type: random_rotation, degrees: 9}"]
)
def test_transforms_that_move_pictures_away_from_their_targets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], transform: str
) -> None:
    places, loss = np.random.default_rng(0).random((20, 2), np.float32), "loss=mse"
    (said,) = warned(tmp_path, capsys, places, loss, f"data.train_transforms=[{transform}]")
    assert "move what a picture shows, and the targets stay as they are" in said
    assert said.endswith("[targets-stay]")
    assert warned(tmp_path, capsys, places, loss, "data.train_transforms=[invert]") == []
    assert warned(tmp_path, capsys, places[:, :1], loss, f"data.train_transforms=[{transform}]") == []
    assert warned(tmp_path, capsys, np.arange(20) % 2, f"data.train_transforms=[{transform}]") == []


def test_boxes_that_evaluation_does_not_see(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is said of what is moved and stays in view."""
    (tmp_path / "c.yaml").write_text(BOXED)

    def warned(*sets: str) -> list[str]:
        make_job(load([tmp_path / "c.yaml"], sets), 1, Console("none"))
        return [line.removeprefix("cnntrain: warning: ") for line in capsys.readouterr().err.splitlines()]

    crop = "[{type: center_crop, size: 32}]"
    sets = (f"data.train_transforms={crop}", f"data.eval_transforms={crop}")
    (said,) = warned(*sets)
    assert re.match(r"val: eval_transforms leave out \d+ box(es)? and a part of \d+ box(es)?: only what", said)
    assert said.endswith("[targets-cut-away]")
    assert warned(*sets, "warnings.ignore=[targets-cut-away]") == []
    resize = "[{type: resize, size: [32, 64]}]"
    assert warned(f"data.train_transforms={resize}", f"data.eval_transforms={resize}") == []


@pytest.mark.parametrize(
    ("columns", "named"),
    [("x,y", "x, y"), ("left_x,age", "left_x"), ("steering,speed", "steering"), ("xmin,box_height", "xmin, box_height"),
     ("age,weight", None), ("ray,fix", None)],
)  # fmt: skip
def test_targets_are_known_for_places_by_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], columns: str, named: str | None
) -> None:
    rng = np.random.default_rng(0)
    rows = [f"path,{columns}"]
    for number in range(20):
        Image.fromarray(rng.integers(0, 256, (6, 6), np.uint8)).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{number / 7},{number / 3}")
    (tmp_path / "a.csv").write_text("\n".join(rows))
    source = f"{{type: csv, path: {tmp_path / 'a.csv'}, targets: [{columns}]}}"
    found = warned(tmp_path, capsys, np.arange(20) % 2, f"data.source={source}", "data.cache=false", "loss=mse",
                   "data.train_transforms=[hflip]")  # fmt: skip
    assert found == [] if named is None else f"and {named} stay as they are" in found[0]
