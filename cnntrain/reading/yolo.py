"""YOLO's annotations: a text file for each picture, and a row of five numbers in it for each box (Darknet)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cnntrain.core.counts import counted
from cnntrain.core.errors import DataError
from cnntrain.reading.annotations import Marked, Page, named, number, text_of
from cnntrain.reading.input_files import reading

WORDS = ("class", "x", "y", "width", "height")


def page(path: Path, picture: Path, names: Sequence[str]) -> Page:
    """The annotation of a picture: class number, centre and sides as shares of the picture's. Raises DataError."""
    boxes = []
    for line, text in enumerate(text_of(path).splitlines(), 1):
        if text.strip():
            boxes.append(_box(text.split(), f"{path}:{line}", names))
    return Page(str(path), picture, tuple(boxes), shares=True)


def names_in(path: Path) -> list[str]:
    """The names of the classes in classes.txt or obj.names: one a line. Raises DataError."""
    lines = [line.strip() for line in text_of(path).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return [named(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]


def listed(path: Path) -> list[Path]:
    """The pictures that a text file lists, one a line; `./` stands for its own folder. Raises DataError."""
    found = []
    for line, text in enumerate(text_of(path).splitlines(), 1):
        if text.strip():
            picture = path.parent / text.strip()
            with reading(picture):
                there = "\0" not in text and picture.is_file()
            if not there:
                raise DataError(f"{path}:{line}: {picture} is not there, expected a picture. Mend the line")
            found.append(picture)
    return found


def _box(words: Sequence[str], where: str, names: Sequence[str]) -> Marked:
    if len(words) != 5:
        many = counted(len(words), "word")
        what = "the outline of a segmentation" if len(words) > 6 and len(words) % 2 else many
        raise DataError(f"{where} has {what}, expected the 5 words {' '.join(WORDS)}. Mend the row")
    label, x, y, wide, tall = (number(word, where, what) for word, what in zip(words, WORDS, strict=True))
    if label != int(label) or not 0 <= label < len(names):
        raise DataError(
            f"{where}: the class {words[0]} is not among the {len(names)} named, expected 0 to {len(names) - 1}. "
            "Mend the row, or name the class"
        )
    if wide < 0 or tall < 0:
        raise DataError(f"{where}: a box of {wide:g}x{tall:g}, expected sides above 0. Mend the row")
    corners = (x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2)
    return Marked(where, names[int(label)], corners, empty=not (wide and tall))
