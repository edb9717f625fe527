"""A mask file says of every pixel of a picture which class it is, by a number or by a colour."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Container, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageFile

from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError
from cnntrain.core.masks import IGNORED
from cnntrain.reading.pictures import LARGEST, MAX_PIXELS, Fit, fitted, opened_picture
from cnntrain.reading.reader import ALONE, Reader

WHITE = 65535  # as 16 bits have it
_WIDE = ("I;16", "I;16B", "I;16L", "I")  # Pillow's modes whose pixels are one number of more than 8 bits
_NARROW = ("1", "L", "P")  # those whose pixels are one of 8 bits or fewer
_NUMBERS = (*_NARROW, *_WIDE)
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_MOST_VALUES = 4096  # different ones that are reported of a file, at most
_Colour = tuple[int, ...]  # red, green, blue
_Shown = dict[int, _Colour]  # the numbers of a mask, and the colour of each


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
        _check_alpha(image)
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
        return _colours(np.asarray(image.convert("RGB")))


def colours_in(path: Path) -> set[tuple[int, ...]]:
    """The different colours (red, green, blue) of a mask, those of its numbers where it has such. Raises DataError."""
    with opened_picture(path, MAX_PIXELS) as image:
        pixels = _coloured(image)
    return _colours(pixels[(pixels >= 0).all(axis=-1) & (pixels <= 255).all(axis=-1)])


def _colours(pixels: Array) -> set[tuple[int, ...]]:
    codes = np.unique(_codes(pixels))[:_MOST_VALUES]
    return {(int(code) >> 16, int(code) >> 8 & 255, int(code) & 255) for code in codes}


class _Kind(NamedTuple):
    """How a mask of numbers up to 8 bits shows them."""

    mode: str  # Pillow's
    palette: bytes  # red, green and blue of each number from 0 on; empty without one


def at_odds(masks: Sequence[Path], ignored: int | None, reader: Reader = ALONE) -> str | None:
    """Where masks of numbers mean different things by one number, in words; None where they may agree.

    They do where one number is shown in two colours, one of which another number has, too: as tools write palettes that
    number the colours of each file anew. And they do where nothing but black and white is shown, and white is 1 in some
    and 255 in others. That a number is shown in several colours means nothing by itself, as palettes are padded and
    drawn at random. `ignored` is of any colour; what cannot be read is left to `read_mask`.
    """
    if _agree({*reader.map(_kind, masks)}):
        return None
    with contextlib.closing(reader.map(_shown, masks)) as all_shown:
        seen = list(zip(masks, all_shown, strict=True))
    told = _crossing([(path, {number: shown[number] for number in shown if number != ignored}) for path, shown in seen])
    if told is None and {colour for _, shown in seen for colour in shown.values()} <= {_BLACK, _WHITE}:
        return _crossing(seen, {_WHITE})
    return told


def _crossing(seen: Sequence[tuple[Path, _Shown]], suspected: Container[_Colour] = ()) -> str | None:
    """Where a colour has two numbers, in words: a `suspected` one, or else one whose numbers have other colours, too.

    A mask that shows two of its numbers in one colour tells nothing: its numbers say more than its colours do.
    """
    colours: dict[int, set[_Colour]] = {}
    numbers: dict[_Colour, dict[int, Path]] = {}  # the numbers of each, and the first mask that has it
    for path, shown in seen:
        for number, colour in shown.items() if len({*shown.values()}) == len(shown) else ():
            colours.setdefault(number, set()).add(colour)
            numbers.setdefault(colour, {}).setdefault(number, path)
    for colour, had in numbers.items():
        for (first, where), (other, path) in itertools.pairwise(had.items()):
            if colour in suspected or len(colours[first]) > 1 or len(colours[other]) > 1:
                return f"{path}: the colour {list(colour)} has the number {other}, and {first} in {where}"
    return None


def _agree(kinds: Set[_Kind | None]) -> bool:
    """Whether masks that have numbers are of one kind, or have palettes that differ in length alone."""
    known = sorted((kind for kind in kinds if kind is not None), key=lambda kind: len(kind.palette))
    longer = all(next_one.palette.startswith(one.palette) for one, next_one in itertools.pairwise(known))
    return len(known) < 2 or (longer and {kind.mode for kind in known} == {"P"})


def _kind(path: Path) -> _Kind | None:
    """The kind of a mask of numbers up to 8 bits; None for any other."""
    with contextlib.suppress(DataError), opened_picture(path, LARGEST) as image:
        if image.mode in _NARROW:
            return _Kind(image.mode, bytes((image.mode == "P" and image.getpalette()) or ()))
    return None


def _shown(path: Path) -> _Shown:
    """The numbers that a mask has, and the colour in which each is shown; without those beyond the end of a palette.

    Nothing for one that cannot be read, or has no numbers up to 8 bits.
    """
    with contextlib.suppress(DataError), opened_picture(path, LARGEST) as image:
        if image.mode in _NARROW:
            levels = [level for level, count in enumerate(image.histogram()) if count]
            if image.mode == "P":
                palette = image.getpalette() or []
                return {level: (*palette[3 * level : 3 * level + 3],) for level in levels if 3 * level < len(palette)}
            return {level // 255 if image.mode == "1" else level: (level, level, level) for level in levels}
    return {}


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


def _check_alpha(image: ImageFile.ImageFile) -> None:
    """Raise ValueError for a mask that shows nothing but in its transparency, which says no class."""
    if image.mode not in ("RGBA", "LA"):
        return
    pixels = np.asarray(image)
    *flat, even = (pixels.min(axis=(0, 1)) == pixels.max(axis=(0, 1))).tolist()
    if all(flat) and not even:
        raise ValueError(
            "pixels differ in their transparency alone, expected class numbers or colours. Save the transparency as "
            "the mask: white where it is dense, black where it is clear"
        )


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
    pixels = _coloured(image)
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


def _coloured(image: ImageFile.ImageFile) -> Array:
    """The pixels of a mask as colours (height, width, 3)."""
    return _levels(np.asarray(image)) if image.mode in _WIDE else np.asarray(image.convert("RGB"))


def _levels(values: Array) -> Array:
    """Numbers of more than 8 bits as colours int64 (..., 3): greys of 0 to 255, and WHITE; others stay and are none."""
    grey = np.where(values == WHITE, 255, values.astype(np.int64))
    return np.stack([grey, grey, grey], axis=-1)


def _codes(colours: Array) -> Array:
    """Colours (..., 3) as one number each, int64 (...)."""
    wide = colours.astype(np.int64)
    codes: Array = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return codes
