"""Which columns of a table are boxes: in every usual spelling by their edges, and other forms with the way to these."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cnntrain.core.errors import DataError
from cnntrain.reading.box_columns import BoxColumns, box_columns

TABLE = Path("/data/train.csv")
EDGES = ["x1,y1,x2,y2", "xmin,ymin,xmax,ymax", "left,top,right,bottom", "xtl,ytl,xbr,ybr", "x0,y0,x1,y1"]
CELLS = {"file": "a.png", "class": "cell"}


def found(header: str, *rows: str) -> BoxColumns | None:
    names = header.split(",")
    whole = rows or [",".join([CELLS.get(name, "7") for name in names])]
    return box_columns(TABLE, names, [row.split(",") for row in whole])


def refusal(header: str, *rows: str) -> str:
    with pytest.raises(DataError) as refused:
        found(header, *rows)
    return str(refused.value)


@pytest.mark.parametrize("edges", EDGES)
@pytest.mark.parametrize(
    "spelt",
    [
        str,
        str.upper,
        str.title,
        "bbox_{}".format,
        "Roi.{}".format,
        lambda n: re.sub("(?<=^[xy])", "_", n),
        " {} ".format,
    ],
)
def test_edges_in_every_spelling(edges, spelt) -> None:
    names = [spelt(name) for name in edges.split(",")]
    assert found(f"file,width,height,{','.join(names)},class") == BoxColumns("file", tuple(names), "class")
    left, top, right, bottom = names
    assert found(f"class,{right},{left},{bottom},{top},file").edges == tuple(names)


@pytest.mark.parametrize(
    ("four", "way"),
    [
        ("x,y,width,height", "x1 = x, y1 = y, x2 = x + width, y2 = y + height"),
        ("X,Y,W,H", "x1 = X, y1 = Y, x2 = X + W, y2 = Y + H"),
        ("bbox_x,bbox_y,bbox_w,bbox_h", "x2 = bbox_x + bbox_w, y2 = bbox_y + bbox_h"),
        ("xmin,ymin,width,height", "x2 = xmin + width, y2 = ymin + height"),
        ("left,top,width,height", "x2 = left + width, y2 = top + height"),
        ("x_center,y_center,width,height", "x1 = x_center - width / 2, y1 = y_center - height / 2"),
        ("cx,cy,w,h", "x2 = cx + w / 2, y2 = cy + h / 2"),
    ],
)
def test_other_forms_are_refused_with_the_way_to_edges(four, way) -> None:
    said = refusal(f"file,{four},class")
    assert said.startswith(f"{TABLE} has boxes by {', '.join(four.split(','))}, ")
    assert way in said
    assert said.endswith("--target COLUMN")
    assert way in refusal(f"file,{four}", "a.png,1,2,3,4", "a.png,5,6,7,8")  # without a class, but several in one


@pytest.mark.parametrize("cell", ["[1.0; 2; 3; 4.5]", "1 2 3 4", "(1 2 3 4)"])
def test_four_numbers_in_one_cell_are_to_be_split(cell) -> None:
    assert "in the column 'BBox', expected a column for each edge" in refusal("file,BBox,class", f"a.png,{cell},cell")


def test_columns_alike_but_for_their_spelling_are_not_chosen_among() -> None:
    said = refusal("file,Xmin,ymin,xmax,ymax,xmin,class")
    assert said == f"{TABLE} has the columns 'Xmin' and 'xmin', which mean the same by their names. Rename one"
    assert "'class' and 'Class'" in refusal("file,x1,y1,x2,y2,class,Class")
    assert found("file,x1,y1,x2,y2,class,name,Other,other").label == "class"


def test_boxes_without_a_class_and_what_is_no_table_of_boxes() -> None:
    assert "no column that says what is in each" in refusal("file,x1,y1,x2,y2", "a.png,1,2,3,4", "a.png,5,6,7,8")
    for header in ("file,x1,y1,x2,y2", "file,x,y,width,height", "file,class", "x1,y1,x2,y2,class", "file,x,y,class"):
        assert found(header) is None
    assert found("file,x,y,width,height,class", "a.png,left,2,3,4,cell") is None  # no numbers


@pytest.mark.parametrize(
    ("names", "cells", "said"),
    [
        (
            ["#filename", "region_count", "region_shape_attributes", "region_attributes"],
            ["a.png", "1", '{"name":"rect","x":12}', '{"class":"cat"}'],
            "is VIA (VGG Image Annotator)'s CSV file, whose shapes stand in cells as JSON and are not read. Export "
            "them as COCO; or",
        ),
        (
            ["image", "id", "label"],
            ["a.png", "1", '[{"x": 1.5, "y": 2, "width": 20, "rectanglelabels": ["cat"]}]'],
            "is Label Studio's CSV file, whose shapes stand in cells as JSON and are not read. Export them as COCO or "
            "Pascal VOC; or",
        ),
    ],
)
def test_csv_files_of_annotation_tools_are_named(names: list[str], cells: list[str], said: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(f'{TABLE} {said}')} say what whole pictures"):
        box_columns(TABLE, names, [cells])
