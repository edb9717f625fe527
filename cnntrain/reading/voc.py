"""Pascal VOC's annotations: an XML file for each picture (Everingham et al. 2010)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from cnntrain.core.boxes import COUNTED, DIFFICULT
from cnntrain.core.errors import DataError
from cnntrain.reading.annotations import Marked, Page, named, number, text_of

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_DEEPEST = 50
_ENCODING = re.compile(rb"""<\?xml\b[^>]{0,200}?\bencoding\s*=\s*["']([A-Za-z][\w.-]{0,40})["']""", re.ASCII)


def page(path: Path, picture_of: Callable[[str], Path]) -> Page:
    """The annotation of a picture, which `picture_of` finds by the file name in it, or "". Raises DataError.

    Indices count pixels from 1 and include both ends, so that a box begins at xmin - 1 and ends at xmax. Truncated
    things are like any other, as in the official evaluation; difficult ones need not be found.
    """
    root = _tree(path)
    if root.tag != "annotation":
        raise DataError(f"{path} is a {root.tag[:40]!r}, expected Pascal VOC's 'annotation'. Remove the file")
    boxes = [_box(thing, f"{path}: object {place}") for place, thing in enumerate(root.findall("object"), 1)]
    return Page(str(path), picture_of((root.findtext("filename") or "").strip()), tuple(boxes), _size(root, path))


def _tree(path: Path) -> Element:
    """The root of an XML file. A document type is refused: entities can be bombs, or name other files."""
    builder = TreeBuilder()
    parser = expat.ParserCreate("utf-8")  # in which it is given the text, whatever the file says of itself
    depth = 0

    def refuse(*_: object) -> None:
        raise DataError(f"{path} has a document type (<!DOCTYPE>), which no annotation needs. Remove it")

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise DataError(f"{path} is nested more than {_DEEPEST} deep, which no annotation is. Remove it")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    text = text_of(path, declared=_ENCODING)
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise DataError(f"{path}:{error.lineno} is no XML ({expat.ErrorString(error.code)}). Mend it") from error
    return builder.close()


def _size(root: Element, path: Path) -> tuple[int, int] | None:
    """Height and width that the picture is said to have; None where they are missing or 0, as some tools write."""
    size = root.find("size")
    if size is None:
        return None
    height, width = (number(size.findtext(side, "0"), str(path), f"size/{side}") for side in ("height", "width"))
    return (int(height), int(width)) if height > 0 and width > 0 else None


def _box(thing: Element, where: str) -> Marked:
    frame = thing.find("bndbox")
    if frame is None:
        raise DataError(f"{where} has no bndbox, expected one. Mend it")
    corners = []
    for side in _SIDES:
        text = frame.findtext(side)
        if text is None:
            raise DataError(f"{where} has no {side}, expected {', '.join(_SIDES)}. Mend it")
        corners.append(number(text.strip(), where, side))
    x1, y1, x2, y2 = corners
    difficult = number((thing.findtext("difficult") or "0").strip(), where, "difficult")
    whole = all(value == int(value) for value in corners)
    first = 1 if whole else 0  # a share, or a place between pixels, is no index
    if x1 > x2:
        x1, x2 = x1 + first, x2 - first  # exchanged: the larger is the last pixel
    if y1 > y2:
        y1, y2 = y1 + first, y2 - first
    return Marked(
        where,
        named(thing.findtext("name"), where),
        (x1 - first, y1 - first, x2, y2),
        DIFFICULT if difficult else COUNTED,
        empty=corners[0] == corners[2] or corners[1] == corners[3],
    )
