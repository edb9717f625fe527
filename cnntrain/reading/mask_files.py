"""A mask file says of every pixel of a picture which class it is, by a number or by a colour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError
from cnntrain.core.masks import IGNORED
from cnntrain.reading.pictures import LARGEST, MAX_PIXELS, Fit, fitted, opened_picture

WHITE = 65535  # as 16 bits have it
_WIDE = ("I;16", "I;16B", "I;16L", "I")  # Pillow's modes whose pixels are one number of more than 8 bits
_NUMBERS = ("1", "L", "P", *_WIDE)  # those whose pixels are one number
_MOST_VALUES = 4096  # different ones that are reported of a file, at most


@dataclass(frozen=True)
class Meaning:
    """What the pixels of a mask stand for.

    classes   how many there are; without colours a pixel is its class's number
    colours   uint8 (classes, 3): red, green and blue of each class; None where pixels are numbers
    ignored   the number, or the colour, of pixels that are of no class; None where there are none
    """

    classes: int
    colours: Array | None = None
    ignored: int | tuple[int, ...] | None = None

    def document(self) -> dict[str, Any]:
        """What tells it from another one, for JSON."""
        colours = None if self.colours is None else self.colours.tolist()
        return {"classes": self.classes, "colours": colours, "ignored": self.ignored}


def read_mask(
    path: Path,
    meaning: Meaning,
    size: tuple[int, int] | None,
    max_pixels: int = MAX_PIXELS,
    fit: Fit = "stretch",
) -> Array:
    """A mask as uint8 (height, width) of class numbers, IGNORED where a pixel is of none; brought to `size` if given.

    Resizing takes the nearest pixel, and what a picture does not fill is IGNORED. Raises DataError naming the file and
    the first pixel without a meaning.
    """
    with opened_picture(path, max_pixels) as image:
        found = _numbers(image, meaning) if meaning.colours is None else _of_colours(image, meaning)
    if size is None or size == found.shape:
        return found
    how = fitted((found.shape[0], found.shape[1]), size, fit)
    row, column = how.place
    framed = np.full(size, IGNORED, np.uint8)
    framed[row : row + how.size[0], column : column + how.size[1]] = np.asarray(
        Image.fromarray(found).resize(how.size[::-1], Image.Resampling.NEAREST, box=how.box)
    )
    return framed


def size_of(path: Path) -> tuple[int, int] | None:
    """Height and width of a mask as it is stored; None where it cannot be read, which `read_mask` will explain."""
    try:
        with opened_picture(path, LARGEST) as image:
            return image.height, image.width
    except DataError:
        return None


def values_in(path: Path) -> set[tuple[int, ...]]:
    """The different numbers (value,) or colours (red, green, blue) of a mask, up to _MOST_VALUES. Raises DataError."""
    with opened_picture(path, MAX_PIXELS) as image:
        if image.mode in _NUMBERS:
            return {(int(value),) for value in np.unique(np.asarray(image))[:_MOST_VALUES]}
        codes = np.unique(_codes(np.asarray(image.convert("RGB"))))[:_MOST_VALUES]
    return {(int(code) >> 16, int(code) >> 8 & 255, int(code) & 255) for code in codes}


def level_counts(path: Path) -> Array:
    """How many pixels of a mask of numbers have each level from 0 to 255, and how many of these are like the pixels to
    their right and below, as within an area: int64 (2, 256). Raises DataError.
    """
    with opened_picture(path, MAX_PIXELS) as image:
        values = np.asarray(image).astype(np.int64)
    corner = values[:-1, :-1]
    inner = corner[(corner == values[1:, :-1]) & (corner == values[:-1, 1:])]
    return np.stack([_counted(values.ravel()), _counted(inner)])


def _counted(values: Array) -> Array:
    counts: Array = np.bincount(values[(values >= 0) & (values <= IGNORED)], minlength=IGNORED + 1)
    return counts


def _numbers(image: ImageFile.ImageFile, meaning: Meaning) -> Array:
    """Pixels that are class numbers themselves."""
    if image.mode not in _NUMBERS:
        raise ValueError(
            f"pixels are colours ({image.mode}), expected class numbers. Set colours to say what they stand for"
        )
    values = np.asarray(image).astype(np.int64)
    ignored = np.zeros(values.shape, bool) if meaning.ignored is None else values == meaning.ignored
    wrong = ~ignored & ((values < 0) | (values >= meaning.classes))
    if wrong.any():
        row, column = (int(place[0]) for place in np.nonzero(wrong))
        beside = "" if meaning.ignored is None else f" or {meaning.ignored} (ignored)"
        raise ValueError(
            f"the pixel in row {row}, column {column} is {values[row, column]} ({int(wrong.sum()):,} such), expected 0 "
            f"to {meaning.classes - 1}{beside}. Mend the mask, name more classes, or set ignore"
        )
    return np.where(ignored, IGNORED, values).astype(np.uint8)


def _of_colours(image: ImageFile.ImageFile, meaning: Meaning) -> Array:
    """Pixels that are colours, each of which stands for a class."""
    assert meaning.colours is not None
    pixels = _levels(np.asarray(image)) if image.mode in _WIDE else np.asarray(image.convert("RGB"))
    codes = _codes(pixels)
    known = _codes(meaning.colours)
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known[order], codes), len(known) - 1)
    found = order[place].astype(np.uint8)
    right = known[order][place] == codes
    if isinstance(meaning.ignored, tuple):
        ignored = codes == _codes(np.array(meaning.ignored, np.uint8))
        found[ignored], right = IGNORED, right | ignored
    if not right.all():
        row, column = (int(place[0]) for place in np.nonzero(~right))
        raise ValueError(
            f"the pixel in row {row}, column {column} is the colour {pixels[row, column].tolist()} "
            f"({int((~right).sum()):,} such), which is none of the {len(known)} of the classes. Mend the mask, or add "
            "the colour"
        )
    return found


def _levels(values: Array) -> Array:
    """Numbers of more than 8 bits as colours int64 (..., 3): greys of 0 to 255, and WHITE; others stay and are none."""
    grey = np.where(values == WHITE, 255, values.astype(np.int64))
    return np.stack([grey, grey, grey], axis=-1)


def _codes(colours: Array) -> Array:
    """Colours (..., 3) as one number each, int64 (...)."""
    wide = colours.astype(np.int64)
    codes: Array = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return codes
