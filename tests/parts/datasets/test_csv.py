"""CSV files: which rows and columns are read, in what meaning, and what is refused by line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.errors import DataError
from cnntrain.data.recognition import recognize
from cnntrain.engine.pool import Pool
from cnntrain.parts.datasets import labelled_rows
from cnntrain.reading.reader import Reader
from cnntrain.trained.inference import Trained
from tests.support.datasets import refusal
from tests.support.experiments import run, write
from tests.support.pictures import png


def picture(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(2, 2, 8, 0, bytes([grey] * 4)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three pictures, a table of them, and one with a validation split."""
    for name, grey in (("a", 10), ("b", 20), ("c c", 30)):
        picture(tmp_path / "pictures" / f"{name}.png", grey)
    rows = ["path,label,note", "pictures/a.png,dog,x", "pictures/b.png,cat,", "pictures/c c.png,dog,"]
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "val.csv").write_text("label,path\ncat,pictures/a.png\n")
    return tmp_path


def make(path: Path, **fields: Any) -> Any:
    return registry.make("datasets", "csv", path=str(path), **fields)


def table(root: Path, text: str, encoding: str = "utf-8") -> Path:
    path = root / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_folder_of_tables(root: Path) -> None:
    source = make(root)
    assert source.splits() == ("train", "val")
    train, val = source.load("train"), source.load("val")
    assert train.classes == val.classes == ("cat", "dog")
    assert train.targets.tolist() == [1, 0, 1]
    assert val.targets.tolist() == [0]
    assert train.pixels[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert train.shape == (2, 2, 3)
    assert source.files("val") == (root / "val.csv", root / "pictures" / "a.png")


def test_a_split_without_labels_is_told_how_it_can_be_answered(root: Path) -> None:
    (root / "test.csv").write_text("path\npictures/a.png\n")
    with pytest.raises(DataError, match=r"test.csv: the column 'label' is not among path. .* say unlabelled.csv: `cnn"):
        make(root).files("test")


def test_one_table_is_all_training(root: Path) -> None:
    assert make(root / "val.csv").splits() == ("train",)
    assert make(root / "train.csv").load("train").targets.tolist() == [1, 0, 1]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_delimiters_quotes_marks_of_order_and_empty_lines(root: Path, mark: str) -> None:
    rows = [["file", "kind"], ['"pictures/a.png"', '" x ""y"""'], ["", ""], [str(root / "pictures/b.png"), "z"]]
    text = "\r\n".join(mark.join(row) if row[0] else "" for row in rows)
    images = make(table(root, text, "utf-8-sig"), image="file", label="kind").load("train")
    assert images.classes == ('x "y"', "z")
    assert images.pixels[:, 0, 0, 0].tolist() == [10, 20]


def test_values(root: Path) -> None:
    path = table(root, "path,x,y\npictures/a.png,1,-2.5\npictures/b.png, 1e-3 ,0\n")
    images = make(path, targets=("y", "x"), channels=1).load("train")
    assert images.targets.dtype == np.float32
    assert images.targets.tolist() == [[-2.5, 1], [0, np.float32(1e-3)]]
    assert images.classes == ()
    assert images.shape == (2, 2, 1)


def test_settings_that_contradict_each_other(root: Path) -> None:
    with pytest.raises(ValueError, match="csv takes 'label', for classes, or 'targets', for values: give one"):
        make(root, label="a", targets=("b",))
    for wrong in ((), ("a", "a")):
        with pytest.raises(ValueError, match="one or more different names"):
            make(root, targets=wrong)


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        ("", {}, ": the column 'path' is not among none. Name the columns with 'image'"),
        ("pictures/a.png,dog\npictures/b.png,cat\n", {}, ":1 is a row of data (it has 'pictures/a.png'), expected a"),
        ("file,label\n", {}, ": the column 'path' is not among file, label."),
        ("path,path,label\n", {}, ": the column 'path' is twice."),
        ("path,label\n", {}, " has no row below its header, expected one for each picture. Add them"),
        ("path,label\na.png\n", {}, ":2 has 1 column, expected 2 as in the header. Mend the row"),
        ("path,label\na,b,c\n", {}, ":2 has 3 columns, expected 2"),
        ("path,label\n,b\n", {}, ":2 names no picture, expected a path."),
        ("path,label\nx,a\ny,\n", {}, ":3 has the label '', expected a name. Mend the row"),
        ("path,label\nx,a\ny,a\n", {}, " has 1 different label, expected 2 to 65,536. Check the column"),
        ('path,label\nx,"a\nb"\ny,c\n', {}, ":3 has the label 'a\\nb', expected a name."),
        ('path,label\n"x,a\n', {}, ":2 is not CSV (unexpected end of data)."),
        ("path,v\nx,1\ny,nan\n", {"targets": ("v",)}, ":3: v is 'nan', expected a finite number. Mend the row"),
        ("path,v\nx,1e39\n", {"targets": ("v",)}, ":2: v is '1e39', expected a finite number."),
        ("path,v\nx,cat\n", {"targets": ("v",)}, ":2: v is 'cat', expected a finite number."),
    ],
)
def test_what_is_wrong_with_a_table(root: Path, text: str, fields: dict[str, Any], message: str) -> None:
    path = table(root, text)
    assert refusal("csv", path=str(path), **fields).startswith(f"{path}{message}")


@pytest.mark.parametrize(
    ("rows", "columns", "source"),
    [
        ("pictures/a.png,dog", "path,label", {"type": "csv", "label": "dog", "image": "pictures/a.png"}),
        ("pictures/a.png,1,1,2,2,dog", "path,x1,y1,x2,y2,class", {"type": "boxes_csv"}),
        ("sounds/a.wav,dog", "path,label", {"type": "audio_csv"}),
        ("pictures/a.png,pictures/b.png", "image,mask", {"type": "masks", "classes": 2}),
    ],
)
def test_a_table_without_a_header_is_told_by_every_source_and_by_init(
    root: Path, rows: str, columns: str, source: dict[str, Any]
) -> None:
    """Even where the config takes the first row's cells for names of columns."""
    path = table(root, f"{rows}\n{rows}\n")
    kind = source.pop("type")
    place = "table" if kind == "masks" else "path"
    with pytest.raises(DataError, match=f"{path}:1 is a row of data .* such as {columns}"):
        registry.make("datasets", kind, **{place: str(path)}, **source).load("train")
    with pytest.raises(DataError, match=f"{path}:1 is a row of data .* such as {columns}"):
        recognize(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no row, expected a header and one for each picture"),
        ("file,label\n", "has no row below its header"),
        ("# of 2024\nfile,label\na.png,x\n", r"the first line, '# of 2024', has 1 column, those below 2. Mend it, or"),
        ("file|label\na.png|x\n", r"has the one column 'file\|label', expected several, with commas, semicolons or"),
        ("sep=;\nfile;label\na.png;x\n", "begins with sep=, a line for Excel alone. Remove it"),
        ("file;age\na.png;0,5\nb.png;1\nc.png;0,5\nd.png;1\n", r"'age' has decimal commas \(0,5\), expected points"),
        ("file;age\na.png;1,000\nb.png;7\nc.png;1,000\n", r"numbers with commas \(1,000\): remove those that part tho"),
        ("file;age\na.png;1.000,50\nb.png;7\n", r"points that part thousands \(1.000,50\): remove these, and write"),
        ("file;age\na.png;1.000.000\nb.png;0,5\n", r"points that part thousands \(1.000.000\): remove these, and"),
        (
            "file,age\na.png,5%\nb.png,12.5 %\n",
            r"'age' has percentages \(5%\), expected numbers alone. Remove '%'; if these are ",
        ),
        ("file;age\na.png;5\nb.png;12,5 %\n", r"'age' has percentages \(12,5 %\), expected numbers alone"),
        ("file;age\na.png;1,000,000.5\nb.png;7\n", r"numbers with commas \(1,000,000.5\): remove those that part tho"),
        ("file;age\na.png;1,000\nb.png;0,5\nc.png;0,5\n", r"'age' has decimal commas \(0,5\), expected points"),
        ("file,age\na.png,0.5\nb.png,NA\nc.png,0.5\n", "'age' has numbers, and 'NA' in 1 of 3 rows. Fill these in"),
        ("file,age\na.png,0.5\nb.png,\nc.png,0.7\n", "'age' has numbers, and '' in 1 of 3 rows. Fill these in"),
    ],
)
def test_what_init_says_of_odd_tables(root: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        recognize(table(root, text))
    if "age" in text:
        with pytest.raises(DataError, match=said):
            recognize(table(root, text), ["age"])


@pytest.mark.parametrize(
    "cells",
    [
        ("0%", "50%", "100%"),
        ("2,5 %", "5%"),
        ("1.000,50", "7"),
        ("1.100.200", "1.100.300"),
        [f"192.168.{number}" for number in range(100, 124)],  # as many points in each
    ],
)
def test_classes_that_are_written_as_percentages_or_with_points(root: Path, cells: Sequence[str]) -> None:
    rows = (f'pictures/{"ab"[number % 2]}.png,"{cells[number % len(cells)]}"\n' for number in range(24))
    path = table(root, "file,label\n" + "".join(rows))
    for found in (recognize(path), recognize(path, ["label"])):
        assert found.load("train").classes == tuple(sorted(cells))


def test_tables_are_recognized_by_either_name_in_either_case_and_after_blank_lines(root: Path) -> None:
    text = "\n\nfile\tlabel\npictures/a.png\tdog\npictures/b.png\tcat\n"
    for name in ("t.csv", "t.tsv", "t.TSV"):
        (root / name).write_text(text)
        assert recognize(root / name).load("train").classes == ("cat", "dog")
    (root / "t.csv").write_text(text, "utf-16")
    with pytest.raises(DataError, match=r"t\.csv is not UTF-8 text\. Save it as such"):
        recognize(root / "t.csv")


@pytest.mark.parametrize(("header", "cells"), [("split", "train test"), ("Usage", "Training PublicTest")])
def test_a_column_that_says_which_split_a_row_is_of_is_told_where_it_is_not_read(
    root: Path, header: str, cells: str
) -> None:
    first, second = cells.split()
    rows = f"pictures/a.png,dog,1,1,2,2,{first}\npictures/b.png,cat,1,1,2,2,{second}\n"
    path = table(root, f"path,label,x1,y1,x2,y2,{header}\n{rows}")
    told: list[str] = []
    sources = [make(path), registry.make("datasets", "boxes_csv", path=str(path), label="label")]
    for source in sources:
        source.tell_of_special("train", Reader(warn=told.append))
    assert told == [told[0]] * 2
    assert f"the column '{header}' ({', '.join(sorted(cells.split()))}) is not read, and all rows are for" in told[0]
    make(path, label=header).tell_of_special("train", Reader(warn=told.append))
    path.write_text(path.read_text().replace(second, "x-ray"))
    sources[0].tell_of_special("train", Reader(warn=told.append))
    assert len(told) == 2


@pytest.mark.parametrize("name", ["pictures/a", "a.png", "a", "pictures/a.PNG", "pictures/A.png", "pictures/A.PNG"])
def test_a_file_that_lies_nearby_is_named(root: Path, name: str) -> None:
    """As where a list leaves out the ending or the folder of the pictures, or has other capitals."""
    path = table(root, f"path,label\n{name},dog\npictures/b.png,cat\n")
    found = root / "pictures" / "a.png"
    wanted = found.relative_to((root / name).parent)
    with pytest.raises(
        DataError, match=f"No such file. There is {found}: write {wanted} in place of {Path(name).name}$"
    ):
        make(path).load("train")


@pytest.mark.parametrize(("written", "there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_in_another_form_of_unicode_is_told(root: Path, written: str, there: str) -> None:
    """As where the list was made on one system, and the pictures come from another."""
    names = {form: unicodedata.normalize(form, "Vögel.png") for form in (written, there)}
    picture(root / "pictures" / names[there], 7)
    if (root / "pictures" / names[written]).exists():
        pytest.skip("this file system takes both forms for one")
    path = table(root, f"path,label\npictures/{names[written]},dog\npictures/b.png,cat\n")
    with pytest.raises(DataError, match=rf"one of that name in another form of Unicode \({there}\): rename it, or"):
        make(path).load("train")


def test_other_things_that_are_wrong(root: Path) -> None:
    (root / "val.csv").write_text("path,label\npictures/a.png,cow\n")
    said = refusal("csv", "val", path=str(root))
    assert f"{root / 'val.csv'}:2: the label 'cow' is not among the 2 of train." in said
    assert f"{root} has no split 'test', found train, val. Add test.csv" in refusal("csv", "test", path=str(root))
    (root / "pictures" / "b.png").unlink()
    said = refusal("csv", path=str(root))
    assert f"1 of 3 images unreadable, first: {root / 'pictures' / 'b.png'}: No such file or directory" in said
    said = refusal("csv", path=str(root), on_bad_image="skip")
    assert f"{root / 'train.csv'}: no file of the class 'cat' can be read; skipped first: {root}" in said
    rows = (root / "train.csv").read_text()
    (root / "train.csv").write_text(rows.replace("c.png,dog", "c.png,cat"))
    images = make(root, on_bad_image="skip").load("train")
    assert images.targets.tolist() == [1, 0]
    assert images.skipped == (f"{root / 'pictures' / 'b.png'}: No such file or directory",)
    (root / "train.csv").unlink()
    assert f"{root} holds no train.csv, found val. Set path to a CSV file" in refusal("csv", path=str(root))
    latin = table(root, "path,label\nä,b\n", "latin-1")
    assert f"{latin} is not UTF-8 text (" in refusal("csv", path=str(latin))


LISTS = "path,labels\npictures/a.png,hot|red\npictures/b.png,\npictures/c c.png, red|| red |\n"


def test_lists_of_labels_in_a_cell_are_a_yes_or_a_no_for_each(root: Path) -> None:
    """Whatever is written twice, with spaces around it or with nothing between two separators."""
    path = table(root, LISTS)
    source = recognize(path)
    assert source == make(path, label="labels", separator="|", targets=("hot", "red"), size=(2, 2), channels=1)
    images = source.load("train")
    assert images.targets.tolist() == [[1, 1], [0, 0], [0, 1]]
    assert images.targets.dtype == np.float32
    assert source.target_names() == ("hot", "red")
    assert source.place_of_target("train", 0, 1, 0.0) == f"{path}:3: red"
    assert recognize(path, ["labels"]) == source


@pytest.mark.parametrize("column", ["labels", "what"])
@pytest.mark.parametrize(
    ("cells", "mark"),
    [
        (("['hot', 'red']", "[]", "['red']"), ","),  # pandas
        (('["hot","red"]', "[]", '["red"]'), ","),  # JSON
        (("['hot' 'red']", "[]", "['red']"), " "),  # an array of NumPy's
        (("[hot, red]", " [ ] ", "[red]"), ","),
    ],
)
def test_lists_as_programs_write_them_are_read_without_brackets_and_quotes(
    root: Path, column: str, cells: tuple[str, ...], mark: str
) -> None:
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
    rows = [f"{name},{cell}" for name, cell in zip(("a", "b", "c c"), quoted, strict=True)]
    path = table(root, "\n".join([f"path,{column}", *(f"pictures/{row.replace(',', '.png,', 1)}" for row in rows), ""]))
    source = recognize(path, [column])
    assert source == make(path, label=column, separator=mark, targets=("hot", "red"), size=(2, 2), channels=1)
    assert source.load("train").targets.tolist() == [[1, 1], [0, 0], [0, 1]]


def test_yes_and_no_as_spreadsheets_write_them_are_1_and_0(root: Path) -> None:
    rows = ["pictures/a.png,True,FALSE", "pictures/b.png,False,FALSE", "pictures/c c.png,True,TRUE"]
    path = table(root, "\n".join(["path,hot,red", *rows, ""]))
    source = recognize(path)
    assert source.target_names() == ("hot", "red")
    assert source.load("train").targets.tolist() == [[1, 0], [0, 0], [1, 1]]


def test_a_column_of_numbers_with_a_gap_is_told_when_it_would_be_predicted(root: Path) -> None:
    path = table(root, "path,price,size\npictures/a.png,1.5,2.5\npictures/b.png,,3.5\npictures/c c.png,0.5,0.25\n")
    with pytest.raises(DataError, match="the column 'price' has numbers, and '' in 1 of 3 rows"):
        recognize(path)
    assert recognize(path, ["size"]).target_names() == ("size",)


def test_labels_of_all_training_rows_are_found_not_of_the_first_only(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelled_rows, "LOOKED_AT", 4)
    path = table(root, LISTS + "pictures/a.png,zebra\n")
    assert recognize(path).target_names() == ("hot", "red", "zebra")


def test_a_label_that_targets_leave_out_is_told_by_its_row(root: Path) -> None:
    path = table(root, LISTS)
    said = refusal("csv", path=str(path), label="labels", separator="|", targets=("red",))
    assert said.startswith(f"{path}:2: the label 'hot' is not among the 1 of targets. Mend the row; to have it learned")
    other = table(root, LISTS.replace("hot|red", "hot; red"))
    said = refusal("csv", path=str(other), label="labels", separator="|", targets=("hot", "red"))
    assert said.endswith("The labels there seem to have ';' in between: set data.source.separator to that")
    decomposed = unicodedata.normalize("NFD", "Vögel")
    path = table(root, f"path,label\npictures/a.png,{decomposed}|x\npictures/b.png,x\n")
    composed = unicodedata.normalize("NFC", "Vögel")
    assert make(path, separator="|", targets=("x", composed)).load("train").targets.tolist() == [[1, 1], [1, 0]]


def test_lists_that_are_taken_for_classes_are_told(root: Path) -> None:
    path = table(root, LISTS.replace("png,\n", "png,hot\n"))
    told: list[str] = []
    source = make(path, label="labels")
    assert source.load("train").classes == ("hot", "hot|red", "red|| red |")
    source.tell_of_special("train", Reader(warn=told.append))
    assert told == [
        f"{path}: the column 'labels' seems to list labels ('hot|red'), and each list is taken for a class. For an "
        "answer about each label set separator to '|', and targets to the labels, as init does"
    ]
    recognize(path).tell_of_special("train", Reader(warn=told.append))
    make(root).tell_of_special("train", Reader(warn=told.append))
    assert len(told) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"separator": ""}, "separator must not be empty; a space is ' '"),
        ({"separator": "|"}, "separator needs targets, a list of the labels: init --target COLUMN finds them"),
        ({"separator": "|", "targets": ("a", "b|c")}, "the label 'b|c' of targets cannot stand in a list with '|'"),
        ({"separator": " ", "targets": (" a", "b")}, "the label ' a' of targets cannot stand in a list with ' '"),
        ({"separator": "|", "targets": ("a", "a")}, "targets must be one or more different names"),
        ({"label": "x", "targets": ("a", "b")}, "csv takes 'label', for classes, or 'targets', for values"),
    ],
)
def test_settings_of_lists_that_cannot_be(root: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make(root, **fields)


CONFIG = """\
seed: 0
data:
  source: {type: csv, path: table.csv, channels: 1, targets: [left, right]}
  val: 0.25
model:
  layers: [{type: conv2d, filters: 4, kernel_size: 3, padding: same}, relu, flatten, {type: dense, units: auto}]
loss: LOSS
optimizer: {type: adam, lr: 0.02}
train: {epochs: 15, batch_size: 16}
"""


@pytest.mark.parametrize(("loss", "most"), [("binary_cross_entropy", 0.2), ("mse", 0.05)])
def test_a_network_learns_several_labels_and_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: str, most: float
) -> None:
    """Whether the left half is bright, and whether the right half is: any, both or none."""
    monkeypatch.chdir(tmp_path)
    rows = ["path,left,right"]
    for number in range(80):
        left, right = number & 1, number >> 1 & 1
        row = bytes([20 + 150 * left + number] * 3 + [20 + 150 * right + number // 2] * 3)
        (tmp_path / f"{number}.png").write_bytes(png(6, 4, 8, 0, row * 4))
        rows.append(f"{number}.png,{left},{right}")
    table(tmp_path, "\n".join(rows))
    text = CONFIG.replace("LOSS", loss)
    result = run(write(tmp_path, text, "halves.yaml"), tmp_path / "run")
    assert result["final"]["val/loss"] < most
    if loss == "mse":
        return
    assert result["final"]["val/mean_ap"] > 0.9
    lists = [row.split(",") for row in rows[1:]]
    cells = [[file, "|".join(compress(("left", "right"), map(int, bits)))] for file, *bits in lists]
    (tmp_path / "lists.csv").write_text("\n".join(map(",".join, [["path", "label"], *cells])))
    text = text.replace("table.csv", "lists.csv").replace("targets:", "separator: '|', targets:")
    again = run(write(tmp_path, text, "lists.yaml"), tmp_path / "lists")
    assert again["final"]["val/loss"] == result["final"]["val/loss"]
    with Pool(1) as pool:
        numbers, listed = (Trained(tmp_path / name, pool).evaluate("train") for name in ("run", "lists"))
    assert listed | {"checkpoint": numbers["checkpoint"]} == numbers
