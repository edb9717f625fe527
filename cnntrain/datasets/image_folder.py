"""A folder of images: one folder for each class, and the pictures of that class in it.

Every image file means one array, the same on every machine: turned as its EXIF orientation says, laid over white
where it is transparent, 16 bits scaled to 8, the first frame of an animation. What has no agreed meaning is refused.
"""

from __future__ import annotations

import errno
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from cnntrain.arrays import Array
from cnntrain.config.fields import Pair
from cnntrain.datasets.base import ClassFolders, is_special, reading, size_text
from cnntrain.errors import DataError
from cnntrain.registry import register

# isort: split
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it finds wrong ends up in our one line

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset(
    [".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pbm", ".pgm", ".ppm", ".pnm"]
)
MAX_PIXELS = 25_000_000  # of one image, looked at before it is decoded: 75 MB as colours


@register("image_folder")
@dataclass(frozen=True)
class ImageFolder(ClassFolders):
    """Images in class folders: `root/train/CLASS/...`, `root/val/CLASS/...`, or `root/CLASS/...` for training alone.

    Classes are the folders of the training split, sorted by code point. Read are files named .png, .jpg, .jpeg,
    .bmp, .gif, .webp, .tif, .tiff, .pbm, .pgm, .ppm or .pnm, in any letter case, at any depth of a class folder.
    Ignored are all other names, and everything hidden (".DS_Store"); links are followed, each folder once.

    `size` ([height, width], or one number for both) is what images are resized to, by Pillow's bilinear filter with
    antialiasing; without it all must have one size. `channels` is 3 for colour or 1 for grey (ITU-R 601 luma).
    """

    suffixes: ClassVar[frozenset[str]] = SUFFIXES
    noun: ClassVar[str] = "images"

    size: Pair | None = None
    channels: Literal[1, 3] = 3

    def _read(self, paths: Sequence[Path]) -> Array:
        """All images as one array (n, height, width, channels). Raises DataError once it knows how many are bad."""
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        pixels: Array | None = None
        failures: list[DataError] = []
        for index, path in enumerate(paths):
            try:
                image = decode(path, size, self.channels)
            except DataError as error:
                failures.append(error)
                continue
            if pixels is None:
                first, pixels = path, np.empty((len(paths), *image.shape), np.uint8)
            if image.shape != pixels.shape[1:]:
                raise DataError(
                    f"{path} is {size_text(image.shape[:2])} (height x width), {first} is "
                    f"{size_text(pixels.shape[1:3])}: expected one size. Set size: [height, width] to resize them"
                )
            pixels[index] = image
        if failures or pixels is None:
            raise DataError(
                f"{len(failures):,} of {len(paths):,} images unreadable, first: {failures[0]}. Mend or remove them"
            )
        return pixels


def decode(path: Path, size: tuple[int, int] | None, channels: int) -> Array:
    """One image file as uint8 (height, width, channels), resized to `size` if given. Raises DataError."""
    with reading(path):
        try:
            with warnings.catch_warnings(action="ignore"):  # Pillow's, about files it reads all the same
                return _decode(path, size, channels)
        except Exception as error:  # decoders raise whatever they stumble over
            if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.EIO:
                raise
            raise DataError(f"{path}: {_reason(error)}") from error


def _decode(path: Path, size: tuple[int, int] | None, channels: int) -> Array:
    if is_special(path):
        raise ValueError("not a regular file")
    with Image.open(path, formats=_FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        plain = eight_bits(ImageOps.exif_transpose(image)).convert("RGB" if channels == 3 else "L")
    if size is not None:
        plain = plain.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(plain).reshape(plain.height, plain.width, channels)


def _reason(error: Exception) -> str:
    """Why an image cannot be read, in a few words."""
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return f"not an image, expected {', '.join(_FORMATS)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"damaged ({str(error) or type(error).__name__})" if not isinstance(error, ValueError) else str(error)


def eight_bits(image: Image.Image) -> Image.Image:
    """An image in 8 bits and opaque, in whatever mode. Raises ValueError where that has no agreed meaning."""
    if image.mode.startswith("I"):
        values = np.asarray(image, np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("32-bit integer pixels, expected 8 or 16 bits: convert it")
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("32-bit float pixels, expected 8 or 16 bits: convert it")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image
