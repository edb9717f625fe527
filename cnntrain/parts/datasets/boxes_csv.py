"""A CSV file of boxes: one row for each box, with the path of its picture, its corners and its class."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import Self

from cnntrain.core.errors import DataError, printable
from cnntrain.core.registry import register
from cnntrain.parts.datasets.boxed_pictures import BoxedPictures
from cnntrain.parts.datasets.listed import ADVICE, Listed
from cnntrain.reading.annotations import Marked, Page, named, number, text_of
from cnntrain.reading.folders import split_folders
from cnntrain.reading.input_files import is_there, opened, reading

_LARGEST = 2**28  # bytes of a file
_CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), ("x_min", "y_min", "x_max", "y_max"))
_PICTURES = ("path", "filename", "image", "file", "image_path", "file_name", "img_path")
_CLASSES = ("class", "label", "class_name", "name", "category")


@register("boxes_csv")
@dataclass(frozen=True)
class BoxesCsv(BoxedPictures, Listed):
    """Boxes listed in a CSV file with a header; or a folder of train.csv and, where there are, val.csv and test.csv, or
    of train/_annotations.csv, valid/... and test/....

    `image` names the column of the pictures' paths, relative to the file's folder; `corners` those of the left, upper,
    right and lower edge in pixels from 0; `label` that of class names. A row whose corners are all empty says that its
    picture shows nothing. The classes are those of the training rows, sorted by code point. Columns are divided by
    commas, semicolons or tabs.
    """

    image: str = "path"  # the column of the pictures' paths
    corners: tuple[str, str, str, str] = ("x1", "y1", "x2", "y2")  # the columns of the edges: left, upper, right, lower
    label: str = "class"  # the column of class names

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """A .csv file, or a folder with that of train, with columns of four corners."""
        table = _of_roboflow(path).get("train", path / "train.csv") if path.is_dir() else path
        if table.suffix.lower() != ".csv" or not table.is_file():
            return None
        with reading(table), TextIOWrapper(opened(table), "utf-8-sig", "replace", newline="") as file:
            head = file.readline(2**16)
        names = [name.strip() for name in next(csv.reader([head], delimiter=_delimiter(head)), [])]
        corners = next((four for four in _CORNERS if set(four) <= set(names)), None)
        image = next((name for name in _PICTURES if name in names), None)
        label = next((name for name in _CLASSES if name in names), None)
        if corners is None or image is None or label is None:
            return None
        return cls(str(path), image=image, corners=corners, label=label).boxed()

    def tables(self) -> dict[str, Path]:
        """Split -> its file. Raises DataError where there is none."""
        place = Path(self.path).absolute()
        with reading(place):
            inner = _of_roboflow(place) if place.is_dir() else {}
        return inner or super().tables()

    def annotation_files(self, split: str) -> tuple[Path, ...]:
        """The CSV file of a split."""
        return (self.table(split),)

    def pages(self, split: str) -> list[Page]:
        """The pictures in the order in which the rows name them first."""
        table = self.table(split)
        text = text_of(table, _LARGEST)
        lines = csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text.split("\n", 1)[0]), strict=True)
        found: dict[Path, list[Marked]] = {}
        first: dict[Path, str] = {}
        try:
            places = self._places([name.strip() for name in next(lines, [])], table)
            for cells in lines:
                if cells:
                    where = f"{table}:{lines.line_num}"
                    picture, box = self._row(cells, places, where, table.parent)
                    first.setdefault(picture, where)
                    found.setdefault(picture, []).extend([] if box is None else [box])
        except csv.Error as error:
            raise DataError(f"{table}:{lines.line_num} is no CSV ({error}). {ADVICE}") from error
        if not found:
            raise DataError(f"{table} has no row below its header, expected one for each box. Add them")
        return [Page(first[picture], picture, tuple(boxes)) for picture, boxes in found.items()]

    def _places(self, header: Sequence[str], table: Path) -> tuple[int, list[int]]:
        """How many columns there are, and which are the picture's, the corners' and the class's."""
        wanted = (self.image, *self.corners, self.label)
        for column in wanted:
            if header.count(column) != 1:
                found = "twice" if column in header else f"not among {printable(', '.join(header))[:200] or 'none'}"
                raise DataError(
                    f"{table}: the column {column!r} is {found}. Name the columns with 'image', 'corners' and 'label'"
                )
        return len(header), [header.index(column) for column in wanted]

    def _row(
        self, cells: Sequence[str], places: tuple[int, Sequence[int]], where: str, folder: Path
    ) -> tuple[Path, Marked | None]:
        columns, chosen = places
        if len(cells) != columns:
            raise DataError(f"{where} has {len(cells)} columns, expected {columns} as in the header. Mend the row")
        picture, *corners, label = (cells[place].strip() for place in chosen)
        if not picture or "\0" in picture:
            raise DataError(f"{where} names no picture, expected a path. Mend the row, or remove it")
        if not any(corners):
            return folder / picture, None
        values = [number(text, where, column) for text, column in zip(corners, self.corners, strict=True)]
        return folder / picture, Marked(where, named(label, where), (values[0], values[1], values[2], values[3]))


def _of_roboflow(folder: Path) -> dict[str, Path]:
    """Split -> its file, where each lies in a folder with its pictures."""
    found = {split: inner / "_annotations.csv" for split, inner in split_folders(folder).items()}
    found = {split: path for split, path in found.items() if is_there(path)}
    return found if "train" in found and not is_there(folder / "train.csv") else {}


def _delimiter(header: str) -> str:
    return max((",", ";", "\t"), key=header.count)
