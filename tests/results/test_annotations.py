"""Annotations of a prediction: YOLO's text is read back as it was meant, COCO's results are what pycocotools reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntrain.api.model import load
from cnntrain.core import registry
from cnntrain.core.boxes import original
from cnntrain.core.display import Annotation
from cnntrain.core.errors import DataError, StorageError, UsageError
from cnntrain.ops.locations import BOX, QUALITY, SCORES
from cnntrain.parts.datasets.base import Images, Numbers
from cnntrain.parts.datasets.shapes import Shapes
from cnntrain.parts.tasks.detect import Detect
from cnntrain.reading.reader import Reader
from cnntrain.results.annotations import ResultsFile, TextFolder
from tests.support.experiments import call, run, write

CONFIG = """\
task: detect
data: {source: {type: coco, path: cells, size: 32}}
model: {preset: {type: fcos_small, width: 8, depth: 1, strides: [8]}}
optimizer: {type: adamw, lr: 2e-3}
train: {epochs: 1, batch_size: 6}
warnings: {ignore: [no-validation]}
"""
IDS = (3, 7, 20)  # of the categories: there are gaps


def pictures(n: int) -> Images:
    return Shapes(samples=n, size=32, things=(1, 3)).load("train")


def rows(target: Any, rng: np.random.Generator) -> np.ndarray:
    """Outputs of a network that finds nearly the boxes of a target, and one that is not there."""
    there = np.flatnonzero(target["labels"] >= 0)
    found = np.full((len(there) + 1, 8 + 3), -20.0, np.float32)
    found[:, BOX], found[:, QUALITY] = (1, 2, 9, 12), rng.uniform(0, 3, len(found))
    found[-1, SCORES.start] = 1
    for row, k in zip(found, there, strict=False):
        row[BOX], row[SCORES.start + target["labels"][k]] = target["corners"][k] + rng.normal(0, 1, 4), 4
    return found


def truth(images: Images, folder: Path) -> None:
    """The pictures, and their boxes as COCO has them."""
    folder.mkdir()
    listed, marked = [], []
    for i, (pixels, target) in enumerate(zip(images.pixels[:], images.targets, strict=True)):
        Image.fromarray(pixels).save(folder / f"p{i}.png")
        listed.append({"id": 100 - i, "file_name": f"p{i}.png", "height": 32, "width": 32})
        for k in np.flatnonzero(target["labels"] >= 0).tolist():
            x1, y1, x2, y2 = original(target["corners"][k].astype(np.float64), target["frame"]).tolist()
            box, area = [x1, y1, x2 - x1, y2 - y1], (x2 - x1) * (y2 - y1)
            row = {"id": len(marked) + 1, "image_id": 100 - i, "category_id": IDS[target["labels"][k]]}
            marked.append(row | {"bbox": box, "area": area, "iscrowd": 0})
    categories = [{"id": key, "name": name} for key, name in zip(IDS, images.classes, strict=True)]
    text = json.dumps({"images": listed, "annotations": marked, "categories": categories})
    (folder / "instances_train.json").write_text(text)


def moved(folder: Path, pictures: str) -> Path:
    """The file of a folder's boxes, after its pictures were moved to another folder, which is named nowhere."""
    (folder / pictures).mkdir(parents=True)
    for path in folder.glob("*.png"):
        path.rename(folder / pictures / path.name)
    return (folder / "instances_train.json").rename(folder / "held.json")


@pytest.fixture
def written(tmp_path) -> tuple[Images, list[np.ndarray], list[dict[str, Any]]]:
    """Pictures, what was found in them, and the results file."""
    images, rng = pictures(8), np.random.default_rng(0)
    truth(images, tmp_path / "cells")
    found = [rows(target, rng) for target in images.targets]
    numbers = registry.make("datasets", "coco", path=str(tmp_path / "cells")).numbers()
    file = ResultsFile(tmp_path / "results.json", Detect(), images.classes, numbers)
    for i, outputs in enumerate(found):
        file.add(str(tmp_path / f"cells/p{i}.png"), Detect().annotation(outputs, (32, 32), images.description))
    assert file.write().endswith("those of the annotations; category ids: 3 disc, 7 square, 20 triangle")
    return images, found, json.loads((tmp_path / "results.json").read_text())


def test_results_have_the_ids_of_the_annotations_and_all_digits(written) -> None:
    images, found, results = written
    for i, outputs in enumerate(found):
        mine = [row for row in results if row["image_id"] == 100 - i]
        boxes = Detect().found(outputs)
        assert [row["category_id"] for row in mine] == [IDS[label] for label in boxes.labels]
        assert np.array([row["score"] for row in mine], np.float32).tolist() == boxes.scores.tolist()
        corners = np.array([row["bbox"] for row in mine]) @ np.array(
            [[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0] * 3 + [1]]
        )
        np.testing.assert_allclose(corners, boxes.boxes, atol=1e-5)
    assert len({row["file_name"] for row in results}) == len(images)


def test_pycocotools_reads_them_and_measures_what_eval_does(written, tmp_path, capsys) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    from pycocotools.cocoeval import COCOeval

    images, found, _ = written
    real = coco.COCO(str(tmp_path / "cells/instances_train.json"))
    judge = COCOeval(real, real.loadRes(str(tmp_path / "results.json")), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    task, data = Detect(), images.description
    judged = np.concatenate([task.judged(o[None], t[None]) for o, t in zip(found, images.targets, strict=True)])
    ours = task.measured(judged, data)
    assert 0.2 < ours["ap"] < 0.95
    assert [ours["ap"], ours["ap50"], ours["ap75"]] == pytest.approx(judge.stats[:3].tolist(), abs=1e-9)


def test_text_files_are_read_back_as_they_were_meant(tmp_path) -> None:
    images, rng = pictures(6), np.random.default_rng(1)
    names = [str(tmp_path / f"guesses/p{i}.png") for i in range(6)]
    folder = TextFolder(tmp_path / "guesses", Detect(), images.classes, names)
    (tmp_path / "guesses").mkdir()
    found = [rows(target, rng) for target in images.targets]
    found[2][:, SCORES] = -20  # nothing: an empty file
    for name, pixels, outputs in zip(names, images.pixels[:], found, strict=True):
        Image.fromarray(pixels).save(name)
        folder.add(name, Detect().annotation(outputs, (32, 32), images.description))
    with pytest.raises(StorageError, match=r"classes.txt exists and classes would overwrite it. Say --overwrite"):
        TextFolder(tmp_path / "guesses", Detect(), images.classes, names)
    TextFolder(tmp_path / "guesses", Detect(), images.classes, names[:1], overwrite=True)
    source = registry.make("datasets", "yolo", root=str(tmp_path / "guesses"), size=32)
    assert source.found_classes() == list(images.classes)
    for outputs, target in zip(found, source.load("train", Reader()).targets, strict=True):
        shown = Detect().found(outputs)
        sure = shown.scores >= Detect().shown
        there = target["labels"] >= 0
        assert target["labels"][there].tolist() == shown.labels[sure].tolist()
        np.testing.assert_allclose(target["corners"][there], shown.boxes[sure].clip(0, 32), atol=1e-4)


def test_ids_without_annotations(tmp_path) -> None:
    one = Annotation((), ({"category_id": 1, "bbox": [0.0, 0.0, 1.0, 1.0], "score": 0.5},))
    numbers = Numbers({Path("/data/a.png"): 5}, {"x": 4, "y": 9})
    cases = [
        (["0042.jpg", "7.jpg"], None, [42, 7], 2),
        (["a.jpg", "7.jpg"], None, [1, 2], 2),
        (["1.jpg", "01.png"], None, [1, 2], 2),
        (["/elsewhere/a.png"], numbers, [5], 9),
        (["b.png", "c.png"], numbers, [1, 2], 9),
    ]
    for names, known, ids, category in cases:
        file = ResultsFile(tmp_path / "r.json", Detect(), ("x", "y"), known)
        for name in names:
            file.add(name, one)
        file.write()
        found = json.loads((tmp_path / "r.json").read_text())
        assert [row["image_id"] for row in found] == ids
        assert {row["category_id"] for row in found} == {category}
    file.add("a.png", one)
    with pytest.raises(UsageError, match=r"b.png has no id in the data's annotations"):
        file.write()
    with pytest.raises(UsageError, match=r"the class z is not a category of the data's annotations, .* x, y"):
        ResultsFile(tmp_path / "r.json", Detect(), ("z",), numbers).write()


def test_the_command_writes_both_from_a_score_on_and_refuses_what_has_no_boxes(tmp_path) -> None:
    truth(pictures(6), tmp_path / "cells")
    (tmp_path / "c.yaml").write_text(CONFIG)
    assert call("fit", "c.yaml", "-o", "run", "-q", cwd=tmp_path)[0] == 0
    asked = ("predict", "run", "cells", "--json", "--score")
    code, out, err = call(*asked, "0.06", "--coco", "r.json", "--txt", "guesses", cwd=tmp_path)
    assert code == 0, err
    assert "r.json: image ids are those of the annotations; category ids: 3 disc, 7 square, 20 triangle" in err
    answers = {Path(row["path"]).stem: row["boxes"] for row in json.loads(out)["predictions"]}
    results = json.loads((tmp_path / "r.json").read_text())
    scores = [row["score"] for row in results]
    assert scores
    assert min(scores) >= 0.06
    for name, boxes in answers.items():
        assert len(boxes) == len((tmp_path / f"guesses/{name}.txt").read_text().splitlines())
        assert len(boxes) == sum(row["file_name"] == f"{name}.png" for row in results)
    failing = ("predict", "run", "cels", "--txt", "fixed", "--draw", "drawn")
    assert call(*failing, cwd=tmp_path)[0] != 0
    assert not [name for name in ("fixed", "drawn") if (tmp_path / name).exists()]
    (tmp_path / "file").touch()
    code, _, err = call("predict", "run", "cells", "--txt", "file", cwd=tmp_path)
    assert code != 0
    assert "file" in err.splitlines()[-1]
    code, out, _ = call(*asked, "1", cwd=tmp_path)
    assert not any(row["boxes"] for row in json.loads(out)["predictions"])


def test_results_have_the_ids_of_other_annotations_if_told_to(tmp_path, monkeypatch):
    """And where those of training have moved, the message says how to name them."""
    monkeypatch.chdir(tmp_path)
    truth(pictures(6), tmp_path / "cells")
    run(write(tmp_path, CONFIG), tmp_path / "run")
    truth(pictures(3), tmp_path / "other")
    (tmp_path / "cells").rename(tmp_path / "moved")
    with load("run", threads=1) as model, pytest.raises(DataError) as refused:
        model.trained.numbers()
    assert str(refused.value) == (
        f"{tmp_path / 'cells'} does not exist: the data of {model.path} is looked for there. Say where it "
        "lies with --set data.source.path=PATH; relative paths count from the working directory"
    )
    for folder, count in (("moved", 6), ("other", 3)):
        with load("run", threads=1, set={"data.source.path": folder}) as model:
            numbers = model.trained.numbers()
            assert numbers.pictures[tmp_path / folder / "p1.png"] == 99
            assert (len(numbers.pictures), [*numbers.classes.values()]) == (count, [*IDS])


@pytest.mark.parametrize("place", ["Fotos der Prüfung", "../elsewhere"])
def test_other_data_whose_pictures_lie_in_a_folder_of_any_name(tmp_path, monkeypatch, place):
    """The message says what works: to name the folder, or to have it, or a link to it, beside the file as images."""
    monkeypatch.chdir(tmp_path)
    truth(pictures(6), tmp_path / "cells")
    run(write(tmp_path, CONFIG), tmp_path / "run")
    truth(pictures(8), tmp_path / "other")
    with load("run", threads=1) as model:
        expected = model.evaluate(data="other") | {"data": ""}
        held = moved(tmp_path / "other", place)
        folder = held.parent / place
        with pytest.raises(DataError) as refused:
            model.evaluate(data=held)
        assert str(refused.value) == (
            f"{held}: none of its 8 pictures, such as 'p0.png', lies in {held.parent} or a usual folder there, such as "
            "images. Set images to the folder that their names count from (eval --data takes --set "
            "data.source.images=FOLDER), or put it, or a link to it, beside the file as images"
        )
    with load("run", threads=1, set={"data.source.images": str(folder)}) as model:
        assert model.evaluate(data=held) | {"data": ""} == expected
    (held.parent / "images").symlink_to(folder)
    with load("run", threads=1, set={"data.source.images": "nowhere", "data.source.path": "nothing"}) as model:
        assert model.evaluate(data=held) | {"data": ""} == expected
