"""TIFF: what a file's tags say of its pixels (TIFF 6.0, Adobe 1992), and whether Pillow reads them as they are meant.

Pillow knows some eighty combinations of photometric interpretation, depth, sample format, byte order, packing and
extra samples. Most it reads correctly, a few not, and those are either corrected or refused by name here.
"""

from __future__ import annotations

import contextlib
import struct
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

from cnntrain.core.counts import counted

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _ORIENTATION = 256, 257, 258, 259, 262, 266, 274
_BANDS, _PLANAR, _INKS, _EXTRA, _FORMAT, _SUBSAMPLING = 277, 284, 332, 338, 339, 530
_DEFAULTS = {_BITS: (1,), _COMPRESSION: (1,), _FILL_ORDER: (1,), _ORIENTATION: (1,), _BANDS: (1,), _PLANAR: (1,)} | {
    _INKS: (1,),
    _EXTRA: (),
    _FORMAT: (1,),
}
_PREMULTIPLIED, _ALPHA = 1, 2
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_WHITE_IS_ZERO, _GREY, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_COLOURS = {_WHITE_IS_ZERO: 1, _GREY: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3, _LAB: 3}  # bands of each
_NAMES = {_WHITE_IS_ZERO: "grey, white is 0", _GREY: "grey", _RGB: "RGB", _PALETTE: "palette", 4: "mask"} | {
    _CMYK: "CMYK", _YCBCR: "YCbCr", _LAB: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32803: "colour filter",
    32844: "LogL", 32845: "LogLuv", 34892: "raw linear",
}  # fmt: skip
_JPEG = (6, 7)  # compressions that convert colours by themselves
_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 16: "Q"}  # of numbers in tags
_MOST_TAGS, _MOST_NUMBERS = 4096, 64
SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange the sides; values that mean none, such as a text, turn nothing


class Correction(NamedTuple):
    """What is to be done to pixels as Pillow reads them."""

    inverted: bool = False  # white is 0
    largest: int = 65535  # what white is in 16 bits


class Tags:
    """The tags of one page."""

    def __init__(self, found: Mapping[int, Any], order: str, wide: bool = False) -> None:
        """`found` has a number or numbers for each tag; `order` is "<" or ">"; `wide` says that it is a BigTIFF."""
        self._found, self._wide = found, wide
        self._order = {"<": "little", ">": "big"}[order]
        self._foreign = self._order != sys.byteorder

    def numbers(self, tag: int) -> tuple[int, ...]:
        """The numbers of a tag, or its default where there is none."""
        value = self._found.get(tag)
        if value is None:
            return _DEFAULTS.get(tag, ())
        return tuple(value) if isinstance(value, tuple | list) else (value,)

    def number(self, tag: int) -> int:
        """The first number of a tag; -1 where there is none."""
        return next(iter(self.numbers(tag)), -1)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, turned upright."""
        sides, turns = (self.number(_HEIGHT), self.number(_WIDTH)), self.numbers(_ORIENTATION)
        return sides[::-1] if len(turns) == 1 and turns[0] in SIDEWAYS else sides

    @property
    def grey(self) -> bool:
        """Whether it has no colours."""
        return self.number(_PHOTOMETRIC) in (_WHITE_IS_ZERO, _GREY)

    def correction(self) -> Correction:
        """What is to be done to what Pillow reads. Raises ValueError, with the words of `refusal`, where it cannot."""
        if not self._is_read():
            raise ValueError(self.refusal())
        white_is_zero, bits = self.number(_PHOTOMETRIC) == _WHITE_IS_ZERO, self.number(_BITS)
        return Correction(white_is_zero and bits > 8, 4095 if bits == 12 else 65535)

    def _is_read(self) -> bool:
        photometric, bands, extra = self.number(_PHOTOMETRIC), self.number(_BANDS), self.numbers(_EXTRA)
        depths, formats = set(self.numbers(_BITS)), set(self.numbers(_FORMAT))
        if photometric not in _COLOURS or len(depths) > 1 or len(formats) > 1 or bands - len(extra) > 4:
            return False
        bits, kind, packed = depths.pop(), formats.pop(), self.number(_COMPRESSION) != 1
        grey = photometric in (_WHITE_IS_ZERO, _GREY)
        if bits == 32 and (kind in (_FLOAT, _SIGNED)):
            return grey and bands == 1 and not (packed and self._foreign)
        if kind != _UNSIGNED or (bits > 8 and self.number(_FILL_ORDER) != 1):
            return False
        if (
            grey
            and bands > 1
            and (bits != 8 or self.number(_PLANAR) != 1 or extra not in ((_PREMULTIPLIED,), (_ALPHA,)))
        ):
            return False
        if self.number(_PLANAR) != 1 and (bits > 8 or extra[:1] == (_PREMULTIPLIED,)):
            return False
        if photometric == _YCBCR and self.number(_COMPRESSION) not in _JPEG and set(self.numbers(_SUBSAMPLING)) - {1}:
            return False
        if photometric == _CMYK and self.number(_INKS) != 1:
            return False
        return bits <= 8 or bits == 16 or (bits == 12 and photometric == _GREY and bands == 1 and not packed)

    def refusal(self) -> str:
        """What it is and that it is not read, in words: "a TIFF of 13 bands (32-bit floats, grey), ..."."""
        bands, kind = self.number(_BANDS), self.number(_FORMAT)
        kinds = {_UNSIGNED: "bits", _SIGNED: "-bit signed integers", _FLOAT: "-bit floats", 5: "-bit complex integers"}
        bits = " and ".join(f"{bits}" for bits in dict.fromkeys(self.numbers(_BITS)))
        depth = f"{bits} bits" if kind == _UNSIGNED else f"{bits}{kinds.get(kind, '-bit values')}"
        further = [depth, _NAMES.get(self.number(_PHOTOMETRIC), f"photometric {self.number(_PHOTOMETRIC)}")]
        further += ["planar"] if bands > 1 and self.number(_PLANAR) != 1 else []
        if self.number(_COMPRESSION) != 1:
            further += ["compressed", *([f"{self._order}-endian"] if self._foreign else [])]
        what = f"a {'Big' * self._wide}TIFF of {counted(bands, 'band')} ({', '.join(further)})"
        return f"{what}, which is not read. Convert it to 8 or 16 bits of grey or RGB, or save arrays for npz"


def first_page(file: BinaryIO) -> Tags | None:
    """The tags of the first page of a file; None where it is no TIFF, or a damaged one."""
    with contextlib.suppress(struct.error, OSError, OverflowError, ValueError):
        file.seek(0)
        mark = file.read(4)
        orders = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
        if mark in orders:
            wide = b"+" in mark
            return Tags(_directory(file, orders[mark], wide), orders[mark], wide)
    return None


def _directory(file: BinaryIO, order: str, big: bool) -> dict[int, tuple[int, ...]]:
    """The tags that hold a few whole numbers; `big` for BigTIFF."""
    offset, count, entry = ("Q", "Q", "HHQ8s") if big else ("I", "H", "HHI4s")
    if big:
        file.read(4)
    file.seek(_read(file, order + offset)[0])
    (tags,) = _read(file, order + count)
    found = {}
    for _ in range(min(tags, _MOST_TAGS)):
        tag, kind, numbers, inline = _read(file, order + entry)
        if kind not in _TYPES or not 0 < numbers <= _MOST_NUMBERS:
            continue
        layout = order + f"{numbers}{_TYPES[kind]}"
        here = file.tell()
        if struct.calcsize(layout) > len(inline):
            file.seek(struct.unpack(order + offset, inline)[0])
            found[tag] = _read(file, layout)
            file.seek(here)
        else:
            found[tag] = struct.unpack_from(layout, inline)
    return found


def _read(file: BinaryIO, layout: str) -> tuple[Any, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))
