"""Annotations say what is where in pictures: boxes with names, as the tools write them, and what to make of odd ones.

Every format becomes the same pages, one for each picture. What has no meaning is an error that names the place.
What is plainly a slip of a tool or a hand is mended by a fixed rule and counted:

- a box that sticks out of the picture is cut off at its border
- a box whose corners are exchanged gets them the right way round
- a box without area, or wholly outside the picture, is left out
- of several equal boxes of one class in a picture, only the first is kept, to be found if one of them is
- a box at an angle becomes the upright one around it
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cnntrain.core.boxes import COUNTED, Boxes
from cnntrain.core.counts import counted
from cnntrain.core.errors import DataError
from cnntrain.core.regular_file import cured, read_limited
from cnntrain.reading.folders import class_name
from cnntrain.reading.input_files import noted

_SLACK = 0.01  # pixels that a box may stick out unnoticed: tools round shares to six digits
_SHARES = 0.01  # how far a share of a side may be beyond 0 or 1, where it is cut off
CUT = "stick out of their pictures and are cut off there"
EXCHANGED = "have their corners exchanged and are turned round"
EMPTY = "have no area and are left out"
OUTSIDE = "lie outside their pictures and are left out"
TURNED = "have an angle and are taken with their upright extent"
TWICE = "are listed twice and are counted once"


@dataclass(frozen=True)
class Marked:
    """One box: where its file has it, the class's name, and (x1, y1, x2, y2) in pixels or as shares of the sides."""

    where: str
    label: str
    corners: tuple[float, float, float, float]
    role: int = COUNTED
    area: float | None = None  # where the file says more than the box does
    turned: bool = False  # the box has an angle, and the corners are those of the upright one around it
    empty: bool = False  # the file's own numbers leave it no area, whatever the convention makes of them


@dataclass(frozen=True)
class Page:
    """What is known of one picture. `size` (height, width) is the picture's according to the annotation."""

    where: str
    picture: Path
    boxes: tuple[Marked, ...] = ()
    size: tuple[int, int] | None = None
    shares: bool = False  # whether corners are shares of the sides, not pixels


@dataclass
class Mended:
    """How many boxes had which fault, and where the first one is."""

    counts: Counter[str] = field(default_factory=Counter)
    firsts: dict[str, str] = field(default_factory=dict)

    def add(self, fault: str, where: str) -> None:
        """Count one."""
        self.counts[fault] += 1
        self.firsts.setdefault(fault, where)

    def lines(self) -> list[str]:
        """What to tell the user."""
        return [
            f"{counted(count, 'box')} {_of(fault, count)}; {self.firsts[fault]} is the first"
            for fault, count in self.counts.items()
        ]


def _of(fault: str, count: int) -> str:
    """The words for a fault, of one box or of several."""
    if count > 1:
        return fault
    for many, one in (("stick", "sticks"), ("have", "has"), ("are", "is"), ("lie", "lies"), ("their", "its")):
        fault = " ".join(one if word == many else word for word in fault.split(" "))
    return fault.replace("pictures", "picture")


def settled(page: Page, size: tuple[int, int], places: Mapping[str, int], mended: Mended | None) -> Boxes:
    """The boxes of a picture of this (height, width), in its pixels, with classes as their `places`.

    Faults are counted in `mended`; without it each is an error. Raises DataError.
    """
    _check_size(page, size)
    _check_units(page, size)
    height, width = size
    corners: list[tuple[float, ...]] = []
    labels: list[int] = []
    roles: list[int] = []
    areas: list[float] = []
    seen: dict[tuple[str, tuple[float, ...]], int] = {}
    for box in page.boxes:
        if box.label not in places:
            raise DataError(
                f"{box.where}: the class {box.label!r} is not among the {len(places)} known: "
                f"{_listed(list(places))}. Rename it, or add it to the classes"
            )
        x1, y1, x2, y2 = (
            value * side if page.shares else value
            for value, side in zip(box.corners, (width, height, width, height), strict=True)
        )
        faults = [TURNED] if box.turned else []
        if (x1 > x2 or y1 > y2) and not box.empty:
            faults.append(EXCHANGED)
            x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
        inside = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
        if box.empty or x1 == x2 or y1 == y2:
            faults = [EMPTY]
        elif inside[0] >= inside[2] or inside[1] >= inside[3]:
            faults = [OUTSIDE]
        elif max(abs(a - b) for a, b in zip(inside, (x1, y1, x2, y2), strict=True)) > _SLACK:
            faults.append(CUT)
        before = None if EMPTY in faults else seen.get((box.label, inside))
        if before is not None:
            faults = [TWICE]
        for fault in faults:
            if mended is None:
                raise DataError(f"{box.where}: {_said(box, fault, size)}. Mend it, or set on_bad_box: mend")
            mended.add(fault, box.where)
        area = (inside[2] - inside[0]) * (inside[3] - inside[1]) if box.area is None else box.area
        if before is not None and box.role == COUNTED != roles[before]:
            roles[before], areas[before] = box.role, area
        if not {EMPTY, OUTSIDE, TWICE} & set(faults):
            seen[box.label, inside] = len(corners)
            corners.append(inside)
            labels.append(places[box.label])
            roles.append(box.role)
            areas.append(area)
    return Boxes(
        size,
        np.array(corners, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.array(roles, np.uint8),
        np.array(areas, np.float32),
    )


def _said(box: Marked, fault: str, size: tuple[int, int]) -> str:
    numbers = ", ".join(f"{value:g}" for value in box.corners)
    what = {
        CUT: "sticks out of the picture",
        EXCHANGED: "has its corners exchanged",
        EMPTY: "has no area",
        OUTSIDE: "lies outside the picture",
        TURNED: "is the extent of one that has an angle, in the picture",
        TWICE: "is listed twice",
    }[fault]
    return f"the box ({numbers}) {what} of {size[1]}x{size[0]} (width x height)"


def _check_size(page: Page, size: tuple[int, int]) -> None:
    """Raise DataError where the annotation is for a picture of another size."""
    if page.size is None or page.size == size:
        return
    said, found = (f"{width}x{height}" for height, width in (page.size, size))
    turned = page.size == size[::-1]
    why = (
        "The sides are exchanged, as where a camera's EXIF orientation turns the picture: annotate it as it is seen"
        if turned
        else "The picture was resized or replaced: annotate it again, or put the right one there"
    )
    raise DataError(f"{page.where}: it is for a picture of {said} (width x height), {page.picture} has {found}. {why}")


def _check_units(page: Page, size: tuple[int, int]) -> None:
    """Raise DataError where shares are given for pixels, or pixels for shares."""
    if page.shares:
        for box in page.boxes:
            x1, y1, x2, y2 = box.corners
            numbers = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
            wrong = next((value for value in numbers if not -_SHARES <= value <= 1 + _SHARES), None)
            if wrong is not None:
                raise DataError(
                    f"{box.where}: {wrong:g} is not a share of the picture's side, expected 0 to 1. Are these pixels? "
                    "Divide x and width by the picture's width, y and height by its height"
                )
        return
    values = [value for box in page.boxes for value in box.corners]
    fractions = any(value != math.floor(value) for value in values)
    if fractions and all(-_SHARES <= value <= 1 + _SHARES for value in values) and min(size) > 4:
        raise DataError(
            f"{page.boxes[0].where}: all coordinates are from 0 to 1, expected pixels. Are these shares of the sides? "
            "Multiply x by the picture's width and y by its height"
        )


def number(text: object, where: str, what: str) -> float:
    """A finite number from a text or a JSON value. Raises DataError."""
    try:
        value = float(text) if isinstance(text, str | int | float) and not isinstance(text, bool) else math.nan
    except (ValueError, OverflowError):
        value = math.nan
    if not abs(value) < 1e9:  # also for NaN
        raise DataError(f"{where}: {what} is {str(text)[:40]!r}, expected a finite number. Mend it")
    return value


def named(text: object, where: str) -> str:
    """The name of a class. Raises DataError where it is none."""
    name = class_name(text.strip()) if isinstance(text, str) else ""
    if not name or not name.isprintable():
        has = "there is no class" if text is None else f"the class is {text!r}"
        raise DataError(f"{where}: {has}, expected a name. Mend it")
    return name


def text_of(path: Path, limit: int = 2**24, declared: re.Pattern[bytes] | None = None) -> str:
    """A text file, whole, in UTF-8; where it is not, in the encoding that the group of `declared` finds in it.

    One of several bytes a letter that it can be in goes before UTF-8: by chance, few letters are as good in either,
    while of one byte a letter anything is good. Raises DataError.
    """

    def fail(reason: str) -> Exception:
        return DataError(f"{path} {cured(reason, 'Check the file')}")

    with noted(path):
        data = read_limited(path, limit, fail)
    found = declared.match(data) if declared else None
    said = None if found is None else _as_declared(data, found)
    if said is not None and len(said) < len(data):
        return said
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if said is not None:
            return said
        if found is None:
            raise DataError(f"{path} is not UTF-8 text (byte {error.start:,}). Save it as such") from error
        raise DataError(
            f"{path} is neither UTF-8 text nor {found[1].decode()}, which it says it is. Save it as UTF-8"
        ) from error


def _as_declared(data: bytes, found: re.Match[bytes]) -> str | None:
    """A text in the encoding that it says it is in; None where nobody knows that, or it is in another."""
    try:
        text = data.decode(found[1].decode("ascii"))
        text.encode()  # which half of a pair of surrogates is not
        return text if text.startswith(found[0].decode("ascii")) else None
    except (LookupError, ValueError):
        return None


def picture_named(stem: str, folders: Sequence[Path], suffixes: frozenset[str], missing: Callable[[], str]) -> Path:
    """The picture of a name in the first of the folders that has it. Raises DataError where there is none, or two."""
    for folder in folders:
        found = [
            folder / f"{stem}{suffix}" for suffix in _both_cases(suffixes) if (folder / f"{stem}{suffix}").exists()
        ]
        if len(found) > 1:
            raise DataError(f"{found[0]} and {found[1]} have the same name, expected one picture. Remove or rename one")
        if found:
            return found[0]
    raise DataError(missing())


def _both_cases(suffixes: frozenset[str]) -> list[str]:
    return sorted({*suffixes, *(suffix.upper() for suffix in suffixes)})


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
