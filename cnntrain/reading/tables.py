"""Tables: what their columns are for, as names and cells suggest: files, classes, values, or nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cnntrain.reading import pictures, sounds

_FILES = (
    *("path", "image", "file", "filename", "filepath", "file_name", "file_path", "image_path", "image_name"),
    *("image_file", "img", "img_path", "picture", "photo", "fname"),
    *("audio", "audio_path", "audio_file", "sound", "recording", "wav", "wav_path", "clip"),
)
_LABELS = ("label", "class", "category", "labels", "class_name", "classname", "category_name", "label_name", "species")
_NAMES = (  # of columns about a row or a file, and not about what the picture shows
    "id ids idx index uid uuid no nr num number row row_id image_id img_id sample_id split set subset fold kfold k_fold"
    " partition usage source url md5 sha1 sha256 hash bytes filesize file_size size channels depth mode format dpi date"
    " time timestamp created modified author photographer license licence camera device"
)
_ABOUT = frozenset(_NAMES.split())
_SIDES = frozenset(["width", "height", "img_width", "img_height", "image_width", "image_height", "rows", "cols"])
_BOXES = frozenset(["x", "y", "left", "top", "xmin", "ymin", "x_min", "y_min", "cx", "cy", "x1", "y1"])
_MOST = 0.5  # of the rows, at most so many classes


class TableColumns(NamedTuple):
    """Which column names files, and which is to be predicted; or the columns among which the user has to choose."""

    file: str
    label: str | None = None
    targets: tuple[str, ...] | None = None
    doubtful: tuple[str, ...] = ()


def columns_of(names: Sequence[str], rows: Sequence[Sequence[str]]) -> TableColumns:
    """What the columns of a table seem to be for.

    A column of class names is preferred to columns of numbers; running numbers, constants, folds, sizes of files and
    the like are neither.
    """
    cells = {name: [row[place].strip() for row in rows if place < len(row)] for place, name in enumerate(names)}
    file = _file(names, cells)
    others = {name: column for name, column in cells.items() if name != file and column}
    label = next((name for wanted in _LABELS for name in others if name.casefold() == wanted), None)
    if label is not None:
        return TableColumns(file, label=label)
    told = {name: column for name, column in others.items() if not _is_about(name, column, others)}
    texts = [name for name, column in told.items() if not all(map(is_number, column)) and _are_classes(column)]
    if len(texts) == 1:
        return TableColumns(file, label=texts[0])
    numbers = tuple(name for name, column in told.items() if all(map(is_number, column)))
    if not texts and numbers:
        return TableColumns(file, targets=numbers)
    return TableColumns(file, doubtful=tuple(texts or others))


def chosen(names: Sequence[str], rows: Sequence[Sequence[str]], wanted: Sequence[str]) -> TableColumns:
    """What the columns are for where those to be predicted are known: classes, or values if they are all numbers.

    One column of whole numbers named like a class is one of classes.
    """
    cells = {name: [row[place].strip() for row in rows if place < len(row)] for place, name in enumerate(names)}
    file = _file([name for name in names if name not in wanted], cells)
    numbers = all(is_number(cell) for name in wanted for cell in cells.get(name, ()))
    if len(wanted) == 1 and (not numbers or wanted[0].casefold() in _LABELS):
        return TableColumns(file, label=wanted[0])
    return TableColumns(file, targets=tuple(wanted))


def is_number(text: str) -> bool:
    """Whether a cell holds a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _file(names: Sequence[str], cells: Mapping[str, Sequence[str]]) -> str:
    """The column of files: by its name, else by the endings of its cells, else the first."""
    named = next((name for wanted in _FILES for name in names if name.casefold() == wanted), None)
    if named is not None:
        return named
    ending = tuple(pictures.SUFFIXES | sounds.SUFFIXES)
    found = [name for name in names if cells.get(name) and all(cell.lower().endswith(ending) for cell in cells[name])]
    return found[0] if found else names[0] if names else "path"


def _is_about(name: str, column: Sequence[str], others: Mapping[str, Sequence[str]]) -> bool:
    """Whether a column is about the row or the file: by its name, or because it is constant, or counts."""
    plain = name.casefold().replace(" ", "_").replace("-", "_")
    if plain in _ABOUT or not plain or plain.startswith("unnamed:"):
        return True
    if plain in _SIDES and not any(other.casefold() in _BOXES for other in others):
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
