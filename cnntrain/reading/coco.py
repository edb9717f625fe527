"""COCO's annotations: one JSON file for all pictures of a split (Lin et al. 2014)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from cnntrain.core import strict_json
from cnntrain.core.boxes import COUNTED, CROWD
from cnntrain.core.errors import DataError, printable
from cnntrain.reading.annotations import Marked, Page, named, number, text_of
from cnntrain.reading.input_files import NOT_THERE, reading, why_missing

_LARGEST = 2**30  # bytes of a file
_KEYS = ("images", "annotations", "categories")


def pages(path: Path, folders: Sequence[Path]) -> tuple[list[Page], list[str]]:
    """The pages of all pictures in the order of the file, and the names of the classes in the order of their ids.

    A picture without annotations has an empty page. Boxes are x, y, width, height in pixels from 0; an annotation's
    `area`, that of the thing's outline, decides whether it is small or large. Pictures lie in the first of the folders
    that has them. Raises DataError.
    """
    found = _decoded(path)
    names = _names(found["categories"], path)
    above = [entry.get("supercategory") for entry in found["categories"] if entry["name"] != entry.get("supercategory")]
    images = _by_id(found["images"], f"{path}: image")
    marked: dict[int, list[Marked]] = {key: [] for key in images}
    for key, entry in _by_id(found["annotations"], f"{path}: annotation").items():
        where = f"{path}: annotation {key}"
        image, category = entry.get("image_id"), entry.get("category_id")
        if not _is_id(image) or image not in images:
            raise DataError(f"{where} is for the image {_shown(image)}, which is not in the file. Remove it")
        if not _is_id(category) or category not in names:
            raise DataError(f"{where} has the category {_shown(category)}, which is not in the file. Mend it")
        marked[image].append(_box(entry, names[category], where))
    folders = _in_use(images.values(), folders, path)
    made = [_page(entry, tuple(marked[key]), folders, f"{path}: image {key}") for key, entry in images.items()]
    _check_pictures(made)
    held = {box.label for boxes in marked.values() for box in boxes}
    return made, [names[key] for key in sorted(names) if names[key] in held or names[key] not in above]


def looks_like(path: Path) -> bool:
    """Whether a file has the three lists."""
    try:
        _decoded(path)
    except DataError:
        return False
    return True


def numbers(path: Path, folders: Sequence[Path]) -> tuple[dict[Path, int], dict[str, int]]:
    """The ids of the pictures in a file, by where they lie, and those of its categories, by name. Raises DataError."""
    found = _decoded(path)
    images = _by_id(found["images"], f"{path}: image")
    folders = _in_use(images.values(), folders, path)
    pictures = {_page(entry, (), folders, f"{path}: image {key}").picture: key for key, entry in images.items()}
    return pictures, {name: key for key, name in _names(found["categories"], path).items()}


def _decoded(path: Path) -> dict[str, list[Any]]:
    """The three lists of a file, whose entries are still to be checked."""
    try:
        found = strict_json.decode(text_of(path, _LARGEST))
    except ValueError as error:
        raise DataError(f"{path}: {error}. Fetch or make it again") from error
    if not isinstance(found, dict) or not all(isinstance(found.get(key), list) for key in _KEYS):
        missing = [key for key in _KEYS if not isinstance(found, dict) or not isinstance(found.get(key), list)]
        raise DataError(f"{path} has no list of {missing[0]}, expected images, annotations and categories as COCO has")
    return found


def _by_id(entries: list[Any], where: str) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for place, entry in enumerate(entries):
        key = entry.get("id") if isinstance(entry, dict) else None
        if not _is_id(key):
            has = "no id" if key is None else f"the id {_shown(key)}"
            raise DataError(f"{where} number {place + 1} has {has}. Give it one that is a whole number")
        if key in found:
            raise DataError(f"{where} {key} is listed twice, expected one of each id. Renumber one")
        found[key] = entry
    return found


def _shown(key: Any) -> str:
    """What stands where an id is needed, as JSON has it; a text is said to be one, for it may look like a number."""
    text = strict_json.encode(key)[:60]
    return f"{text} (a text, expected a whole number)" if isinstance(key, str) else text


def _is_id(value: Any) -> TypeGuard[int]:
    """Whether a value is a whole number; true is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _names(categories: list[Any], path: Path) -> dict[int, str]:
    found = {
        key: named(entry.get("name"), f"{path}: category {key}")
        for key, entry in _by_id(categories, f"{path}: category").items()
    }
    if len(set(found.values())) < len(found):
        name = next(name for name in found.values() if [*found.values()].count(name) > 1)
        raise DataError(f"{path}: two categories are called {name!r}, expected different names. Rename one")
    return found


def _box(entry: dict[str, Any], name: str, where: str) -> Marked:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        has = "no bbox" if box is None else f"the bbox {str(box)[:60]}"
        outlined = "Work it out from its segmentation" if entry.get("segmentation") else "Mend it"
        raise DataError(f"{where} has {has}, expected [x, y, width, height]. {outlined}")
    x, y, wide, tall = (_number(value, where, "bbox") for value in box)
    area, angle = entry.get("area"), _angle(entry, where)
    if angle:
        x, y, wide, tall = _around(x, y, wide, tall, angle)
    return Marked(
        where,
        name,
        (x, y, x + wide, y + tall),
        _role(entry.get("iscrowd"), where),
        None if area is None else _number(area, where, "area"),
        turned=bool(angle),
        empty=not (wide and tall),
    )


def _angle(entry: dict[str, Any], where: str) -> float:
    """By how many degrees CVAT has turned a box about its centre, below 180: `bbox` is what it was before.

    CVAT writes a number; what else an attribute of this name holds is the user's own.
    """
    said = entry.get("attributes")
    angle = said.get("rotation") if isinstance(said, dict) else None
    is_angle = isinstance(angle, int | float) and not isinstance(angle, bool)
    return _number(angle, where, "rotation") % 180 if is_angle else 0.0


def _around(x: float, y: float, wide: float, tall: float, degrees: float) -> tuple[float, float, float, float]:
    """The upright box around one that is turned about its centre."""
    cos, sin = (abs(turn(math.radians(degrees))) for turn in (math.cos, math.sin))
    width, height = wide * cos + tall * sin, wide * sin + tall * cos
    return x + (wide - width) / 2, y + (tall - height) / 2, width, height


def _role(crowd: Any, where: str) -> int:
    """What `iscrowd` makes of a box. Raises DataError, also for a text, of which "0" would count as true."""
    if crowd not in (None, 0, 1):  # false and true are 0 and 1
        found = strict_json.encode(crowd)[:60]
        raise DataError(f"{where} has the iscrowd {found}, expected the number 0 or 1. Mend it, or leave it out")
    return CROWD if crowd else COUNTED


def _number(value: Any, where: str, what: str) -> float:
    """A finite number. Raises DataError, also for a text, which other programs read as none."""
    if isinstance(value, str):
        raise DataError(f"{where}: {what} holds the text {value[:40]!r}, expected a number without quotes. Mend it")
    return number(value, where, what)


def _page(entry: dict[str, Any], boxes: tuple[Marked, ...], folders: Sequence[Path], where: str) -> Page:
    name = entry.get("file_name")
    if not isinstance(name, str) or not name or "\0" in name:
        raise DataError(f"{where} has the file_name {str(name)[:60]!r}, expected a picture's. Mend it")
    with reading(folders[0] / name):
        picture = next((folder / name for folder in folders if (folder / name).exists()), folders[0] / name)
    sides = {side: entry[side] for side in ("height", "width") if entry.get(side) is not None}
    for side, value in sides.items():
        if _number(value, where, side) < 1:
            raise DataError(
                f"{where} has the {side} {_shown(value)}, expected the picture's in pixels. Mend or remove it"
            )
    size = (int(sides["height"]), int(sides["width"])) if len(sides) == 2 else None
    return Page(where, picture, boxes, size)


def _in_use(images: Iterable[dict[str, Any]], folders: Sequence[Path], path: Path) -> list[Path]:
    """The folders, first the one that has the first picture found: a missing picture is reported there.

    Raises DataError where none has any and nothing says why.
    """
    names = [name for entry in images if isinstance(name := entry.get("file_name"), str) and "\0" not in name]
    first = next((folder for name in names for folder in folders if os.path.isfile(folder / name)), None)
    if first is None and names:  # a name may say why it is found nowhere, as that of a URL does
        first = next((folder for folder in folders if why_missing(folder / names[0]) != NOT_THERE), None)
    if first is None and names:
        where = folders[0] if len(folders) == 1 else f"{path.parent} or a usual folder there, such as images"
        raise DataError(
            f"{path}: none of its {len(names):,} pictures, such as {printable(names[0])[:80]!r}, lies in {where}. Set "
            "images to the folder that their names count from (eval --data takes --set data.source.images=FOLDER), or "
            "put it, or a link to it, beside the file as images"
        )
    return [folder for folder in folders if folder == first] + [folder for folder in folders if folder != first]


def _check_pictures(made: Sequence[Page]) -> None:
    """Raise DataError where two images are one file."""
    seen: dict[Path, str] = {}
    for page in made:
        if page.picture in seen:
            raise DataError(f"{page.where} names the picture {page.picture}, as does {seen[page.picture]}. Join them")
        seen[page.picture] = page.where
