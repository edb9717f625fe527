"""A CSV file of boxes: one row for each box, with the path of its picture, its corners and its class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cnntrain.core.registry import register
from cnntrain.parts.datasets.boxed_pictures import BoxedPictures
from cnntrain.parts.datasets.listed import ADVICE, Listed
from cnntrain.reading.annotations import Marked, Page, named, number
from cnntrain.reading.box_columns import box_columns
from cnntrain.reading.csv_rows import TABLES, first_rows, named_file, rows_of
from cnntrain.reading.folders import split_folders
from cnntrain.reading.input_files import is_there, reading

_LOOKED_AT = 1_000  # rows that say what columns are for


@register("boxes_csv")
@dataclass(frozen=True)
class BoxesCsv(BoxedPictures, Listed):
    """Boxes listed in a CSV file with a header; or a folder of train.csv and, if present, val.csv and test.csv, or
    of train/_annotations.csv, valid/... and test/....

    `image` names the column of the pictures' paths, relative to the file's folder; `corners` those of the left, upper,
    right and lower edge in pixels from 0; `label` that of class names. A row whose corners are all empty says that its
    picture shows nothing. The classes are those of the training rows, sorted by code point. Columns are separated by
    commas, semicolons or tabs.
    """

    image: str = "path"  # the column of the pictures' paths
    corners: tuple[str, str, str, str] = ("x1", "y1", "x2", "y2")  # the columns of the edges: left, upper, right, lower
    label: str = "class"  # the column of class names

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """A .csv file, or a folder with that of train, with columns of usual names for four corners."""
        table = _of_roboflow(path).get("train", path / "train.csv") if path.is_dir() else path
        if table.suffix.lower() not in TABLES or not table.is_file():
            return None
        header, *rows = first_rows(table, _LOOKED_AT) or [[]]
        found = box_columns(table, [name.strip() for name in header], rows)
        return found and cls(str(path), image=found.file, corners=found.edges, label=found.label).boxed()

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the picture, the four edges and the class."""
        return (self.image, *self.corners, self.label)

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
        found: dict[Path, list[Marked]] = {}
        first: dict[Path, str] = {}
        naming = "Name the columns with 'image', 'corners' and 'label'"
        for where, cells in rows_of(table, self.columns, "box", naming, ADVICE):
            picture = table.parent / named_file(where, cells[0], "picture")
            first.setdefault(picture, where)
            found.setdefault(picture, []).extend(self._marked(where, cells))
        return [Page(first[picture], picture, tuple(boxes)) for picture, boxes in found.items()]

    def _marked(self, where: str, cells: Sequence[str]) -> list[Marked]:
        """The box of a row, or none."""
        _, *corners, label = cells
        if not any(corners):
            return []
        values = [number(text, where, column) for text, column in zip(corners, self.corners, strict=True)]
        return [Marked(where, named(label, where), (values[0], values[1], values[2], values[3]))]


def _of_roboflow(folder: Path) -> dict[str, Path]:
    """Split -> its file, where each lies in a folder with its pictures."""
    found = {split: inner / "_annotations.csv" for split, inner in split_folders(folder).items()}
    found = {split: path for split, path in found.items() if is_there(path)}
    return found if "train" in found and not is_there(folder / "train.csv") else {}
