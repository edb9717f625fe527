"""What columns are for: class names are found, and running numbers, sizes and folds are not predicted."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnntrain.core.errors import DataError
from cnntrain.reading.tables import TableColumns, chosen, columns_of, numbers_beside, require_header

ROWS = 12
CELLS = {  # name -> the cell of a row by its number
    "filename": lambda n: f"p/{n}.png", "id": str, "index": str, "": str, "Unnamed: 0": str, "fold": lambda n: n % 3,
    "width": lambda n: 8 + n % 2, "height": lambda n: 8, "species": lambda n: ["cat", "dog"][n % 2],
    "breed": lambda n: ["a b", "c"][n % 2], "caption": lambda n: f"a picture {n}", "number": lambda n: 7 + n,
    "counter": lambda n: 100 + n, "constant": lambda n: 5, "age": lambda n: n / 7, "x": lambda n: n / 3,
    "y": lambda n: n / 5, "red": lambda n: n % 2, "round": lambda n: n // 3 % 2,
    "split": lambda n: ["train", "test"][n % 2], "sharp": lambda n: n % 2 == 0,
    "wet": lambda n: "FALSE" if n % 3 else "TRUE", "price": lambda n: "" if n == 3 else n / 9,
    "rare": lambda n: n / 9 if n == 3 else "",
    "ClassId": lambda n: n % 3, "Label": lambda n: n % 3, "File_Name": lambda n: f"p/{n}.png",
    "label": lambda n: n % 3, "colour": lambda n: "rgb"[n % 3], "what": lambda n: f"{n}.JPG", "digit": lambda n: n % 4,
}  # fmt: skip


def table(header: str) -> tuple[list[str], list[list[str]]]:
    names = header.split(",")
    return names, [[str(CELLS[name](number)) for name in names] for number in range(ROWS)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("filename,id,species", TableColumns("filename", "species")),
        ("filename,width,height,species", TableColumns("filename", "species")),
        ("filename,fold,breed", TableColumns("filename", "breed")),
        ("id,filename,breed,split", TableColumns("filename", "breed")),
        (",filename,breed", TableColumns("filename", "breed")),
        ("Unnamed: 0,filename,counter,constant,age", TableColumns("filename", None, ("age",))),
        ("filename,caption,colour", TableColumns("filename", "colour")),
        ("filename,label,colour", TableColumns("filename", "label")),
        ("filename,red,round", TableColumns("filename", None, ("red", "round"))),
        ("filename,sharp,wet", TableColumns("filename", None, ("sharp", "wet"))),
        ("filename,sharp", TableColumns("filename", "sharp")),
        ("filename,sharp,wet,breed", TableColumns("filename", doubtful=("sharp", "wet", "breed"))),
        ("filename,price,age,rare", TableColumns("filename", None, ("price", "age"))),
        ("filename,x,y,width,height", TableColumns("filename", None, ("x", "y", "width"))),
        ("File_Name,width,height,ClassId", TableColumns("File_Name", "ClassId")),
        ("filename,ClassId,colour", TableColumns("filename", "colour")),
        ("filename,colour,caption,ClassId", TableColumns("filename", "colour")),
        ("filename,ClassId,breed,caption", TableColumns("filename", "ClassId")),
        ("filename,label,Label", TableColumns("filename", doubtful=("label", "Label"))),
        ("filename,digit", TableColumns("filename", None, ("digit",))),
        ("age,what", TableColumns("what", None, ("age",))),
        ("filename,breed,colour", TableColumns("filename", doubtful=("breed", "colour"))),
        ("filename,id,fold", TableColumns("filename", doubtful=("id", "fold"))),
        ("filename,caption", TableColumns("filename", doubtful=("caption",))),
    ],
)
def test_what_columns_are_for(header: str, expected: TableColumns) -> None:
    assert columns_of(*table(header)) == expected


@pytest.mark.parametrize(
    ("header", "wanted", "expected"),
    [
        ("filename,breed,colour", ["colour"], TableColumns("filename", "colour")),
        ("filename,id,fold", ["fold"], TableColumns("filename", None, ("fold",))),
        ("filename,label,age", ["label"], TableColumns("filename", "label")),
        ("filename,label,age,x", ["x", "age"], TableColumns("filename", None, ("x", "age"))),
    ],
)
def test_columns_that_are_chosen(header: str, wanted: list[str], expected: TableColumns) -> None:
    assert chosen(*table(header), wanted) == expected


@pytest.mark.parametrize(
    ("name", "cells", "separator"),
    [
        ("label", "red|hot,red,,hot", "|"),
        ("mood", "calm; dark,dark,calm", ";"),
        ("labels", "clear primary,clear,haze primary water,haze water,primary", " "),
        ("tags", "Car; Dog,Dog,Car", ";"),
        ("label", "red car,car,red", None),  # one class may be "red car"
        ("labels", "curly dog,hound,grey cat", None),  # more words than there are cells
        ("tags", "a|b,c|d,a|c", None),  # a name of two parts, always
        ("label", "dog,cat,dog", None),
        ("label", "|", None),
    ],
)
def test_cells_that_are_lists_of_labels_are_told_from_names(name: str, cells: str, separator: str | None) -> None:
    rows = [[f"{number}.png", cell] for number, cell in enumerate(cells.split(","))]
    assert chosen(["path", name], rows, [name]) == TableColumns("path", name, separator=separator)


def test_commas_between_labels_are_told_where_several_are_expected() -> None:
    rows = [[f"{number}.png", cell] for number, cell in enumerate(["Bell,Alarm", "Bell", "Alarm"])]
    assert columns_of(["path", "labels"], rows) == TableColumns("path", "labels", separator=",")
    assert columns_of(["path", "label"], rows) == TableColumns("path", "label")


@pytest.mark.parametrize(
    ("row", "header"),
    [
        ("p/0.png,cat", "path,label"),
        ("cat,p/0.PNG", "label,path"),
        ("p/0.png,3,cat,7", "path,value2,label,value4"),
        ("p/0.jpg,1,2,3,4,cat", "path,x1,y1,x2,y2,class"),
        ("p/0.jpg,m/0.png", "image,mask"),
        ("a.wav,yes,no", "path,label,text3"),
    ],
)
def test_a_row_of_data_in_place_of_a_header_is_told_with_a_header_for_it(row: str, header: str) -> None:
    with pytest.raises(DataError, match=rf"/t.csv:1 is a row of data .*, such as {header}$"):
        require_header(Path("/t.csv"), row.split(","))
    require_header(Path("/t.csv"), header.split(","))


def test_numbers_beside_those_that_are_read_are_neither_constant_nor_running() -> None:
    names = ["path", "x", "size", "one", "row", "gaps", "text", "none"]
    rows = [["a", "1", "5", "7", "1", "", "u", ""], ["b", "2", "6", "7", "2", "3", "4", "-"]]
    rows += [["c", "4", "5", "7", "3", "4", "v", ""], ["d", "3", "5", "7", "4", "3", "w", "nan"]]
    assert numbers_beside(names, rows, ["path", "x"]) == ("size", "gaps")
