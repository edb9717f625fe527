"""A picture file stands for one array of pixels, the same on every machine, whatever its format and colours.

It is turned as its EXIF orientation says, laid over white where it is transparent, and only the first of several frames
or pages counts. 16 bits become 8 by dividing by 257 (where the file has several colours, by dropping the lower byte, as
Pillow reads them), floats in [0, 1] by multiplying by 255. Inks (CMYK), YCbCr and L*a*b* become sRGB. A colour
profile (ICC) is not applied. What has no agreed meaning is refused.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import PIL
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError, features

from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError, OutOfMemoryError, StorageError
from cnntrain.core.failures import system_failure
from cnntrain.core.loaded_libraries import loaded_libraries
from cnntrain.reading.attended import still_wanted
from cnntrain.reading.input_files import opened, reading, why_missing
from cnntrain.reading.jpeg import scans
from cnntrain.reading.tiff import SIDEWAYS, Correction, Tags, first_page

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it finds wrong ends up in our one line

_JPEG = [".jpg", ".jpeg", ".jpe", ".jfif", ".jif"]
SUFFIXES = frozenset(  # of the files that are read as pictures, in lower case
    [*_JPEG, ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pbm", ".pgm", ".ppm", ".pnm"]
)
MOVING = frozenset([".gif", ".webp", ".png", ".tif", ".tiff"])  # of those, the ones that may hold several frames
_TIMED = ("GIF", "PNG", "WEBP")  # the formats whose frames say how long they stay
_SHORTEST, _INSTEAD = 20.0, 100.0  # milliseconds
MAX_PIXELS = 25_000_000  # of one picture, looked at before it is decoded: 75 MB as colours
VERSIONS = {"pillow": PIL.__version__, "jpeg": features.version("jpg"), "pictures": 2}  # what pixels depend on
LARGEST = 178_956_970  # what max_pixels can be: more pixels Pillow does not open
_LONGEST = 1_000_000  # pixels of a side: beyond, Pillow's resizing refuses the memory that its filter takes
_NO_DECODER = ("(0 bytes not processed)", "unknown raw mode")  # what Pillow says where it has none
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_MAX_CLIP = 40  # the frames of a clip, or the scans of a JPEG, may have this many times the pixels of one picture
_MAX_BYTES = 2**29  # of a picture file
_BLOCK = 2**20  # bytes that may be asked for, however few there are
FRAME = 114  # the grey around a letterboxed picture, as YOLOv5 has it
_TWELVE = 4095  # the largest of 12 bits
_BAND = 2**18  # pixels converted at a time where that takes much memory
_GREY = frozenset(["1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"])  # Pillow's modes without colour
_ORIENTATION = 274  # the EXIF tag
_USUAL_SIDES = (16, 24, 32, 48, 64)  # more costs time in proportion to the pixels
_MOST_AS_THEY_ARE = 96
_SQUARE_ENOUGH = 0.75
_MIXED = 1.25  # how much taller for its width one picture is than another
_D50 = (0.9642, 1.0, 0.8249)  # the white of L*a*b* in files
_XYZ_TO_RGB = (  # linear sRGB, from XYZ relative to D50 (Bradford)
    (3.1338561, -1.6168667, -0.4906146),
    (-0.9787684, 1.9161415, 0.0334540),
    (0.0719453, -0.2289914, 1.4052427),
)


Fit = Literal["stretch", "letterbox", "cover"]  # see `fitted`


class Header(NamedTuple):
    """What a file says of its picture before it is decoded."""

    height: int  # turned upright
    width: int
    grey: bool


class Picture(NamedTuple):
    """What a file holds."""

    pixels: Array  # uint8 (height, width, channels), of the first frame
    moves: bool  # whether there are further frames or pages
    faint: bool = False  # whether it has 16 bits and uses 12 or fewer, of which 8 bits keep 4


class Placement(NamedTuple):
    """How a picture is brought to a size: the part `box` of it (left, top, right, bottom) becomes `size` pixels of the
    result (height, width), the first of them at `place` (row, column).
    """

    box: tuple[float, float, float, float]
    size: tuple[int, int]
    place: tuple[int, int]

    @property
    def frame(self) -> tuple[float, float, float, float]:
        """The scales of x and y, and what is added to each: where a point of the picture comes to lie."""
        left, top, right, bottom = self.box
        across, down = self.size[1] / (right - left), self.size[0] / (bottom - top)
        return across, down, self.place[1] - across * left, self.place[0] - down * top


def fitted(picture: tuple[int, int], size: tuple[int, int], fit: Fit) -> Placement:
    """How a picture of one (height, width) is brought to another.

    stretch     all of it, each side scaled by itself
    letterbox   all of it in its proportions, in the middle of a grey frame
    cover       as much of its middle as fills the result in its proportions
    """
    height, width = picture
    whole = (0.0, 0.0, float(width), float(height))
    if fit == "stretch":
        return Placement(whole, size, (0, 0))
    if fit == "letterbox":
        scale = min(size[0] / height, size[1] / width)
        rows, columns = (min(max(round(side * scale), 1), most) for side, most in zip(picture, size, strict=True))
        return Placement(whole, (rows, columns), ((size[0] - rows) // 2, (size[1] - columns) // 2))
    scale = max(size[0] / height, size[1] / width)
    tall, wide = min(size[0] / scale, height), min(size[1] / scale, width)
    left, top = (width - wide) / 2, (height - tall) / 2
    return Placement((left, top, left + wide, top + tall), size, (0, 0))


def decode(
    path: Path, size: tuple[int, int] | None, channels: int, max_pixels: int = MAX_PIXELS, fit: Fit = "stretch"
) -> Picture:
    """A picture file with 1 channel (ITU-R 601 luma) or 3 (sRGB), brought to `size` (height, width) if given.

    Resizing is Pillow's bilinear filter, which averages where it shrinks; `fit` is as in `fitted`. May be called
    from several threads. Raises DataError naming the file, also for more than `max_pixels`, before they are decoded;
    StorageError where the device fails.
    """
    with opened_picture(path, max_pixels) as image:
        _check_work(image, max_pixels)
        moves = image.format != "MPO" and bool(getattr(image, "is_animated", False))
        return Picture(_pixels(image, size, channels, fit), moves, _is_faint(image))


def header(path: Path) -> Header | None:
    """The header of a picture file; None where there is none that can be read, which `decode` will explain."""
    try:
        with opened_picture(path, LARGEST) as image:
            if image.format == "TIFF":  # which Pillow may have turned already
                return Header(*_tags(image).size, _tags(image).grey)
            sideways = image.getexif().get(_ORIENTATION) in SIDEWAYS
            height, width = (image.width, image.height) if sideways else (image.height, image.width)
            return Header(height, width, image.mode in _GREY)
    except DataError:
        return None


def common_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The one size (height, width) to bring pictures to: their own, if all have it and it is not large.

    Else the shorter side is the largest usual one within the median of the shorter sides, the other in proportion.
    """
    if len(set(sizes)) == 1 and max(sizes[0]) <= _MOST_AS_THEY_ARE:
        return sizes[0]
    sides = np.array(sizes)
    middle = np.median(sides.min(axis=1))
    side = max((usual for usual in _USUAL_SIDES if usual <= middle), default=_USUAL_SIDES[0])
    ratio = float(np.median(sides[:, 0] / sides[:, 1]))  # height to width
    if _SQUARE_ENOUGH <= ratio <= 1 / _SQUARE_ENOUGH:
        return side, side
    longer = min(round(side * max(ratio, 1 / ratio) / 8), side // 2) * 8
    return (longer, side) if ratio > 1 else (side, longer)


def are_mixed(sizes: Sequence[tuple[int, int]]) -> bool:
    """Whether pictures (height, width) have proportions too different for all to be stretched to one size.

    The tallest tenth is then a quarter taller for its width than the widest tenth.
    """
    ratios = np.array([height / width for height, width in sizes])
    low, high = np.quantile(ratios, (0.1, 0.9), method="nearest")
    return bool(high > _MIXED * low)


def decode_clip(
    path: Path,
    choose: Callable[[int, Array | None], Sequence[int]],
    size: tuple[int, int] | None,
    channels: int,
    max_pixels: int = MAX_PIXELS,
    fit: Fit = "stretch",
    timed: bool = False,
) -> Array:
    """The frames of a moving picture that `choose` chooses: uint8 (frames, h, w, channels).

    It is given their number and, if `timed`, when in seconds each appears; None where the file does not say.
    Raises DataError as `decode` does, and for frames of different sizes.
    """
    with opened_picture(path, max_pixels) as image:
        count = getattr(image, "n_frames", 1)
        if count * image.width * image.height > _MAX_CLIP * max_pixels:
            what = f"{count:,} frames of {image.height}x{image.width}, too many pixels to decode"
            raise ValueError(f"{what}{_remedy(-(-count * image.width * image.height // _MAX_CLIP))}")
        _check_work(image, max_pixels)
        clip = []
        for index in choose(count, _times(image, count) if timed else None):
            image.seek(index)
            _check_size(image, max_pixels)
            clip.append(_pixels(image, size, channels, fit))
        if len({frame.shape for frame in clip}) > 1:
            raise ValueError("frames of different sizes, expected one size")
        return np.stack(clip)


def _times(image: Image.Image, count: int) -> Array | None:
    """When each frame of an animation appears, in seconds (frames,); None where its format has no times.

    A frame that is to stay for less than 20 ms stays for 100, as in browsers and in FFmpeg.
    """
    if image.format not in _TIMED:
        return None
    stays = []
    for index in range(count):
        still_wanted()
        image.seek(index)
        image.load()  # WebP tells how long only then
        told = float(image.info.get("duration") or 0)
        stays.append(told if told >= _SHORTEST else _INSTEAD)
    return np.cumsum([0.0, *stays[:-1]]) / 1000


def count_frames(path: Path) -> int:
    """How many frames a picture file holds; 0 for one that cannot be read, which `decode` will explain."""
    try:
        with opened_picture(path, LARGEST) as image:
            return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
    except DataError:
        return 0


def evenly(count: int, wanted: int) -> list[int]:
    """Which of `count` things to take for `wanted`, evenly spaced from the first on, in order."""
    return [index * count // wanted for index in range(wanted)]


@contextlib.contextmanager
def opened_picture(path: Path, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """An image file whose size has been checked; whatever goes wrong until it is closed becomes a DataError."""
    with reading(path):
        try:
            _silence_libtiff()
            with _HUSH, _File(path) as file, _identified(file) as image:
                _check_size(image, max_pixels)
                _scale_transparent(image)
                with _told(image):
                    yield image
        except Exception as error:  # decoders raise whatever they stumble over
            if isinstance(error, MemoryError | StorageError | OutOfMemoryError) or system_failure(error):
                raise
            if "out of memory" in str(error):  # as Pillow says where its decoders got none
                raise MemoryError from error
            raise DataError(f"{path}: {_reason(error, path, max_pixels)}") from error


def _identified(file: _File) -> ImageFile.ImageFile:
    """The picture in a file, its header read. Raises ValueError naming a TIFF of a kind that Pillow does not know."""
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        tags = first_page(file)
        if tags is not None and min(tags.size) > 0:
            raise ValueError(tags.refusal()) from None
        raise


@contextlib.contextmanager
def _told(image: ImageFile.ImageFile) -> Iterator[None]:
    """Name the kind of a TIFF that Pillow opens but has no decoder for; which these are differs by version."""
    try:
        yield
    except (OSError, ValueError) as error:
        if image.format == "TIFF" and any(words in str(error) for words in _NO_DECODER):
            raise ValueError(_tags(image).refusal()) from error
        raise


def _tags(image: ImageFile.ImageFile) -> Tags:
    """What a TIFF says of the current page."""
    found: Any = image.tag_v2  # type: ignore[attr-defined]
    return Tags(found, ">" if found.prefix == b"MM" else "<")


@functools.cache
def _silence_libtiff() -> None:
    """Keep libtiff, with which Pillow decodes compressed TIFFs, from writing to stderr, where that is possible.

    Pillow raises an exception as well, which becomes our one line.
    """
    for path in loaded_libraries("/libtiff"):
        library = ctypes.CDLL(path)
        for setter in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            getattr(library, setter)(None)


class _File(io.BufferedReader):
    """A picture file that is never asked for more than it has: a chunk that says it has 2 GB reserves no memory."""

    def __init__(self, path: Path) -> None:
        super().__init__(opened(path).detach())
        self._path = path
        self._size = os.fstat(self.fileno()).st_size
        if self._size > _MAX_BYTES:
            self.close()
            raise ValueError(f"{self._size:,} bytes, expected at most {_MAX_BYTES:,} of a picture")

    def read(self, size: int | None = -1, /) -> bytes:
        """As many bytes, or all that are left. A failing device is a StorageError: Pillow goes on after an OSError.

        Decoders ask for a piece at a time, so one that nobody waits for any more can end here.
        """
        still_wanted()
        try:
            return super().read(size if size is None or size < _BLOCK else min(size, max(self._size - self.tell(), 0)))
        except OSError:
            with reading(self._path):
                raise


def _check_size(image: Image.Image, max_pixels: int) -> None:
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise ValueError(f"more than {max_pixels:,} pixels ({image.height}x{image.width}){_remedy(pixels)}")
    if max(image.size) > _LONGEST:
        raise ValueError(f"a picture of {image.height}x{image.width}, expected sides of at most {_LONGEST:,} pixels")


def _check_work(image: ImageFile.ImageFile, max_pixels: int) -> None:
    """Refuse a JPEG that takes as long to decode as far more pixels would: each scan goes over all of them."""
    if image.format not in ("JPEG", "MPO"):
        return
    file: Any = image.fp
    place = file.tell()
    file.seek(0)
    count = scans(file.read())
    file.seek(place)
    if count * image.width * image.height > _MAX_CLIP * max_pixels:
        raise ValueError(
            f"{count:,} scans of {image.height}x{image.width}, too much work to decode. Save it as a JPEG of one scan"
        )


def _remedy(pixels: int) -> str:
    """What to do about a picture of so many pixels, unless nobody has such pictures."""
    if pixels > LARGEST:
        return ""
    return f". If it is sound, set max_pixels: {pixels} or more in its data source, or on_bad_image: skip"


def _scale_transparent(image: ImageFile.ImageFile) -> None:
    """Bring the colour a PNG calls transparent to the 8 bits that its pixels are read as, which Pillow leaves out."""
    colour, stored = image.info.get("transparency"), image.tile[0][3] if image.tile else None
    if stored == "RGB;16B" and isinstance(colour, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in colour)
    elif stored in ("L;2", "L;4") and isinstance(colour, int):
        image.info["transparency"] = colour * (85 if stored == "L;2" else 17)


def _reason(error: Exception, path: Path, max_pixels: int) -> str:
    """Why an image cannot be read, in a few words."""
    if isinstance(error, Image.DecompressionBombError):  # Pillow's own limit, below which max_pixels lies
        return f"more than {max_pixels:,} pixels"
    if isinstance(error, FileNotFoundError):
        return why_missing(path)
    if isinstance(error, UnidentifiedImageError):
        return f"not an image, expected {', '.join(FORMATS)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"damaged ({str(error) or type(error).__name__})" if not isinstance(error, ValueError) else str(error)


class _Hush:
    """Silences Pillow's warnings, about files it reads all the same, while any thread is inside.

    `warnings.catch_warnings` alone is for one thread: two that overlap would leave the filters of either behind.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._held = threading.Lock(), 0, contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._held.enter_context(warnings.catch_warnings(action="ignore"))
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._held.close()


_HUSH = _Hush()


def _pixels(image: ImageFile.ImageFile, size: tuple[int, int] | None, channels: int, fit: Fit = "stretch") -> Array:
    """The current frame as uint8 (height, width, channels)."""
    correction = _tags(image).correction() if image.format == "TIFF" else Correction()
    plain, mode = _opaque(_eight_bits(_upright(image), correction)), "RGB" if channels == 3 else "L"
    if plain.mode != mode:  # else it would be copied
        plain = plain.convert(mode)
    return brought(plain, size, channels, fit)


def brought(plain: Image.Image, size: tuple[int, int] | None, channels: int, fit: Fit = "stretch") -> Array:
    """An image of one or three bytes a pixel as uint8 (height, width, channels), brought to a size if one is given."""
    if size is not None:
        plain = _brought_to(plain, size, fit)
    return np.asarray(plain).reshape(plain.height, plain.width, channels)


def _upright(image: ImageFile.ImageFile) -> Image.Image:
    """The current frame as a camera was held; not copied where it is upright already."""
    image.load()  # some formats have their orientation behind their pixels
    return image if image.getexif().get(_ORIENTATION, 1) == 1 else ImageOps.exif_transpose(image)


def _brought_to(image: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    part = fitted((image.height, image.width), size, fit)
    (top, left), (height, width) = part.place, part.size
    resized = image.resize((width, height), Image.Resampling.BILINEAR, part.box)
    if (height, width) == size:
        return resized
    whole = Image.new(image.mode, size[::-1], (FRAME,) * len(image.getbands()))
    whole.paste(resized, (left, top))
    return whole


def _eight_bits(image: Image.Image, correction: Correction) -> Image.Image:
    """An image in 8 bits, in a mode Pillow converts well. Raises ValueError where that has no agreed meaning."""
    if image.mode.startswith("I"):
        return _from_integers(np.asarray(image), image.info.get("transparency"), correction)
    if image.mode == "F":
        return _from_floats(np.asarray(image), correction)
    if image.mode == "LAB":
        return _from_lab(np.asarray(image))
    return image


def _is_faint(image: ImageFile.ImageFile) -> bool:
    """Whether values of 16 bits are those of a camera of 12 or fewer, and not of a picture."""
    if not image.mode.startswith("I") or (image.format == "TIFF" and _tags(image).correction().largest <= _TWELVE):
        return False
    return 0 < int(np.asarray(image).max()) <= _TWELVE


def _from_integers(values: Array, transparent: object, correction: Correction) -> Image.Image:
    """16-bit grey, which Pillow also calls 32-bit; the value that is transparent becomes white."""
    if values.min() < 0 or values.max() > correction.largest:
        raise ValueError("32-bit integer pixels, expected 8 or 16 bits. Convert it")
    wide = values.astype(np.uint32) * 65535 // correction.largest  # 12 bits have another white
    grey = ((wide + 128) // 257).astype(np.uint8)
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(255 - grey if correction.inverted else grey)


def _from_floats(values: Array, correction: Correction) -> Image.Image:
    if not (values.min() >= 0 and values.max() <= 1):  # also for NaN
        raise ValueError(f"32-bit float pixels from {values.min():g} to {values.max():g}, expected 0 to 1. Convert it")
    bright = 1 - values if correction.inverted else values
    return Image.fromarray((bright * 255 + 0.5).astype(np.uint8))


def _from_lab(values: Array) -> Image.Image:
    """An L*a*b* image in sRGB, a band of rows at a time: the formula needs many floats for each pixel."""
    rows = max(_BAND // values.shape[1], 1)
    bands = [_srgb(values[start : start + rows]) for start in range(0, len(values), rows)]
    return Image.fromarray(np.concatenate(bands))


def _srgb(values: Array) -> Array:
    """CIE L*a*b* with the white point D50 to sRGB (CIE 15:2004; IEC 61966-2-1), clipped to its gamut."""
    lightness = values[..., 0] * np.float32(100 / 255)
    a, b = (values[..., index].view(np.int8).astype(np.float32) for index in (1, 2))
    y = (lightness + 16) / 116
    roots = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    xyz = np.where(roots > 6 / 29, roots**3, (roots - 4 / 29) * (3 * (6 / 29) ** 2)) * np.array(_D50, np.float32)
    linear = np.clip(xyz @ np.array(_XYZ_TO_RGB, np.float32).T, 0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (rgb * 255 + 0.5).astype(np.uint8)


def _opaque(image: Image.Image) -> Image.Image:
    """The image laid over white where it is transparent."""
    if image.mode == "La":  # Pillow converts it to this one alone
        image = image.convert("LA")
    if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
