"""Box columns are those of a table that say where a box is: by its edges, or in a form to be turned into these."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cnntrain.core.errors import DataError
from cnntrain.reading.tables import cells_of, file_of, is_number, labels_of, plain

# names that tools give to columns, as `plain` has them
_BEFORE = ("", "bbox", "boundingbox", "box", "bb", "roi")
_EDGES = (
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("minx", "miny", "maxx", "maxy"),
    ("left", "top", "right", "bottom"),
    ("xtl", "ytl", "xbr", "ybr"),
    ("x0", "y0", "x1", "y1"),
)
_CORNER = (("x", "y"), ("left", "top"), ("xmin", "ymin"), ("x1", "y1"), ("x0", "y0"))
_MIDDLE = (("cx", "cy"), ("xcenter", "ycenter"), ("centerx", "centery"), ("xc", "yc"))
_SIDES = (("width", "height"), ("w", "h"))
_TOGETHER = ("bbox", "boundingbox", "box", "bboxes", "boxes")
_FOUR = re.compile(r"[\[(]?\s*(-?[\d.]+[\s,;]+){3}-?[\d.]+\s*[\])]?")
_FROM_CORNER = "x1 = {0}, y1 = {1}, x2 = {0} + {2}, y2 = {1} + {3}"
_FROM_MIDDLE = "x1 = {0} - {2} / 2, y1 = {1} - {3} / 2, x2 = {0} + {2} / 2, y2 = {1} + {3} / 2"
_OF_LABEL_STUDIO = re.compile(r"""\[\{.{0,2000}?"(rectangle|polygon|ellipse|keypoint|brush)labels"\s*:""", re.DOTALL)
_WHOLE = "or say what whole pictures are to be told by with --target COLUMN"


class BoxColumns(NamedTuple):
    """The columns of a table of boxes: of pictures, of the left, upper, right and lower edge, and of classes."""

    file: str
    edges: tuple[str, str, str, str]
    label: str


def box_columns(table: Path, names: Sequence[str], rows: Sequence[Sequence[str]]) -> BoxColumns | None:
    """What the columns of a table of boxes are for; None where it is no such table.

    Raises DataError where boxes are there in another form, saying how to turn it into edges, and where several columns
    have one name but for capitals, spaces and the like.
    """
    cells = cells_of(names, rows)
    _refuse_exports(table, cells)
    file, labels = file_of(names, cells), labels_of(names, "name")
    if file is None:
        return None
    known: dict[str, list[str]] = {}
    for name in names:
        known.setdefault(plain(name), []).append(name)
    edges = next(_found(known, _EDGES), None)
    if edges is not None and labels:
        left, upper, right, lower = (_only(table, some) for some in edges)
        return BoxColumns(file, (left, upper, right, lower), _only(table, labels))
    if labels or len(set(cells[file])) < len(cells[file]):  # one box in each picture may be numbers to be predicted
        _refuse(table, known, cells, edges)
    return None


def _refuse_exports(table: Path, cells: Mapping[str, Sequence[str]]) -> None:
    """Raise DataError for a CSV file of an annotation tool that has the shapes of a picture as JSON in its cells."""
    tool = None
    if {"regionshapeattributes", "regionattributes"} <= {plain(name) for name in cells}:
        tool = "VIA (VGG Image Annotator)"
    elif any(map(_OF_LABEL_STUDIO.match, itertools.chain.from_iterable(cells.values()))):
        tool = "Label Studio"
    if tool is not None:
        raise DataError(
            f"{table.absolute()} is {tool}'s CSV file, whose shapes stand in cells as JSON and are not read. Export "
            f"them as COCO{' or Pascal VOC' if tool == 'Label Studio' else ''}; {_WHOLE}"
        )


def _found(known: Mapping[str, list[str]], forms: Sequence[Sequence[str]]) -> Iterator[list[list[str]]]:
    """The columns with the names of one of these forms, each a list of those that have one."""
    for form, before in itertools.product(forms, _BEFORE):
        wanted = [before + name for name in form]
        if all(name in known for name in wanted):
            yield [known[name] for name in wanted]


def _only(table: Path, names: Sequence[str]) -> str:
    if len(names) > 1:
        listed = " and ".join(map(repr, names))
        raise DataError(f"{table.absolute()} has the columns {listed}, which mean the same by their names. Rename one")
    return names[0]


def _refuse(
    table: Path, known: Mapping[str, list[str]], cells: Mapping[str, Sequence[str]], edges: list[list[str]] | None
) -> None:
    """Raise DataError where a table has boxes that are not read."""
    if edges is not None:
        raise DataError(
            f"{table.absolute()} has boxes, several in a picture, and no column that says what is in each. Add a "
            "column class, with one name throughout if there is but one kind"
        )
    for corner, way in ((_CORNER, _FROM_CORNER), (_MIDDLE, _FROM_MIDDLE)):
        for four in _found(known, [(*place, *sides) for place in corner for sides in _SIDES]):
            names = [_only(table, some) for some in four]
            if all(_numbers(cells[name]) for name in names):
                raise DataError(
                    f"{table.absolute()} has boxes by {', '.join(names)}, and only those by their four edges are read. "
                    f"Make four columns, {way.format(*names)}; {_WHOLE}"
                )
    for name in itertools.chain.from_iterable(known.get(each, []) for each in _TOGETHER):
        if cells[name] and all(_FOUR.fullmatch(cell) for cell in cells[name]):
            raise DataError(
                f"{table.absolute()} has all four numbers of a box in the column {name!r}, expected a column for each "
                f"edge in pixels. Split it into x1, y1, x2, y2 (left, upper, right, lower); {_WHOLE}"
            )


def _numbers(cells: Sequence[str]) -> bool:
    """Whether a column of a box holds numbers: all four are empty for a picture that shows nothing."""
    return any(cells) and all(map(is_number, filter(None, cells)))
