"""Pictures with boxes: four formats say the same, and every fault in them is an error, or mended and counted."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntrain.checks.contact_sheet import Strip, render
from cnntrain.checks.proposal import propose
from cnntrain.core import registry
from cnntrain.core.boxes import CROWD, DIFFICULT
from cnntrain.core.errors import DataError
from cnntrain.data.recognition import recognize
from cnntrain.parts.datasets.boxed_pictures import BoxedPictures
from cnntrain.parts.datasets.images import Images
from cnntrain.reading.reader import Reader
from tests.support.datasets import SHARED
from tests.support.experiments import run

HEIGHT, WIDTH = 20, 30
BOXES = {"a": [("cat", 2, 3, 12, 9), ("dog", 0, 0, 30, 20)], "b": [("cat", 5, 5, 8, 7)], "c": []}  # x1, y1, x2, y2


def picture(path: Path, height: int = HEIGHT, width: int = WIDTH, orientation: int = 1) -> None:
    """A picture file, all grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[274] = orientation
    Image.new("RGB", (width, height), (90, 90, 90)).save(path, exif=exif)


def put(path: Path, text: str) -> None:
    """A text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def xml(boxes: list[tuple[Any, ...]], name: str = "a.jpg", size: tuple[int, int] = (WIDTH, HEIGHT)) -> str:
    """An annotation of VOC, its indices from 1."""
    things = "".join(
        f"<object><name>{label}</name><difficult>{int(label == 'hard')}</difficult><bndbox><xmin>{x1 + 1}</xmin>"
        f"<ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for label, x1, y1, x2, y2 in boxes
    )
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return f"<annotation><filename>{name}</filename>{sides}{things}</annotation>"


def voc(root: Path) -> dict[str, Any]:
    """The pictures as VOC has them."""
    for name, boxes in BOXES.items():
        picture(root / f"JPEGImages/{name}.jpg")
        put(root / f"Annotations/{name}.xml", xml(boxes, f"{name}.jpg"))
    put(root / "ImageSets/Main/train.txt", "\n".join(BOXES) + "\n")
    return {"root": str(root)}


def instances() -> dict[str, Any]:
    """The pictures as COCO has them; the ids have gaps."""
    annotations = [
        {
            "id": 10 * i + j,
            "image_id": i,
            "category_id": {"cat": 3, "dog": 7}[label],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
        }
        for i, boxes in enumerate(BOXES.values())
        for j, (label, x1, y1, x2, y2) in enumerate(boxes)
    ]
    images = [{"id": i, "file_name": f"{name}.jpg", "width": WIDTH, "height": HEIGHT} for i, name in enumerate(BOXES)]
    names = [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]
    return {"images": images, "annotations": annotations, "categories": names}


def coco(root: Path) -> dict[str, Any]:
    """Written."""
    for name in BOXES:
        picture(root / f"train2017/{name}.jpg")
    put(root / "annotations/instances_train2017.json", json.dumps(instances()))
    return {"path": str(root)}


def yolo(root: Path) -> dict[str, Any]:
    """The pictures as Ultralytics has them."""
    for name, boxes in BOXES.items():
        picture(root / f"images/train/{name}.jpg")
        rows = [
            f"{['cat', 'dog'].index(label)} {(x1 + x2) / 2 / WIDTH:.6f} {(y1 + y2) / 2 / HEIGHT:.6f} "
            f"{(x2 - x1) / WIDTH:.6f} {(y2 - y1) / HEIGHT:.6f}\n"
            for label, x1, y1, x2, y2 in boxes
        ]
        put(root / f"labels/train/{name}.txt", "".join(rows))
    put(root / "data.yaml", "train: images/train\nnames: [cat, dog]\n")
    return {"root": str(root)}


def boxes_csv(root: Path) -> dict[str, Any]:
    """The pictures as a table has them."""
    rows = ["path,x1,y1,x2,y2,class"]
    for name, boxes in BOXES.items():
        picture(root / f"pictures/{name}.jpg")
        rows += [f"pictures/{name}.jpg,{x1},{y1},{x2},{y2},{label}" for label, x1, y1, x2, y2 in boxes]
        rows += [f"pictures/{name}.jpg,,,,,"] * (not boxes)
    put(root / "train.csv", "\n".join(rows) + "\n")
    return {"path": str(root)}


FORMATS = {"voc": voc, "coco": coco, "yolo": yolo, "boxes_csv": boxes_csv}


def load(name: str, told: list[str] | None = None, **fields: Any) -> Images:
    source: BoxedPictures = registry.make("datasets", name, **fields)
    reader = Reader(warn=(told if told is not None else []).append)
    return source.load("train", reader)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("train: images/train", {"train": "abc"}),
        ("path: .\ntrain: images/train\nval: [more/images, images/train]", {"train": "abc", "val": "abcd"}),
        ("train: ../images/train\nval: listed.txt\ntest: nowhere", {"train": "abc", "val": "ad"}),  # as Roboflow
        ("path: more\ntrain: images\nval:", {"train": "d"}),
    ],
)
def test_the_paths_of_a_data_yaml_are_followed(said: str, expected: dict[str, str], tmp_path: Path) -> None:
    yolo(tmp_path)
    picture(tmp_path / "more/images/d.jpg")
    put(tmp_path / "more/labels/d.txt", "1 0.5 0.5 0.2 0.2\n")
    put(tmp_path / "listed.txt", "./images/train/a.jpg\n\nmore/images/d.jpg\n")
    put(tmp_path / "data.yaml", f"{said}\nnames: [cat, dog]\n")
    source: BoxedPictures = registry.make("datasets", "yolo", root=str(tmp_path))
    found = {split: "".join(page.picture.stem for page in source.pages(split)) for split in source.splits()}
    assert found == expected
    assert all(page.boxes for page in source.pages("train") if page.picture.stem != "c")


@pytest.mark.parametrize("name", FORMATS)
def test_a_first_config_trains_a_detector(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = FORMATS[name](tmp_path / "cells")
    (tmp_path / "c.yaml").write_text(propose(Path(next(iter(place.values()))), Path("c.yaml")).text)
    sets = ("data.val=null", "checkpoint.best.monitor=null", "model.preset.width=4", "warnings.ignore=[no-validation]")
    sets += ("train.batch_size=3",)  # all of them, without any that validate
    summary = run(tmp_path / "c.yaml", tmp_path / "run", (*sets, "train.epochs=1"))
    assert summary["state"] == "finished"
    assert "size 32x32x3: that of the middle picture in multiples of 32" in (tmp_path / "c.yaml").read_text()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_the_same(name: str, tmp_path: Path) -> None:
    told: list[str] = []
    images = load(name, told, **FORMATS[name](tmp_path))
    assert told == []
    assert images.classes == ("cat", "dog")
    assert [Path(file).stem for file in images.names] == ["a", "b", "c"]
    for record, boxes in zip(images.targets, BOXES.values(), strict=True):
        here = record["labels"] >= 0
        assert [images.classes[label] for label in record["labels"][here]] == [label for label, *_ in boxes]
        wanted = np.array([corners for _, *corners in boxes], np.float32).reshape(-1, 4)
        np.testing.assert_allclose(record["corners"][here], wanted, atol=1e-4)
        assert record["size"].tolist() == [HEIGHT, WIDTH]


@pytest.mark.parametrize("names", ["abc", "123"])  # numbered, pictures look like the moments of a clip
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_recognized(name: str, names: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "BOXES", dict(zip(names, BOXES.values(), strict=True)))
    FORMATS[name](tmp_path)
    found = recognize(tmp_path)
    assert found.name_in_config == name
    assert isinstance(found, BoxedPictures)
    assert found.size == (32, 32)
    assert len(found.load("train")) == 3


def labelimg(root: Path) -> None:
    """XML files in one folder, pictures in another of any name."""
    voc(root)
    (root / "Annotations").rename(root / "annotations")
    (root / "JPEGImages").rename(root / "photos")


def cvat(root: Path) -> None:
    """One file for all pictures."""
    coco(root)
    (root / "annotations/instances_train2017.json").rename(root / "annotations/instances_default.json")
    (root / "train2017").rename(root / "images")


def roboflow_coco(root: Path) -> None:
    """A folder for each split, and a category above all others."""
    found = instances()
    found["categories"] = [{"id": 0, "name": "pets", "supercategory": "none"}] + [
        each | {"supercategory": "pets"} for each in found["categories"]
    ]
    for name in BOXES:
        picture(root / f"train/{name}.jpg")
    put(root / "train/_annotations.coco.json", json.dumps(found))


def roboflow_csv(root: Path) -> None:
    """A folder for each split, its table beside the pictures."""
    boxes_csv(root)
    (root / "pictures").rename(root / "train")
    text = (
        (root / "train.csv")
        .read_text()
        .replace("pictures/", "")
        .replace("path,x1,y1,x2,y2", "filename,xmin,ymin,xmax,ymax")
    )
    put(root / "train/_annotations.csv", text)
    (root / "train.csv").unlink()


def ultralytics(root: Path) -> None:
    """Two splits, and a path that is another machine's."""
    yolo(root)
    picture(root / "images/val/d.jpg")
    put(root / "labels/val/d.txt", "0 0.5 0.5 0.1 0.1\n")
    put(
        root / "data.yaml",
        "path: ../datasets/pets\ntrain: images/train\nval: images/val\ntest:\nnames: {0: cat, 1: dog}\n",
    )


def spaced_voc(root: Path) -> None:
    """Pictures whose names have spaces."""
    voc(root)
    for name in BOXES:
        (root / f"JPEGImages/{name}.jpg").rename(root / f"JPEGImages/my {name} 1.jpg")
        (root / f"Annotations/{name}.xml").rename(root / f"Annotations/my {name} 1.xml")
    put(root / "ImageSets/Main/train.txt", "my a 1\nmy b 1 \n  my c 1\n")


def capitals_csv(root: Path) -> None:
    """Columns as other tools spell them."""
    boxes_csv(root)
    text = (root / "train.csv").read_text()
    put(root / "train.csv", text.replace("path,x1,y1,x2,y2,class", "Image_Path,XMin,YMin,XMax,YMax,Class Name"))


def only_coco(root: Path) -> None:
    """One file of any name, beside its pictures."""
    coco(root)
    (root / "annotations/instances_train2017.json").rename(root / "Pets 2026 (Export).json")
    (root / "annotations").rmdir()
    (root / "train2017").rename(root / "images")


@pytest.mark.parametrize(
    "write", [labelimg, cvat, roboflow_coco, roboflow_csv, ultralytics, spaced_voc, capitals_csv, only_coco]
)
def test_what_tools_write_is_recognized(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path)
    found: Any = recognize(tmp_path)
    images = found.load("train")
    assert (images.classes, len(images)) == (("cat", "dog"), 3)
    assert np.bincount(images.targets["labels"].ravel() + 1)[1:].tolist() == [2, 1]


def test_coco_is_known_by_the_name_of_its_file_or_by_what_it_holds(tmp_path: Path) -> None:
    """What is named like COCO's is told its fault; a file of another name is COCO's if it has the three lists."""
    coco(tmp_path)
    found = instances()
    del found["annotations"]
    put(tmp_path / "annotations/instances_train2017.json", json.dumps(found))
    with pytest.raises(DataError, match=r"instances_train2017.json has no list of annotations, expected images, ann"):
        recognize(tmp_path)
    (tmp_path / "annotations/instances_train2017.json").rename(tmp_path / "other.json")
    with pytest.raises(DataError, match=r"2 or more|holds no images"):
        recognize(tmp_path)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("train2017\\{}.jpg", "The path has backslashes, as Windows writes them: write / instead"),
        ("https://example.org/{}.jpg", "URLs are not fetched: download what is there, and name the files"),
        ("{}", "train2017/a.jpg: write a.jpg in place of a"),
        ("elsewhere/{}.jpg", "Set images to the folder that their names count from"),
    ],
)
def test_why_no_picture_of_a_coco_file_is_found(name: str, hint: str, tmp_path: Path) -> None:
    coco(tmp_path)
    found = instances()
    for image in found["images"]:
        image["file_name"] = name.format(Path(image["file_name"]).stem)
    put(tmp_path / "annotations/instances_train2017.json", json.dumps(found))
    with pytest.raises(DataError, match=re.escape(hint)):
        load("coco", path=str(tmp_path))


@pytest.mark.parametrize(
    ("angle", "corners"), [(0, (10, 8, 20, 12)), (90, (13, 5, 17, 15)), (-45, (15 - 4.95, 10 - 4.95, 15 + 4.95, 14.95))]
)
def test_the_extent_of_a_box_at_an_angle(angle: float, corners: tuple[float, ...], tmp_path: Path) -> None:
    """CVAT turns it about its centre."""
    settings, found = coco(tmp_path), instances()
    found["annotations"][0] |= {"bbox": [10, 8, 10, 4], "attributes": {"rotation": angle}}
    put(tmp_path / "annotations/instances_train2017.json", json.dumps(found))
    (read,) = (
        page for page in registry.make("datasets", "coco", **settings).pages("train") if page.picture.stem == "a"
    )
    np.testing.assert_allclose(read.boxes[0].corners, corners, atol=0.01)


def test_yolo_labels_that_end_in_capitals_are_told(tmp_path: Path) -> None:
    yolo(tmp_path)
    for path in sorted(tmp_path.rglob("labels/**/*.txt")):
        path.rename(path.with_suffix(".TXT"))
    with pytest.raises(DataError, match=r"\.TXT is not read, expected .\.txt\. Rename it"):
        recognize(tmp_path)


def test_yolo_without_the_names_of_its_classes_is_known_for_what_it_is(tmp_path: Path) -> None:
    ultralytics(tmp_path)
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"has no names of classes. Add data.yaml or classes.txt"):
        recognize(tmp_path)


@pytest.mark.parametrize(
    ("declared", "written"),
    [
        ("ISO-8859-1", "latin-1"),
        ("windows-1252", "cp1252"),
        ("gb2312", "gb2312"),
        ("GBK", "gbk"),
        ("GBK", "utf-8"),
        ("shift_jis", "shift_jis"),
        ("ISO-8859-1", "utf-8"),  # as tools copy the line from elsewhere
        ("gb2312", "utf-8"),
        ("utf-16", "utf-8"),
        ("none-such", "utf-8"),
        ("UTF-8", "utf-8-sig"),
    ],
)
def test_annotations_of_voc_are_read_whatever_encoding_they_declare(
    declared: str, written: str, tmp_path: Path
) -> None:
    name = {"gb2312": "小狗", "GBK": "小猫猫", "shift_jis": "犬"}.get(declared, "hünd")
    settings = voc(tmp_path)
    text = f"<?xml version='1.0' encoding='{declared}'?>{xml([(name, 1, 1, 5, 5)])}"
    (tmp_path / "Annotations/a.xml").write_bytes(text.encode(written))
    assert name in load("voc", **settings).classes


def test_letters_of_two_bytes_that_are_utf8_by_chance_are_what_the_file_says(tmp_path: Path) -> None:
    """猫 is two bytes in GBK, which are è in UTF-8: other files show that they are not."""
    settings, name = voc(tmp_path), "猫"
    assert name.encode("gbk").decode() == "è"
    text = f"<?xml version='1.0' encoding='GBK'?>{xml([(name, 1, 1, 5, 5)])}"
    (tmp_path / "Annotations/a.xml").write_bytes(text.encode("gbk"))
    assert name in load("voc", **settings).classes


def test_annotations_of_labelme_are_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    put(tmp_path / "a.json", json.dumps({"version": "5.4.1", "shapes": [], "imagePath": "a.jpg"}))
    with pytest.raises(
        DataError, match=r"holds 0 folders and 2 files, annotations of labelme among them. Export these"
    ):
        recognize(tmp_path)


@pytest.mark.parametrize("first", ["train", "Train"])
@pytest.mark.parametrize(
    ("name", "place"),
    [("yolo", "images/{}/a.jpg"), ("yolo", "{}/images/a.jpg"), ("voc", "ImageSets/Main/{}.txt"), ("voc", "{}/a.xml")],
)
def test_splits_that_are_spelt_otherwise_are_refused(name: str, place: str, first: str, tmp_path: Path) -> None:
    for split in (first, "Validation"):
        put(tmp_path / place.format(split), "a\n")
    with pytest.raises(DataError, match="Rename"):
        registry.make("datasets", name, root=str(tmp_path)).splits()


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "cover"])
@pytest.mark.parametrize("size", [(40, 40), (10, 30), (64, 32)])
def test_boxes_lie_where_their_pixels_lie(fit: str, size: tuple[int, int], tmp_path: Path) -> None:
    """A white box on black: what is bright afterwards is the box, to a pixel of the filter."""
    height, width = 60, 90
    image = np.zeros((height, width, 3), np.uint8)
    image[12:42, 30:66] = 255
    tmp_path.mkdir(exist_ok=True)
    Image.fromarray(image).save(tmp_path / "a.png")
    put(tmp_path / "a.csv", "path,x1,y1,x2,y2,class\na.png,30,12,66,42,thing\n")
    images = load("boxes_csv", path=str(tmp_path / "a.csv"), size=size, fit=fit)
    x1, y1, x2, y2 = images.targets[0]["corners"][0]
    rows, columns = np.nonzero(images.pixels[0, :, :, 0] > 127)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose([x1, y1, x2, y2], seen, atol=1)
    frame = images.targets[0]["frame"]
    if fit != "cover":
        np.testing.assert_allclose((x1 - frame[2]) / frame[0], 30, atol=1e-3)
    grey = (images.pixels[0] == 114).all(axis=2)
    assert grey.any() == (fit == "letterbox" and size != (40, 60))


def test_a_picture_whose_size_is_not_known_does_not_lose_its_boxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = registry.make("datasets", "voc", **voc(tmp_path))
    assert len(source.load("train")) == 3
    monkeypatch.setattr("cnntrain.parts.datasets.boxed_pictures.header", lambda path: None)
    with pytest.raises(DataError, match=r"a\.jpg: its pixels can be read and its size cannot"):
        source.load("train")


def test_difficult_and_crowd(tmp_path: Path) -> None:
    settings = voc(tmp_path / "voc")
    put(tmp_path / "voc/Annotations/a.xml", xml([("cat", 1, 1, 5, 5), ("hard", 2, 2, 9, 9)]))
    assert load("voc", **settings).targets[0]["roles"][:2].tolist() == [0, DIFFICULT]
    settings = coco(tmp_path / "coco")
    found = instances()
    found["annotations"][0] |= {"iscrowd": 1, "area": 17.5}
    put(tmp_path / "coco/annotations/instances_train2017.json", json.dumps(found))
    record = load("coco", **settings).targets[0]
    assert record["roles"][:2].tolist() == [CROWD, 0]
    assert record["areas"][:2].tolist() == [17.5, 600]


@pytest.mark.parametrize(("said", "role"), [(None, 0), (0, 0), (False, 0), (1, CROWD), (True, CROWD)])
def test_what_says_that_a_box_is_a_crowd(said: object, role: int, tmp_path: Path) -> None:
    settings, found = coco(tmp_path), instances()
    found["annotations"][0]["iscrowd"] = said
    put(tmp_path / "annotations/instances_train2017.json", json.dumps(found))
    assert load("coco", **settings).targets[0]["roles"][0] == role


def test_where_no_box_is_to_be_found_it_is_said(tmp_path: Path) -> None:
    settings, found, told = coco(tmp_path), instances(), []
    for annotation in found["annotations"]:
        annotation["iscrowd"] = 1
    put(tmp_path / "annotations/instances_train2017.json", json.dumps(found))
    images = load("coco", told, **settings)
    assert told == [
        "train: none of 3 boxes is to be found, all are marked as crowds or as difficult, so that nothing can be "
        "learned or measured"
    ]
    task: Any = registry.make("tasks", "detect")
    assert task.occurrences(images.targets, images.description) == [0, 0]
    assert task.census(images.targets, images.description)["boxes"] == {"cat": 2, "dog": 1}


@pytest.mark.parametrize("crowd_first", [True, False])
def test_a_crowd_does_not_swallow_a_thing_with_the_same_box(crowd_first: bool, tmp_path: Path) -> None:
    settings, found, told = coco(tmp_path), instances(), []
    thing = found["annotations"][0] | {"id": 90, "area": 17.5}
    crowd = thing | {"id": 91, "iscrowd": 1, "area": 60}
    found["annotations"][:1] = [crowd, thing] if crowd_first else [thing, crowd]
    put(tmp_path / "annotations/instances_train2017.json", json.dumps(found))
    record = load("coco", told, **settings).targets[0]
    assert (record["labels"] >= 0).sum() == 2
    assert (record["roles"][0], record["areas"][0]) == (0, 17.5)
    assert "1 box is listed twice" in told[0]


def test_a_part_of_a_thing_is_no_thing(tmp_path: Path) -> None:
    """VOC's layouts of persons have boxes of heads and hands inside their objects."""
    settings = voc(tmp_path)
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    text = xml([("cat", 1, 1, 5, 5)]).replace("</object>", f"{part}</object>")
    put(tmp_path / "Annotations/a.xml", text)
    assert (load("voc", **settings).targets[0]["labels"] >= 0).sum() == 1


def test_classes_can_be_given(tmp_path: Path) -> None:
    assert load("voc", names=("dog", "bird", "cat"), **voc(tmp_path)).targets["labels"][0].tolist() == [2, 0]


@pytest.mark.skipif(not (SHARED / "bccd").is_dir(), reason="the blood smears (shared/data/bccd) are not here")
def test_the_blood_smears_load() -> None:
    source = recognize(SHARED / "bccd")
    counts = np.zeros(3, int)
    told: list[str] = []
    for split, samples in (("train", 205), ("val", 87), ("test", 72)):
        images = source.load(split, Reader(threads=2, warn=told.append))
        assert len(images) == samples
        labels = images.targets["labels"]
        counts += np.bincount(labels[labels >= 0], minlength=3)
    assert images.classes == ("Platelets", "RBC", "WBC")
    assert counts.tolist() == [361, 4155 - 2, 372]
    wanted = [f"{split}: 1 box has no area and is left out" for split in ("train", "val")]
    assert [line.split(";")[0] for line in told] == wanted


def test_two_sources_are_joined_whatever_the_most_boxes_of_each(tmp_path: Path) -> None:
    settings = voc(tmp_path / "one")
    put(tmp_path / "one/Annotations/a.xml", xml([("cat", 1, 1, 5 + i, 5) for i in range(7)] + [("dog", 1, 1, 9, 9)]))
    sources = (
        registry.make("datasets", "voc", **settings),
        registry.make("datasets", "coco", **coco(tmp_path / "two")),
    )
    one, two = (source.load("train") for source in sources)
    both = registry.make("datasets", "concat", sources=sources).load("train")
    assert both.description == one.description
    assert both.targets["corners"].shape == (6, 8, 4)
    np.testing.assert_array_equal(both.targets[:3], one.targets)
    assert (both.targets["labels"][3:, 2:] == -1).all()
    np.testing.assert_array_equal(both.targets["corners"][3:, :2], two.targets["corners"])


@pytest.mark.parametrize(("sides", "fit"), [([(20, 30)] * 4, "stretch"), ([(20, 30), (30, 20)] * 4, "letterbox")])
def test_pictures_of_mixed_proportions_are_letterboxed_in_classification_too(
    sides: list[tuple[int, int]], fit: str, tmp_path: Path
) -> None:
    for name in ("cats", "dogs"):
        for number, (height, width) in enumerate(sides):
            picture(tmp_path / name / f"{number}.png", height, width)
    found: Any = recognize(tmp_path)
    assert (found.name_in_config, found.fit) == ("image_folder", fit)
    pixels = found.load("train").pixels
    assert ((pixels[0] == 114).all(axis=2)).any() == (fit == "letterbox")


def test_a_contact_sheet_draws_boxes() -> None:
    pixels = np.full((1, 96, 96, 3), 0.5, np.float32)
    pixels[0, 0, 0] = 1
    things = np.array([[[10, 20, 50, 60], [np.nan] * 4]], np.float32)
    sheets = [
        np.asarray(Image.open(io.BytesIO(render("t", [Strip("s", pixels, ["a"], boxes)])))) for boxes in (None, things)
    ]
    rows, columns = np.nonzero((sheets[0] != sheets[1]).any(axis=2))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (40, 40)
