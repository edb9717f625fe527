"""A folder of clips: one folder for each class, and moving pictures in it; the frames of a clip become channels."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import numpy as np

from cnntrain.config.fields import Range
from cnntrain.core.arrays import Shape
from cnntrain.core.errors import DataError
from cnntrain.core.registry import register
from cnntrain.parts.datasets.class_folders import ClassFolders
from cnntrain.parts.datasets.picture_fields import PictureFields
from cnntrain.reading.decoded import Content, Recipe, Sample
from cnntrain.reading.folders import class_name, files_below
from cnntrain.reading.pictures import MOVING, SUFFIXES, decode, decode_clip, evenly


@register("frames_folder")
@dataclass(frozen=True)
class FramesFolder(PictureFields, ClassFolders):
    """Clips in class folders, laid out like the pictures of image_folder: `root/train/CLASS/...`.

    A clip is a folder of pictures, its frames, in the order of their names (numbers in them by value, so that "f2" is
    before "f10"); or one file of several frames (.gif, .webp, .png, .tif, .tiff) that lies in the class folder itself.
    `frames` of them are taken, evenly spaced from the first on; a shorter clip repeats frames.

    A sample is an image of `frames` times `channels` channels, the first frame's first. The other keys are those of
    image_folder.
    """

    suffixes: ClassVar[frozenset[str]] = SUFFIXES
    noun: ClassVar[str] = "clips"

    channels: Literal[1, 3] = 1  # 1 for grey, 3 for colour
    frames: Annotated[int, Range(1, 1000)] = 8  # frames to take from each clip, evenly spaced

    @classmethod
    def at(cls, path: Path) -> None:
        """Never by itself: what could be clips could be pictures too."""

    def giving(self, shape: Shape) -> Self:
        """Resized."""
        return replace(self, size=(shape[0], shape[1]))

    def samples_in(self, folder: Path, others: Counter[str] | None = None) -> list[Sample]:
        """The moving files of a class, and the folders of pictures below it, by name."""
        clips: dict[Path, list[Path]] = {}
        for path in files_below(folder, self.suffixes, others):
            if path.parent != folder:
                clips.setdefault(path.parent, []).append(path)
            elif path.suffix.lower() in MOVING:
                clips[path] = [path]
            elif others is not None:  # one still picture is no clip
                others[path.suffix.lower()] += 1
        return [tuple(sorted(clips[clip], key=_natural)) for clip in sorted(clips)]

    def called(self, sample: Sample) -> str:
        """The name of the clip: of its folder, or of its one moving file."""
        first = sample[0]
        return class_name(first.name if len(sample) == 1 and first.suffix.lower() in MOVING else first.parent.name)

    def _recipe(self) -> Recipe:
        picture = self.picture_recipe()
        size = (self.size, self.size) if isinstance(self.size, int) else self.size

        def decode_frames(sample: Sample) -> Content:
            if len(sample) == 1:
                clip = decode_clip(sample[0], self.frames, size, self.channels, self.max_pixels, self.fit)
            else:
                chosen = [sample[index] for index in evenly(len(sample), self.frames)]
                images = {path: decode(path, size, self.channels, self.max_pixels, self.fit).pixels for path in chosen}
                if len({image.shape for image in images.values()}) > 1:
                    raise DataError(f"{sample[0]}: frames of different sizes, expected one size: set size")
                clip = np.stack([images[path] for path in chosen])
            return Content(clip.transpose(1, 2, 0, 3).reshape(*clip.shape[1:3], -1))

        settings = {**picture.settings, "what": "clip", "frames": self.frames}
        return Recipe(decode_frames, settings, self.noun, skip=picture.skip)


def _natural(path: Path) -> list[tuple[int, str]]:
    """A key that sorts names with the numbers in them by value."""
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in re.split(r"(\d+)", path.name)]
