"""A folder of images: one folder for each class, and the pictures of that class in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from cnntrain.arrays import Array
from cnntrain.config.fields import Pair, PositiveInt
from cnntrain.datasets.base import ClassFolders, size_text
from cnntrain.errors import DataError
from cnntrain.pictures import MAX_PIXELS, SUFFIXES, decode
from cnntrain.registry import register

# isort: split
import numpy as np


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
    max_pixels: PositiveInt = MAX_PIXELS  # of one image; a larger one is refused before it is decoded

    def _read(self, paths: Sequence[Path]) -> Array:
        """All images as one array (n, height, width, channels). Raises DataError once it knows how many are bad."""
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        pixels: Array | None = None
        failures: list[DataError] = []
        for index, path in enumerate(paths):
            try:
                image = decode(path, size, self.channels, self.max_pixels).pixels
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
