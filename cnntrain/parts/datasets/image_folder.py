"""A folder of images: one folder for each class, and the pictures of that class in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from cnntrain.core.registry import register
from cnntrain.parts.datasets.class_folders import ClassFolders
from cnntrain.parts.datasets.picture_fields import PictureFields
from cnntrain.reading.decoded import Recipe
from cnntrain.reading.pictures import SUFFIXES


@register("image_folder")
@dataclass(frozen=True)
class ImageFolder(PictureFields, ClassFolders):
    r"""Images in class folders: `root/train/CLASS/...`, `root/val/CLASS/...`, or `root/CLASS/...` for training alone.

    Classes are the folders of the training split, sorted by code point, their names in Unicode's composed form. Reads
    files named .png, .jpg, .jpeg, .jpe, .jfif, .jif, .bmp, .gif, .webp, .tif, .tiff, .pbm, .pgm, .ppm or .pnm, in any
    letter case, at any depth of a class folder. Ignores all other names (`check` counts them), everything hidden
    (".DS_Store") and what systems make ("__MACOSX", "@eaDir", thumbnails); links are followed, each folder once. A
    folder that looks like a split and is not spelt so ("Train", "valid", "seg_test") is an error.

    Where names of files say what folders do not, regular expressions find it there: `label: "^(\d)_"` the class,
    `split: {test: "_[0-4]\.png$"}` the split (the others are for training), `group: "_(.*)_"` what a file belongs to (a
    speaker, a scene). A group must not be in two splits; `data.val: 0.2` and k_fold take whole groups. A pattern that
    finds nothing or two different things in a name is an error. A pattern may have three repetitions, of characters and
    not of groups, and must not refer back or look around, so that none takes long.

    `size` ([height, width], or one number for both) is what images are resized to, by Pillow's bilinear filter with
    antialiasing; without it all must have one size. `channels` is 3 for colour or 1 for grey (ITU-R 601 luma).
    An image that cannot be read, or has more than `max_pixels`, is an error, or is left out and reported
    (`on_bad_image: skip`).
    """

    suffixes: ClassVar[frozenset[str]] = SUFFIXES
    noun: ClassVar[str] = "images"

    def _recipe(self) -> Recipe:
        return self.picture_recipe()

    def measured(self) -> Self:
        """Size and channels as the pictures suggest."""
        return self.of_pictures(self.sample_of_files())
