"""A folder of images: one folder for each class, and the pictures of that class in it.

Every image file means one array, the same on every machine: turned as its EXIF orientation says, laid over white
where it is transparent, 16 bits scaled to 8, the first frame of an animation. What has no agreed meaning is refused.
"""

from __future__ import annotations

import errno
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cnntrain.arrays import Array
from cnntrain.config.fields import Pair
from cnntrain.datasets.base import Dataset, Images, on_disk, reading, size_text
from cnntrain.errors import DataError
from cnntrain.registry import register

# isort: split
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it finds wrong ends up in our one line

_SPLITS = ("train", "val", "test")
_MISTAKEN = {"valid": "val", "validation": "val", "dev": "val", "training": "train", "testing": "test"}
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset(
    [".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pbm", ".pgm", ".ppm", ".pnm"]
)
MAX_PIXELS = 25_000_000  # of one image, looked at before it is decoded: 75 MB as colours
_ADVICE = "Set root to a folder with a folder of images for each class, or with such folders in train/, val/ and test/"


@register("image_folder")
@dataclass(frozen=True)
class ImageFolder(Dataset):
    """Images in class folders: `root/train/CLASS/...`, `root/val/CLASS/...`, or `root/CLASS/...` for training alone.

    Classes are the folders of the training split, sorted by code point. Read are files named .png, .jpg, .jpeg,
    .bmp, .gif, .webp, .tif, .tiff, .pbm, .pgm, .ppm or .pnm, in any letter case, at any depth of a class folder.
    Ignored are all other names, and everything hidden (".DS_Store"); links are followed, each folder once.

    `size` ([height, width], or one number for both) is what images are resized to, by Pillow's bilinear filter with
    antialiasing; without it all must have one size. `channels` is 3 for colour or 1 for grey (ITU-R 601 luma).
    """

    root: str
    size: Pair | None = None
    channels: Literal[1, 3] = 3

    def splits(self) -> tuple[str, ...]:
        """Those of train, val and test that have a folder; train where root holds the class folders itself."""
        return tuple(self._split_folders())

    def files(self, split: str) -> tuple[Path, ...]:
        """Every image of a split, class by class, sorted by code point."""
        return tuple(path for paths in self._classes(split).values() for path in paths)

    def load(self, split: str) -> Images:
        """Read a split: uint8 pixels and labels."""
        found = self._classes(split)
        names = tuple(found if split == "train" else self._classes("train"))
        unknown = [name for name in found if name not in names]
        if unknown:
            raise DataError(
                f"{self._split_folders()[split] / unknown[0]}: class {unknown[0]!r} is not among the {len(names)} "
                f"classes of train ({_listed(names)}). Rename it, or add it to train"
            )
        place = {name: label for label, name in enumerate(names)}
        labels = [place[name] for name, paths in found.items() for _ in paths]
        pixels = self._read([path for paths in found.values() for path in paths])
        return Images(pixels, np.array(labels, np.int64), names)

    def _split_folders(self) -> dict[str, Path]:
        """Split -> its folder. Raises DataError where folders are named almost like a split."""
        root = on_disk(self.root, _ADVICE, folder=True)
        folders = {split: root / split for split in _SPLITS if (root / split).is_dir()}
        if not folders:
            return {"train": root}
        for name in _subfolders(root):
            if name in _MISTAKEN:
                raise DataError(f"{root / name} is not read: the folder must be called {_MISTAKEN[name]!r}. Rename it")
        if "train" not in folders:
            raise DataError(
                f"{root} has {', '.join(folders)} but no train: the classes are those of train. Add it, or set root to "
                "the folder that holds the classes"
            )
        return folders

    def _classes(self, split: str) -> dict[str, list[Path]]:
        """Class name -> its images. Raises DataError for fewer than two classes or an empty one."""
        folders = self._split_folders()
        if split not in folders:
            raise DataError(f"{Path(self.root).absolute()} has no folder {split!r}, found {', '.join(folders)}. Add it")
        folder = folders[split]
        classes = {name: sorted(_images(folder / name)) for name in _subfolders(folder)}
        if len(classes) < 2 and split == "train":
            raise DataError(f"{folder} has {len(classes)} class folders, expected 2 or more. {_ADVICE}")
        for name, paths in classes.items():
            if not paths:
                raise DataError(
                    f"{folder / name} holds no images, expected files named {', '.join(sorted(SUFFIXES))}. Add "
                    "images, or remove the folder"
                )
        return classes

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
    if _is_special(path):
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


def _subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted by code point; hidden ones are left out."""
    with reading(folder):
        names = sorted(name for name in os.listdir(folder) if not name.startswith(".") and (folder / name).is_dir())
    for name in names:
        if not name.isprintable():
            raise DataError(f"{folder} has a folder named {name!r}, expected printable characters. Rename it")
    return names


def _images(folder: Path) -> Iterator[Path]:
    """Image files in a folder and below. A folder is visited once, and no link leads up to those above."""
    with reading(folder):
        visited = {_identity(above) for above in folder.resolve().parents}
    pending = [folder]
    while pending:
        place = pending.pop()
        with reading(place):
            if _identity(place) in visited:
                continue
            visited.add(_identity(place))
            names = sorted(name for name in os.listdir(place) if not name.startswith("."))
        for path in (place / name for name in names):
            if path.is_dir():
                pending.append(path)
            elif path.suffix.lower() in SUFFIXES and not _is_special(path):
                yield path


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_special(path: Path) -> bool:
    """Whether it is a pipe, socket or device: opening one may wait for ever. A broken link is not."""
    return path.exists() and not path.is_file()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
