"""Tables: what their columns are for, as names and cells suggest: files, classes, values, or nothing."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cnntrain.core.errors import DataError, printable
from cnntrain.reading import pictures, sounds

# names that tools give to columns, as `plain` has them
_FILES = (
    *("path", "image", "file", "filename", "filepath", "imagepath", "imagename", "imagefile"),
    *("img", "imgpath", "picture", "photo", "fname"),
    *("audio", "audiopath", "audiofile", "sound", "recording", "wav", "wavpath", "clip"),
)
_NUMBERED = ("classid", "categoryid", "labelid", "classindex")
_LABELS = (
    *("label", "class", "category", "labels", "classname", "categoryname", "labelname", "species", *_NUMBERED),
    "tags",
)
# columns whose cells are expected to be several labels
_LISTS = frozenset(["labels", "tags", "classes", "categories", "genre", "genres", "attributes", "keywords"])
_QUOTED = re.compile(r"""\A(["'])(.*)\1\Z""", re.DOTALL)
SEPARATORS = ("|", ";", ",", " ")  # between labels; the last two only in such columns, as in many a class's name, too
_NAMES = (  # of columns about a row or a file, and not about what the picture shows
    "id ids idx index uid uuid no nr num number row rowid imageid imgid sampleid split set subset fold kfold"
    " partition usage source url md5 sha1 sha256 hash bytes filesize file_size size channels depth mode format dpi date"
    " time timestamp created modified author photographer license licence camera device"
)
_ABOUT = frozenset(_NAMES.split())
_SIDES = frozenset(["width", "height", "imgwidth", "imgheight", "imagewidth", "imageheight", "rows", "cols"])
_BOXES = frozenset(["x", "y", "left", "top", "xmin", "ymin", "cx", "cy", "x1", "y1"])
_ENDINGS = tuple(pictures.SUFFIXES | sounds.SUFFIXES)
_POINTLESS = re.compile(r"[+-]?\d*,\d+")  # a number with a decimal comma
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")  # one with a comma after each three digits, it seems
_EUROPEAN = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?")  # one with a point there, as 1.000,50
_GAPS = frozenset(["", "na", "n/a", "nan", "none", "null", "-", "?", "inf"])  # what stands for a number that is missing
SPLIT_NAMES = frozenset(["split", "set", "subset", "partition", "dataset", "usage"])  # columns of train, test and so on
ANSWERS = {"true": 1.0, "false": 0.0}  # how pandas and spreadsheets write 1 and 0, in any case
_MOST = 0.5  # of the rows, at most so many classes


class TableColumns(NamedTuple):
    """Which column names files, and which is to be predicted; or the columns among which the user has to choose.

    With `separator`, the cells of `label` are lists of labels.
    """

    file: str
    label: str | None = None
    targets: tuple[str, ...] | None = None
    separator: str | None = None
    doubtful: tuple[str, ...] = ()


def cells_of(names: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """The cells of each column without spaces around them; a row that is too short has none in the last ones."""
    return {name: [row[place].strip() for row in rows if place < len(row)] for place, name in enumerate(names)}


def columns_of(names: Sequence[str], rows: Sequence[Sequence[str]]) -> TableColumns:
    """What the columns of a table seem to be for.

    A column of class names is preferred to columns of numbers; running numbers, constants, folds, sizes of files and
    the like are neither.
    """
    cells = cells_of(names, rows)
    file = _file(names, cells)
    others = {name: column for name, column in cells.items() if name != file and column}
    labels = labels_of([*others])
    if len(labels) == 1:
        return _of_classes(file, _named(labels[0], others), others)
    if labels:
        return TableColumns(file, doubtful=tuple(labels))
    told = {name: column for name, column in others.items() if not _is_about(name, column, others)}
    numeric = [name for name, column in told.items() if all(map(is_number, _whole(column)))]
    texts = [name for name, column in told.items() if name not in numeric and _are_classes(column)]
    if len(texts) == 1:
        return _of_classes(file, texts[0], others)
    mostly = [name for name in numeric if 2 * len(_whole(told[name])) > len(told[name])]
    targets = tuple(name for name in told if name in mostly or name in texts)
    if targets and all(_are_answers(told[name]) for name in texts):  # several of yes and no, or none
        return TableColumns(file, targets=targets)
    return TableColumns(file, doubtful=tuple(texts or others))


def numbers_beside(names: Sequence[str], rows: Sequence[Sequence[str]], read: Sequence[str]) -> tuple[str, ...]:
    """The columns of numbers beside those that are read, but for constants and running numbers."""
    cells = {name: _whole(column) for name, column in cells_of(names, rows).items() if name not in read}
    return tuple(
        name
        for name, column in cells.items()
        if len({*column}) > 1 and all(map(is_number, column)) and not _counts(column)
    )


def _whole(column: Sequence[str]) -> list[str]:
    """The cells that are not missing."""
    return [cell for cell in column if cell.casefold() not in _GAPS]


def _are_answers(column: Sequence[str]) -> bool:
    """Whether cells are yes or no."""
    return all(cell.casefold() in ANSWERS for cell in column)


def _named(label: str, columns: Mapping[str, Sequence[str]]) -> str:
    """The column of classes or, where it has their numbers, the one that has a name for each of these."""
    numbers = columns[label]
    if plain(label) not in _NUMBERED or not all(map(is_number, numbers)):
        return label
    count = len({*numbers})
    names = (name for name, column in columns.items() if len({*column}) == count and not any(map(is_number, column)))
    return next((name for name in names if len({*zip(numbers, columns[name], strict=False)}) == count), label)


def chosen(names: Sequence[str], rows: Sequence[Sequence[str]], wanted: Sequence[str]) -> TableColumns:
    """What the columns are for where those to be predicted are known: classes, or values if they are all numbers.

    One column of whole numbers named like a class is one of classes.
    """
    cells = cells_of(names, rows)
    file = _file([name for name in names if name not in wanted], cells)
    numbers = all(is_number(cell) for name in wanted for cell in cells.get(name, ()))
    if len(wanted) == 1 and (not numbers or plain(wanted[0]) in _LABELS):
        return _of_classes(file, wanted[0], cells)
    return TableColumns(file, targets=tuple(wanted))


def _of_classes(file: str, label: str, cells: Mapping[str, Sequence[str]]) -> TableColumns:
    """With a column of classes, or of lists of them."""
    return TableColumns(file, label=label, separator=separator_of(label, cells.get(label, ())))


def separator_of(name: str, cells: Sequence[str]) -> str | None:
    """What stands between the labels of a column's cells; None where a cell is one label.

    Lists are of different lengths, and put the same labels together in different ways.
    """
    different = {cell for cell in cells if cell}
    expected = plain(name) in _LISTS or not any(_without_brackets(cell) is None for cell in different)
    for mark in SEPARATORS if expected else SEPARATORS[:2]:
        lists = [labels for cell in different if (labels := {*labels_in(cell, mark)})]
        if len({len(labels) for labels in lists}) > 1 and len(set().union(*lists)) <= len(lists):
            return mark
    return None


def labels_in(cell: str, separator: str) -> list[str]:
    """The labels in a cell, which may be written as Python and pandas do: "['cat', 'dog']"."""
    inside = _without_brackets(cell)
    if inside is None:
        return [label for piece in cell.split(separator) if (label := piece.strip())]
    return [label for piece in inside.split(separator) if (label := _QUOTED.sub(r"\2", piece.strip()))]


def _without_brackets(cell: str) -> str | None:
    """What a list has between its brackets; None for any other cell."""
    cell = cell.strip()
    return cell[1:-1] if cell[:1] == "[" and cell[-1:] == "]" and len(cell) > 1 else None


def check_numbers(names: Sequence[str], rows: Sequence[Sequence[str]], column: str) -> None:
    """Raise ValueError for a column that is to be classes and holds numbers: with commas, with "%", or with gaps."""
    whole = _whole(cells_of(names, rows)[column])
    parts = [cell.removesuffix("%").rstrip() for cell in whole]
    commas = [cell for cell in parts if not is_number(cell)]
    if all(any(form.fullmatch(cell) for form in (_POINTLESS, _GROUPED, _EUROPEAN)) for cell in commas):
        if parts == whole and not any(map(_EUROPEAN.fullmatch, commas)):
            _check_commas(column, commas)
        elif len({*whole}) > _MOST * len(whole):  # where few differ, they are names
            _check_percentages(column, whole)
            _check_points(column, parts)
    if any(not cell.isdecimal() for cell in whole) and all(map(is_number, whole)):
        check_gaps(names, rows, column)


def _check_percentages(column: str, cells: Sequence[str]) -> None:
    """Raise ValueError for percentages."""
    percent = next((cell for cell in cells if cell.endswith("%")), None)
    if percent is not None:
        raise ValueError(
            f"the column {column!r} has percentages ({percent}), expected numbers alone. Remove '%'; "
            f"{_or_classes(column)}"
        )


def _check_points(column: str, cells: Sequence[str]) -> None:
    """Raise ValueError for numbers with points that part thousands; versions have as many points in each cell."""
    if any("," in cell for cell in cells) or len({cell.count(".") for cell in cells}) > 1:
        parted = next(cell for cell in cells if _EUROPEAN.fullmatch(cell) and not is_number(cell))
        raise ValueError(
            f"the column {column!r} has numbers with points that part thousands ({parted}): remove these, and write "
            f"points for commas; {_or_classes(column)}"
        )


def _or_classes(column: str) -> str:
    """What to do about cells that look like numbers and are names."""
    return f"if these are classes, write a config whose source has label: {column}"


def _check_commas(column: str, commas: Sequence[str]) -> None:
    """Raise ValueError for numbers that are written with commas."""
    if not commas:
        return
    if all(map(_GROUPED.fullmatch, commas)):
        raise ValueError(
            f"the column {column!r} has numbers with commas ({commas[0]}): remove those that part thousands, and "
            "write points for those that part decimals"
        )
    comma = next(cell for cell in commas if not _GROUPED.fullmatch(cell))
    raise ValueError(f"the column {column!r} has decimal commas ({comma}), expected points. Replace them")


def check_gaps(names: Sequence[str], rows: Sequence[Sequence[str]], column: str) -> None:
    """Raise ValueError for a column of numbers of which some are missing."""
    cells = cells_of(names, rows)[column]
    gaps = [cell for cell in cells if cell.casefold() in _GAPS]
    if gaps:
        raise ValueError(
            f"the column {column!r} has numbers, and {gaps[0]!r} in {len(gaps):,} of {len(cells):,} rows. "
            "Fill these in, leave such rows out, or name other columns with init --target COLUMN"
        )


def is_number(text: str) -> bool:
    """Whether a cell holds a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def plain(name: str) -> str:
    """The name of a column without what is written in different ways: "X_Min" and "x min" are "xmin"."""
    return re.sub(r"[\W_]+", "", name).casefold()


def labels_of(names: Sequence[str], *further: str) -> list[str]:
    """The column of classes by the likeliest of the usual names, or of `further` ones; several if they share it."""
    by_name = ([name for name in names if plain(name) == wanted] for wanted in (*_LABELS, *further))
    return next(filter(None, by_name), [])


def file_of(names: Sequence[str], cells: Mapping[str, Sequence[str]]) -> str | None:
    """The column of files: by its name, else by the endings of its cells; None where neither says so."""
    named = next((name for wanted in _FILES for name in names if plain(name) == wanted), None)
    if named is not None:
        return named
    return next((name for name in names if cells.get(name) and all(map(is_file, cells[name]))), None)


def _file(names: Sequence[str], cells: Mapping[str, Sequence[str]]) -> str:
    """The column of files, or else the first."""
    return file_of(names, cells) or (names[0] if names else "path")


def require_header(table: Path, header: Sequence[str]) -> None:
    """Raise DataError where the first row of a table names a file, as rows of data do."""
    file = next(filter(is_file, header), None)
    if file is not None:
        raise DataError(
            f"{table.absolute()}:1 is a row of data (it has {printable(file)[:80]!r}), expected a header that names "
            f"the columns. Put a line above it, such as {_header_for(header)}"
        )


def is_file(cell: str) -> bool:
    """Whether a cell, by its ending, names a picture or a sound."""
    return cell.strip().lower().endswith(_ENDINGS)


def _header_for(row: Sequence[str]) -> str:
    """Names for the columns of a row, which are then known for what they are."""
    files = sum(map(is_file, row))
    numbers = sum(map(is_number, row))
    names = {
        "file": iter(["path"] if files == 1 else ["image", "mask"]),
        "value": iter(["x1", "y1", "x2", "y2"] if numbers == 4 else []),
        "text": iter(["class" if numbers == 4 else "label"]),
    }
    kinds = ["file" if is_file(cell) else "value" if is_number(cell) else "text" for cell in row]
    return ",".join(next(names[kind], f"{kind}{place}") for place, kind in enumerate(kinds, 1))


def _is_about(name: str, column: Sequence[str], others: Mapping[str, Sequence[str]]) -> bool:
    """Whether a column is about the row or the file: by its name, or because it is constant, or counts."""
    bare = plain(name)
    if bare in _ABOUT or not bare or name.casefold().startswith("unnamed:"):
        return True
    if bare in _SIDES and not any(plain(other) in _BOXES for other in others):
        return True
    return len(column) > 2 and (len(set(column)) == 1 or _counts(column))


def _counts(column: Sequence[str]) -> bool:
    """Whether cells are running numbers."""
    if len(column) < 4 or not all(cell.isdecimal() for cell in column):
        return False
    values = [int(cell) for cell in column]
    return all(after == before + 1 for before, after in itertools.pairwise(values))


def _are_classes(column: Sequence[str]) -> bool:
    """Whether cells are names of classes: few, for many rows."""
    return 2 <= len(set(column)) <= max(_MOST * len(column), 2)
