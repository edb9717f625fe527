"""Faulty annotations, as tools and hands make them: what each is answered with, word for word.

A case is a sound data set of one format with one thing changed. It is an error, or mended by a stated rule and counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnntrain.core.errors import DataError
from tests.parts.datasets.test_boxed_pictures import FORMATS, instances, load, picture, put, xml

Change = Callable[[Path], object]


def marks(text: str) -> Change:
    """Other text in the XML file of the first picture."""
    return lambda root: put(root / "Annotations/a.xml", text)


def box(*numbers: object, name: str = "cat") -> Change:
    """One box of VOC, its numbers as they are to stand there: xmin, ymin, xmax, ymax."""
    sides = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), numbers, strict=False)
    )
    thing = f"<object><name>{name}</name><bndbox>{sides}</bndbox></object>"
    return marks(f"<annotation><filename>a.jpg</filename>{thing}</annotation>")


def row(text: str) -> Change:
    """Other text in the YOLO file of the first picture."""
    return lambda root: put(root / "labels/train/a.txt", text)


def line(text: str) -> Change:
    """A further row of the table."""
    return lambda root: put(root / "train.csv", (root / "train.csv").read_text() + text + "\n")


def entry(kind: str, place: int | None = None, **values: Any) -> Change:
    """Values of one entry of COCO's file changed; a further entry without a place."""

    def change(root: Path) -> None:
        found = instances()
        if place is None:
            found[kind].append(values)
        else:
            found[kind][place] |= values
        put(root / "annotations/instances_train2017.json", json.dumps(found))

    return change


def file(name: str, text: str) -> Change:
    """Another text in a file."""
    return lambda root: put(root / name, text)


def gone(name: str) -> Change:
    """A file that is not there."""
    return lambda root: (root / name).unlink()


BOMB = '<!DOCTYPE a [<!ENTITY b "boom">]><annotation>&b;</annotation>'
JSON = "annotations/instances_train2017.json"
CASES: dict[str, tuple[str, Change, str]] = {}
CASES |= {  # Pascal VOC
    "bomb": (
        "voc",
        marks(BOMB),
        ("error: ROOT/Annotations/a.xml has a document type (<!DOCTYPE>), which no annotation needs. Remove it"),
    ),
    "external": (
        "voc",
        marks('<!DOCTYPE a SYSTEM "/etc/passwd"><annotation/>'),
        ("error: ROOT/Annotations/a.xml has a document type (<!DOCTYPE>), which no annotation needs. Remove it"),
    ),
    "no xml": ("voc", marks("xmin = 3"), "error: ROOT/Annotations/a.xml:1 is no XML (syntax error). Mend it"),
    "cut short": (
        "voc",
        marks("<annotation><object>"),
        "error: ROOT/Annotations/a.xml:1 is no XML (no element found). Mend it",
    ),
    "empty file": ("voc", marks(""), "error: ROOT/Annotations/a.xml:1 is no XML (no element found). Mend it"),
    "html": (
        "voc",
        marks("<html/>"),
        ("error: ROOT/Annotations/a.xml is a 'html', expected Pascal VOC's 'annotation'. Remove the file"),
    ),
    "deep": (
        "voc",
        marks("<a>" * 60 + "</a>" * 60),
        ("error: ROOT/Annotations/a.xml is nested more than 50 deep, which no annotation is. Remove it"),
    ),
    "file name that no file can have, where one has the name of the annotation": (
        "voc",
        marks(xml([("cat", 1, 1, 5, 5), ("dog", 1, 1, 5, 5)], "b" * 300 + ".jpg")),
        "",
    ),
    "no bndbox": (
        "voc",
        marks("<annotation><object><name>cat</name></object></annotation>"),
        "error: ROOT/Annotations/a.xml: object 1 has no bndbox, expected one. Mend it",
    ),
    "three sides": (
        "voc",
        box(1, 2, 3),
        ("error: ROOT/Annotations/a.xml: object 1 has no ymax, expected xmin, ymin, xmax, ymax. Mend it"),
    ),
    "no number": (
        "voc",
        box(1, 2, "three", 4),
        ("error: ROOT/Annotations/a.xml: object 1: xmax is 'three', expected a finite number. Mend it"),
    ),
    "nan": (
        "voc",
        box("nan", 2, 3, 4),
        ("error: ROOT/Annotations/a.xml: object 1: xmin is 'nan', expected a finite number. Mend it"),
    ),
    "infinite": (
        "voc",
        box(1, 2, "1e400", 4),
        ("error: ROOT/Annotations/a.xml: object 1: xmax is '1e400', expected a finite number. Mend it"),
    ),
    "no name": (
        "voc",
        box(1, 2, 3, 4, name=" "),
        ("error: ROOT/Annotations/a.xml: object 1: the class is ' ', expected a name. Mend it"),
    ),
    "steering name": (
        "voc",
        box(1, 2, 3, 4, name="&#x9b;[2J"),
        ("error: ROOT/Annotations/a.xml: object 1: the class is '\\x9b[2J', expected a name. Mend it"),
    ),
    "shares for pixels": (
        "voc",
        box(0.1, 0.2, 0.5, 0.6),
        (
            "error: ROOT/Annotations/a.xml: object 1: all coordinates are from 0 to 1, expected pixels. Are "
            "these shares of the sides? Multiply x by the picture's width and y by its height"
        ),
    ),
    "other size": (
        "voc",
        marks(xml([("cat", 1, 1, 5, 5)], size=(60, 40))),
        (
            "error: ROOT/Annotations/a.xml: it is for a picture of 60x40 (width x height), "
            "ROOT/JPEGImages/a.jpg has 30x20. The picture was resized or replaced: annotate it again, or put the"
            " right one there"
        ),
    ),
    "sides exchanged": (
        "voc",
        marks(xml([("cat", 1, 1, 5, 5)], size=(20, 30))),
        (
            "error: ROOT/Annotations/a.xml: it is for a picture of 20x30 (width x height), "
            "ROOT/JPEGImages/a.jpg has 30x20. The sides are exchanged, as where a camera's EXIF orientation "
            "turns the picture: annotate it as it is seen"
        ),
    ),
    "turned by EXIF": (
        "voc",
        lambda root: picture(root / "JPEGImages/a.jpg", orientation=6),
        (
            "error: ROOT/Annotations/a.xml: it is for a picture of 30x20 (width x height), "
            "ROOT/JPEGImages/a.jpg has 20x30. The sides are exchanged, as where a camera's EXIF orientation "
            "turns the picture: annotate it as it is seen"
        ),
    ),
    "no picture": (
        "voc",
        gone("JPEGImages/a.jpg"),
        ("error: ROOT/Annotations/a.xml: no picture a.* in ROOT/JPEGImages, expected one for each annotation. Add it"),
    ),
    "two pictures": (
        "voc",
        lambda root: (picture(root / "JPEGImages/b.png"), put(root / "Annotations/b.xml", xml([], ""))),
        (
            "error: ROOT/JPEGImages/b.jpg and ROOT/JPEGImages/b.png have the same name, expected one picture. "
            "Remove or rename one"
        ),
    ),
    "no annotation": (
        "voc",
        gone("Annotations/a.xml"),
        (
            "error: ROOT/ImageSets/Main/train.txt:1: 'a' has no annotation, expected ROOT/Annotations/a.xml."
            " Add it, or remove the line"
        ),
    ),
    "listed twice": (
        "voc",
        file("ImageSets/Main/train.txt", "a\nb\na\n"),
        ("error: ROOT/ImageSets/Main/train.txt:3: 'a' is there twice, first in line 1. Remove one"),
    ),
    "no train list": (
        "voc",
        lambda root: (root / "ImageSets/Main/train.txt").rename(root / "ImageSets/Main/val.txt"),
        "error: ROOT/ImageSets/Main has no train.txt, found val. Add it",
    ),
    "no list entry": (
        "voc",
        file("ImageSets/Main/train.txt", "\n"),
        ("error: ROOT/ImageSets/Main/train.txt: no box in the training data, expected some. Add them"),
    ),
    "not UTF-8": (
        "voc",
        lambda root: (root / "Annotations/a.xml").write_bytes(b"<annotation>\xff</annotation>"),
        "error: ROOT/Annotations/a.xml is not UTF-8 text (byte 12). Save it as such",
    ),
    "not in the encoding it says": (
        "voc",
        lambda root: (root / "Annotations/a.xml").write_bytes(b'<?xml version="1.0" encoding="ascii"?><a>\xff</a>'),
        "error: ROOT/Annotations/a.xml is neither UTF-8 text nor ascii, which it says it is. Save it as UTF-8",
    ),
    "not a text in the encoding it says": (
        "voc",
        lambda root: (root / "Annotations/a.xml").write_bytes(
            b"<?xml version='1.0' encoding='unicode_escape'?><a>\xff\\ud800</a>"
        ),
        "error: ROOT/Annotations/a.xml is neither UTF-8 text nor unicode_escape, which it says it is. Save it as UTF-8",
    ),
    "in an encoding that nobody knows": (
        "voc",
        lambda root: (root / "Annotations/a.xml").write_bytes(b"<?xml version='1.0' encoding='zlib'?><a>\xff</a>"),
        "error: ROOT/Annotations/a.xml is neither UTF-8 text nor zlib, which it says it is. Save it as UTF-8",
    ),
    "no area": (
        "voc",
        box(5, 5, 5, 9),
        ("train: 1 box has no area and is left out; ROOT/Annotations/a.xml: object 1 is the first"),
    ),
    "exchanged": (
        "voc",
        box(9, 2, 3, 8),
        ("train: 1 box has its corners exchanged and is turned round; ROOT/Annotations/a.xml: object 1 is the first"),
    ),
    "sticks out": (
        "voc",
        box(-4, 2, 40, 8),
        ("train: 1 box sticks out of its picture and is cut off there; ROOT/Annotations/a.xml: object 1 is the first"),
    ),
    "outside": (
        "voc",
        box(100, 2, 140, 8),
        ("train: 1 box lies outside its picture and is left out; ROOT/Annotations/a.xml: object 1 is the first"),
    ),
    "twice": (
        "voc",
        marks(xml([("cat", 1, 1, 5, 5), ("cat", 1, 1, 5, 5), ("dog", 1, 1, 5, 5)])),
        ("train: 1 box is listed twice and is counted once; ROOT/Annotations/a.xml: object 2 is the first"),
    ),
}
CASES |= {  # COCO
    "at an angle": (
        "coco",
        entry("annotations", 0, attributes={"rotation": 90.0, "occluded": False}),
        (
            "train: 1 box has an angle and is taken with its upright extent; "
            "ROOT/annotations/instances_train2017.json: annotation 0 is the first"
        ),
    ),
    "upright after a half turn, and an attribute that is none of a box": (
        "coco",
        entry("annotations", 0, attributes={"rotation": -180, "colour": "red"}),
        "",
    ),
    **{
        f"attribute of a user's own that is called rotation: {angle!r}": (
            "coco",
            entry("annotations", 0, attributes={"rotation": angle}),
            "",
        )
        for angle in ("left", "0.0", True, None, [90])
    },
    "no JSON": (
        "coco",
        file(JSON, "{"),
        (
            "error: ROOT/annotations/instances_train2017.json: not JSON at character 1: Expecting property "
            "name enclosed in double quotes. Fetch or make it again"
        ),
    ),
    "list": (
        "coco",
        file(JSON, "[]"),
        (
            "error: ROOT/annotations/instances_train2017.json has no list of images, expected images, "
            "annotations and categories as COCO has"
        ),
    ),
    "no categories": (
        "coco",
        file(JSON, '{"images": [], "annotations": []}'),
        (
            "error: ROOT/annotations/instances_train2017.json has no list of categories, expected images, "
            "annotations and categories as COCO has"
        ),
    ),
    "nan in JSON": (
        "coco",
        file(JSON, '{"images": [NaN]}'),
        ("error: ROOT/annotations/instances_train2017.json: NaN is not JSON. Fetch or make it again"),
    ),
    "crowd that is a text, as some converters write it": (
        "coco",
        entry("annotations", 0, iscrowd="0"),
        (
            'error: ROOT/annotations/instances_train2017.json: annotation 0 has the iscrowd "0", expected the number 0 '
            "or 1. Mend it, or leave it out"
        ),
    ),
    "crowd of two": (
        "coco",
        entry("annotations", 0, iscrowd=2),
        (
            "error: ROOT/annotations/instances_train2017.json: annotation 0 has the iscrowd 2, expected the number "
            "0 or 1. Mend it, or leave it out"
        ),
    ),
    "unknown category": (
        "coco",
        entry("annotations", 0, category_id=4),
        (
            "error: ROOT/annotations/instances_train2017.json: annotation 0 has the category 4, which is "
            "not in the file. Mend it"
        ),
    ),
    "category that is a text": (
        "coco",
        entry("annotations", 0, category_id="3"),
        (
            'error: ROOT/annotations/instances_train2017.json: annotation 0 has the category "3" (a text, '
            "expected a whole number), which is not in the file. Mend it"
        ),
    ),
    "image that is a text": (
        "coco",
        entry("annotations", 0, image_id="0"),
        (
            'error: ROOT/annotations/instances_train2017.json: annotation 0 is for the image "0" (a text, '
            "expected a whole number), which is not in the file. Remove it"
        ),
    ),
    "category that is a list": (
        "coco",
        entry("annotations", 0, category_id=[1]),
        (
            "error: ROOT/annotations/instances_train2017.json: annotation 0 has the category [1], which is "
            "not in the file. Mend it"
        ),
    ),
    "unknown image": (
        "coco",
        entry("annotations", 0, image_id=99),
        (
            "error: ROOT/annotations/instances_train2017.json: annotation 0 is for the image 99, which is not"
            " in the file. Remove it"
        ),
    ),
    "id twice": (
        "coco",
        entry("annotations", 1, id=0),
        (
            "error: ROOT/annotations/instances_train2017.json: annotation 0 is listed twice, expected one of "
            "each id. Renumber one"
        ),
    ),
    "category twice": (
        "coco",
        entry("categories", 1, name="cat"),
        (
            "error: ROOT/annotations/instances_train2017.json: two categories are called 'cat', expected "
            "different names. Rename one"
        ),
    ),
    "no id": (
        "coco",
        entry("images", 0, id=None),
        (
            "error: ROOT/annotations/instances_train2017.json: image number 1 has no id. Give it one that is a whole"
            " number"
        ),
    ),
    "image whose id is a text": (
        "coco",
        entry("images", 0, id="0"),
        (
            'error: ROOT/annotations/instances_train2017.json: image number 1 has the id "0" (a text, expected a whole'
            " number). Give it one that is a whole number"
        ),
    ),
    "outline alone": (
        "coco",
        entry("annotations", 0, bbox=None, segmentation=[[1, 2, 9, 2, 9, 8]]),
        (
            "error: ROOT/annotations/instances_train2017.json: annotation 0 has no bbox, expected"
            " [x, y, width, height]. Work it out from its segmentation"
        ),
    ),
    "category without a name": (
        "coco",
        entry("categories", 1, name=None),
        ("error: ROOT/annotations/instances_train2017.json: category 7: there is no class, expected a name. Mend it"),
    ),
    "three numbers": (
        "coco",
        entry("annotations", 0, bbox=[1, 2, 3]),
        (
            "error: ROOT/annotations/instances_train2017.json: annotation 0 has the bbox [1, 2, 3], expected"
            " [x, y, width, height]. Mend it"
        ),
    ),
    "text for a number": (
        "coco",
        entry("annotations", 0, bbox=[1, 2, 3, "x"]),
        (
            "error: ROOT/annotations/instances_train2017.json: annotation 0: bbox holds the text 'x', expected "
            "a number without quotes. Mend it"
        ),
    ),
    "texts that look like numbers": (
        "coco",
        entry("annotations", 0, bbox=["1", "2", "3", "4"]),
        (
            "error: ROOT/annotations/instances_train2017.json: annotation 0: bbox holds the text '1', expected "
            "a number without quotes. Mend it"
        ),
    ),
    "picture of width 0": (
        "coco",
        entry("images", 0, width=0),
        (
            "error: ROOT/annotations/instances_train2017.json: image 0 has the width 0, expected the picture's "
            "in pixels. Mend or remove it"
        ),
    ),
    "picture whose height is a text": (
        "coco",
        entry("images", 0, height="20"),
        (
            "error: ROOT/annotations/instances_train2017.json: image 0: height holds the text '20', expected "
            "a number without quotes. Mend it"
        ),
    ),
    "true for a number": (
        "coco",
        entry("annotations", 0, bbox=[1, 2, 3, True]),
        (
            "error: ROOT/annotations/instances_train2017.json: annotation 0: bbox is 'True', expected a "
            "finite number. Mend it"
        ),
    ),
    "file named twice": (
        "coco",
        entry("images", 1, file_name="a.jpg"),
        (
            "error: ROOT/annotations/instances_train2017.json: image 1 names the picture ROOT/train2017/a.jpg, "
            "as does ROOT/annotations/instances_train2017.json: image 0. Join them"
        ),
    ),
    "file name that is longer than any": (
        "coco",
        entry("images", 1, file_name="b" * 300 + ".jpg"),
        (f"error: cannot read ROOT/train2017/{'b' * 300}.jpg: File name too long. Check the file and its permissions"),
    ),
    "supercategory that is a list": (
        "coco",
        entry("categories", 0, supercategory=["animal"]),
        "",
    ),
    "no file name": (
        "coco",
        entry("images", 1, file_name=None),
        (
            "error: ROOT/annotations/instances_train2017.json: image 1 has the file_name 'None', expected a "
            "picture's. Mend it"
        ),
    ),
    "no such picture": (
        "coco",
        gone("train2017/b.jpg"),
        (
            "error: 1 of 3 images unreadable, first: ROOT/train2017/b.jpg: No such file or directory. Mend "
            "or remove them"
        ),
    ),
    "size of another picture": (
        "coco",
        entry("images", 0, width=31),
        (
            "error: ROOT/annotations/instances_train2017.json: image 0: it is for a picture of 31x20 (width x"
            " height), ROOT/train2017/a.jpg has 30x20. The picture was resized or replaced: annotate it again, "
            "or put the right one there"
        ),
    ),
    "shares in COCO": (
        "coco",
        entry("annotations", 2, bbox=[0.1, 0.2, 0.3, 0.4]),
        (
            "error: ROOT/annotations/instances_train2017.json: annotation 10: all coordinates are from 0 to "
            "1, expected pixels. Are these shares of the sides? Multiply x by the picture's width and y by "
            "its height"
        ),
    ),
    "negative width": (
        "coco",
        entry("annotations", 0, bbox=[9, 3, -5, 4]),
        (
            "train: 1 box has its corners exchanged and is turned round; "
            "ROOT/annotations/instances_train2017.json: annotation 0 is the first"
        ),
    ),
    "width 0": (
        "coco",
        entry("annotations", 0, bbox=[9, 3, 0, 4]),
        (
            "train: 1 box has no area and is left out; ROOT/annotations/instances_train2017.json: annotation"
            " 0 is the first"
        ),
    ),
}
CASES |= {  # YOLO
    "unknown class number": (
        "yolo",
        row("2 0.5 0.5 0.1 0.1\n"),
        (
            "error: ROOT/labels/train/a.txt:1: the class 2 is not among the 2 named, expected 0 to 1. Mend "
            "the row, or name the class"
        ),
    ),
    "half a class": (
        "yolo",
        row("0.5 0.5 0.5 0.1 0.1\n"),
        (
            "error: ROOT/labels/train/a.txt:1: the class 0.5 is not among the 2 named, expected 0 to 1. Mend"
            " the row, or name the class"
        ),
    ),
    "class by name": (
        "yolo",
        row("cat 0.5 0.5 0.1 0.1\n"),
        ("error: ROOT/labels/train/a.txt:1: class is 'cat', expected a finite number. Mend it"),
    ),
    "list with a name that no file can have": (
        "yolo",
        lambda root: (file("data.yaml", "train: a.txt\nnames: [cat]")(root), file("a.txt", "b" * 300)(root)),
        f"error: cannot read ROOT/{'b' * 300}: File name too long. Check the file and its permissions",
    ),
    "split with a name that no file can have": (
        "yolo",
        file("data.yaml", f"train: {'b' * 300}\nnames: [cat]"),
        f"error: cannot read ROOT/{'b' * 300}: File name too long. Check the file and its permissions",
    ),
    "four words": (
        "yolo",
        row("0 0.5 0.5 0.1\n"),
        ("error: ROOT/labels/train/a.txt:1 has 4 words, expected the 5 words class x y width height. Mend the row"),
    ),
    "outline": (
        "yolo",
        row("0 0.1 0.1 0.2 0.1 0.2 0.2\n"),
        (
            "error: ROOT/labels/train/a.txt:1 has the outline of a segmentation, expected the 5 words class x y width "
            "height. Mend the row"
        ),
    ),
    "pixels for shares": (
        "yolo",
        row("0 15 10 4 4\n"),
        (
            "error: ROOT/labels/train/a.txt:1: 15 is not a share of the picture's side, expected 0 to 1. Are "
            "these pixels? Divide x and width by the picture's width, y and height by its height"
        ),
    ),
    "negative share": (
        "yolo",
        row("0 0.5 0.5 -0.1 0.1\n"),
        ("error: ROOT/labels/train/a.txt:1: a box of -0.1x0.1, expected sides above 0. Mend the row"),
    ),
    "share sticks out": (
        "yolo",
        row("0 0.0 0.5 0.4 0.1\n"),
        ("train: 1 box sticks out of its picture and is cut off there; ROOT/labels/train/a.txt:1 is the first"),
    ),
    "share 0": (
        "yolo",
        row("1 0.5 0.5 0.0 0.1\n"),
        ("train: 1 box has no area and is left out; ROOT/labels/train/a.txt:1 is the first"),
    ),
    "rows twice": (
        "yolo",
        row("1 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.1 0.1\n"),
        ("train: 1 box is listed twice and is counted once; ROOT/labels/train/a.txt:2 is the first"),
    ),
    "ending in capitals": (
        "yolo",
        lambda root: (root / "labels/train/a.txt").rename(root / "labels/train/a.TXT"),
        "error: ROOT/labels/train/a.TXT is not read, expected a.txt. Rename it, and others likewise",
    ),
    "label without picture": (
        "yolo",
        file("labels/train/z.txt", "0 0.5 0.5 0.1 0.1\n"),
        ("error: ROOT/labels/train/z.txt belongs to no picture, expected z.jpg or the like. Add it"),
    ),
    "picture without label": (
        "yolo",
        gone("labels/train/a.txt"),
        ("train: 1 picture without an annotation, learned as showing nothing; ROOT/images/train/a.jpg is the first"),
    ),
    "folder of data.yaml missing": (
        "yolo",
        file("data.yaml", "path: there\ntrain: nowhere\nnames: [cat, dog]\n"),
        (
            "error: ROOT/data.yaml: train names ROOT/there/nowhere, which is not there. Correct it, or remove train, "
            "val and test to have the usual folders taken"
        ),
    ),
    "folder of data.yaml no path": (
        "yolo",
        file("data.yaml", "train: {a: b}\nnames: [cat, dog]\n"),
        ("error: ROOT/data.yaml: train is not a path, expected that of a folder or of a list of pictures. Mend it"),
    ),
    "picture of a list missing": (
        "yolo",
        lambda root: [put(root / "data.yaml", "train: l.txt\nnames: [cat, dog]\n"), put(root / "l.txt", "b.jpg\n")],
        ("error: ROOT/l.txt:1: ROOT/b.jpg is not there, expected a picture. Mend the line"),
    ),
    "no names": (
        "yolo",
        gone("data.yaml"),
        ("error: ROOT has no names of classes. Add data.yaml or classes.txt, or name them with 'names'"),
    ),
    "names no list": (
        "yolo",
        file("data.yaml", "names: 3\n"),
        ("error: ROOT/data.yaml has no list of names, expected those of the classes. Add it"),
    ),
    "names with a gap": (
        "yolo",
        file("data.yaml", "names: {0: cat, 2: dog}\n"),
        ("error: ROOT/data.yaml: names are numbered 0, 2, expected 0, 1, 2 and so on. Mend it"),
    ),
    "no YAML": (
        "yolo",
        file("data.yaml", "names: [cat\n"),
        (
            "error: ROOT/data.yaml is not YAML that can be read (ROOT/data.yaml:1:8: not valid YAML: the '[' that "
            "begins here needs its ']', or a ',' between two entries, before the end). Mend it"
        ),
    ),
    "val and valid": (
        "yolo",
        lambda root: [
            put(root / "data.yaml", "names: [cat, dog]\n"),
            *(picture(root / f"images/{name}/q.jpg") for name in ("val", "valid")),
        ],
        "error: ROOT/images has val and valid, expected one of them. Rename or move one",
    ),
}
CASES |= {  # a table
    "column missing": (
        "boxes_csv",
        file("train.csv", "path,x1,y1,x2,class\na.jpg,1,2,3,cat\n"),
        (
            "error: ROOT/train.csv: the column 'y2' is not among path, x1, y1, x2, class. Name the columns "
            "with 'image', 'corners' and 'label'"
        ),
    ),
    "column twice": (
        "boxes_csv",
        file("train.csv", "path,x1,y1,x2,x2,y2,class\n"),
        ("error: ROOT/train.csv: the column 'x2' is twice. Name the columns with 'image', 'corners' and 'label'"),
    ),
    "no row": (
        "boxes_csv",
        file("train.csv", "path,x1,y1,x2,y2,class\n"),
        ("error: ROOT/train.csv has no row below its header, expected one for each box. Add them"),
    ),
    "row too short": (
        "boxes_csv",
        line("pictures/a.jpg,1,2,3,4"),
        ("error: ROOT/train.csv:6 has 5 columns, expected 6 as in the header. Mend the row"),
    ),
    "no path": (
        "boxes_csv",
        line(",1,2,3,4,cat"),
        ("error: ROOT/train.csv:6 names no picture, expected a path. Mend the row, or remove it"),
    ),
    "one corner missing": (
        "boxes_csv",
        line("pictures/a.jpg,1,,3,4,cat"),
        "error: ROOT/train.csv:6: y1 is '', expected a finite number. Mend it",
    ),
    "no class": (
        "boxes_csv",
        line("pictures/a.jpg,1,2,3,4,"),
        "error: ROOT/train.csv:6: the class is '', expected a name. Mend it",
    ),
    "open quote": (
        "boxes_csv",
        line('"pictures/a.jpg,1,2,3,4,cat'),
        (
            "error: ROOT/train.csv:6 is not CSV (unexpected end of data). Set path to a CSV file, or to a "
            "folder with train.csv and, where there are such splits, val.csv and test.csv"
        ),
    ),
    "no such file": (
        "boxes_csv",
        line("pictures/q.jpg,1,2,3,4,cat"),
        ("error: 1 of 4 images unreadable, first: ROOT/pictures/q.jpg: No such file or directory. Mend or remove them"),
    ),
    "shares in a table": (
        "boxes_csv",
        line("pictures/c.jpg,0.1,0.2,0.3,0.4,cat"),
        (
            "error: ROOT/train.csv:6: all coordinates are from 0 to 1, expected pixels. Are these shares of "
            "the sides? Multiply x by the picture's width and y by its height"
        ),
    ),
    "corners exchanged": (
        "boxes_csv",
        line("pictures/c.jpg,9,2,3,8,cat"),
        ("train: 1 box has its corners exchanged and is turned round; ROOT/train.csv:6 is the first"),
    ),
}


def answer(case: str, folder: Path) -> str:
    """What a case is answered with: the error, or what is told; the folder is called ROOT."""
    name, change, _ = CASES[case]
    fields = FORMATS[name](folder)
    change(folder)
    told: list[str] = []
    try:
        load(name, told, **fields)
    except DataError as error:
        return f"error: {error}".replace(str(folder), "ROOT")
    return "; ".join(told).replace(str(folder), "ROOT")


@pytest.mark.parametrize("case", CASES)
def test_a_fault_is_told_word_for_word(case: str, tmp_path: Path) -> None:
    assert answer(case, tmp_path) == CASES[case][2]


def test_there_are_fifty_at_least() -> None:
    assert len(CASES) >= 50
