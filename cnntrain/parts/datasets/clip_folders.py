"""A folder of clips: one folder for each class, and moving pictures in it, whatever form each of them has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import numpy as np

from cnntrain.config.fields import PositiveInt, Range
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.errors import DataError
from cnntrain.core.registry import register
from cnntrain.core.spread import spread
from cnntrain.parts.datasets.class_folders import ClassFolders
from cnntrain.parts.datasets.picture_fields import PictureFields
from cnntrain.reading.clips import (
    FORMS,
    VIDEOS,
    Look,
    extent_of_clip,
    is_moving,
    rate_of_video,
    read_clip,
    video_version,
)
from cnntrain.reading.decoded import Content, Recipe, Sample
from cnntrain.reading.folders import class_name, files_below, first_split_in, subfolders
from cnntrain.reading.pictures import common_size, count_frames, evenly

_LOOKED_AT = 20  # clips of a folder that decide what it holds, and frames of a clip
_OFTEN = 3  # equal distances of numbers other than 1 that are no accident


@dataclass(frozen=True)
class ClipFolder(PictureFields, ClassFolders):
    """What the sources of clips share: a sample is (frames, height, width, channels)."""

    suffixes: ClassVar[frozenset[str]] = FORMS
    noun: ClassVar[str] = "clips"
    sure: ClassVar[int] = 1  # numbered pictures of other sources look like the moments of a clip
    clips: ClassVar[bool] = True

    frames: Annotated[int, Range(1, 1000)] = 8  # moments of a sample

    def chosen(self, count: int, times: Array | None) -> Sequence[int]:
        """Which of so many frames to take, in order; `times` in seconds from the first on, where they are known."""
        raise NotImplementedError

    @property
    def timed(self) -> bool:
        """Whether `chosen` goes by the times of animations."""
        return False

    def giving(self, shape: Shape) -> Self:
        """Of this size, channels and number of moments."""
        return replace(super().giving(shape[1:]), frames=shape[0]) if len(shape) == 4 else self

    def samples_in(self, folder: Path, others: Counter[str] | None = None) -> list[Sample]:
        """The moving files of a class, and the folders of pictures below it, by name."""
        return self._samples(folder, others, itself=False)

    def samples_at(self, folder: Path) -> list[Sample]:
        """The same, and the folder itself, where it holds frames."""
        return self._samples(folder, None, itself=True)

    def _samples(self, folder: Path, others: Counter[str] | None, itself: bool) -> list[Sample]:
        """The clips of a folder; `itself` says whether the folder itself may be one."""
        by_folder: dict[Path, list[Path]] = {}
        for path in files_below(folder, self.suffixes, others):
            by_folder.setdefault(path.parent, []).append(path)
        found: list[Sample] = []
        for place, paths in by_folder.items():
            videos = [path for path in paths if path.suffix.lower() in VIDEOS]
            pictures = sorted({*paths} - {*videos}, key=_natural)
            found += [(path,) for path in videos]
            if place == folder and not itself:  # one still picture is no clip
                moving = [path for path in pictures if is_moving(path)]
                found += [(path,) for path in moving]
                if others is not None:
                    others.update(path.suffix.lower() for path in {*pictures} - {*moving})
            elif pictures and _moves(pictures[0]):
                found += [(path,) for path in pictures]
            elif pictures:
                found.append(tuple(pictures))
        return sorted(found, key=self.place)

    def called(self, sample: Sample) -> str:
        """The name of the clip: of its folder, or of its one moving file."""
        return class_name(Path(self.place(sample)).name)

    def place(self, sample: Sample) -> str:
        """The path of the clip: its folder's, or its one moving file's."""
        alone = len(sample) == 1 and is_moving(sample[0])
        return str(sample[0] if alone else sample[0].parent)

    def extent(self, path: Path) -> tuple[float, ...] | None:
        """Height and width of the frames."""
        return extent_of_clip(path)

    def measured(self) -> Self:
        """Size and channels as the first frames suggest."""
        firsts = [sample[0] for sample, _ in self.labelled_samples(self.splits()[0])]
        sides = [side for path in spread(firsts, _LOOKED_AT) if (side := extent_of_clip(path))]
        known = self.of_pictures([path for path in firsts if path.suffix.lower() not in VIDEOS][:_LOOKED_AT])
        if not sides:
            return known
        channels: Literal[1, 3] = 3 if any(path.suffix.lower() in VIDEOS for path in firsts) else known.channels
        return replace(known, size=common_size(sides), channels=channels)

    def _recipe(self) -> Recipe:
        picture, size = self.picture_recipe(), (self.size, self.size) if isinstance(self.size, int) else self.size
        look = Look(size, self.channels, self.max_pixels, self.fit, self.timed)

        def decode(sample: Sample) -> Content:
            if len(sample) == 1 and not _moves(sample[0]) and self.frames > 1:
                raise DataError(
                    f"{sample[0]}: one still picture, expected a clip: a folder of frames, an animated file or a video"
                )
            return Content(read_clip(sample, self.chosen, look))

        settings = {**picture.settings, **self._settings(), "what": "moments", "av": video_version()}
        return Recipe(decode, settings, self.noun, skip=picture.skip)

    def _settings(self) -> dict[str, object]:
        """What decides which frames are taken."""
        return {"source": self.name_in_config, "frames": self.frames}


@register("frames_folder")
@dataclass(frozen=True)
class FramesFolder(ClipFolder):
    """Clips in class folders, laid out like the pictures of image_folder: `root/train/CLASS/...`.

    A clip is a folder of pictures, its frames, in the order of their names (numbers in them by value, so that "f2" is
    before "f10"); or one file of several frames (.gif, .webp, .png, .tif, .tiff) that lies in the class folder itself;
    or a video, as in video_folder. `frames` of them are taken, evenly spaced from the first on; a shorter clip repeats
    frames.

    A sample is a clip (frames, height, width, channels): layers of images see its moments one by one, conv3d and
    temporal_shift several. The transform frames_as_channels makes one image of it. The other keys are those of
    image_folder.
    """

    channels: Literal[1, 3] = 1  # 1 for grey, 3 for colour
    frames: Annotated[int, Range(1, 1000)] = 8  # frames to take from each clip, evenly spaced

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """Where class folders hold folders of numbered frames, or animated files, and nothing else."""
        found = _clips_at(cls, path)
        if found is None or any(sample[0].suffix.lower() in VIDEOS for sample in found):
            return None
        return cls(root=str(path)).measured() if _are_clips(found) else None

    def measured(self) -> Self:
        """Size and channels as the first frames suggest; no more frames than half of the clips have."""
        some = [sample for sample, _ in self.labelled_samples(self.splits()[0])]
        counts = [
            len(sample) if len(sample) > 1 else count_frames(sample[0])
            for sample in spread(some, _LOOKED_AT)
            if sample[0].suffix.lower() not in VIDEOS
        ]
        usual = int(np.median(counts)) if counts else self.frames
        return replace(super().measured(), frames=max(min(self.frames, usual), 1))

    def chosen(self, count: int, times: Array | None) -> Sequence[int]:  # noqa: ARG002
        """Evenly spaced."""
        return evenly(count, self.frames)


@register("video_folder")
@dataclass(frozen=True)
class VideoFolder(ClipFolder):
    """Videos in class folders, laid out like the pictures of image_folder: `root/train/CLASS/...`.

    Reads .mp4, .m4v, .mov, .avi, .webm, .mkv, .mpg and .mpeg, by the extra `video` (PyAV), and clips of the other forms
    that frames_folder reads. A sample is (frames, height, width, channels): every `stride`-th frame of the video at
    `fps` frames a second, `frames` of them from its middle; a shorter video repeats its last frame. An
    animated GIF, PNG or WebP has times, too, and a frame of it counts for as long as it is shown. What has none, such
    as a folder of frames or a TIFF, and every clip where `fps` is not given, is taken frame by frame.

    To train on changing stretches and to be judged by several, take more frames than the network is to see, and let
    temporal_crop and temporal_views choose among them: every video is decoded once, into the cache. Frames are brought
    to `size` as in image_folder; the other keys are image_folder's, too.
    """

    frames: Annotated[int, Range(1, 1000)] = 16  # moments of a sample
    fps: Annotated[float, Range(0, 1000, open_low=True)] | None = None  # frames a second; by default the video's own
    stride: PositiveInt = 1  # step from one of these to the next that is taken

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """Where class folders hold a video."""
        found = _clips_at(cls, path)
        if found is None or not any(sample[0].suffix.lower() in VIDEOS for sample in found):
            return None
        return cls(root=str(path)).measured()

    def measured(self) -> Self:
        """Size and channels as the first frames suggest, and 8 frames a second of faster videos."""
        some = self.labelled_samples(self.splits()[0])[:_LOOKED_AT]
        rates = [rate for sample, _ in some if (rate := rate_of_video(sample[0]))]
        fps = 8.0 if rates and min(rates) > 8 else None
        return replace(super().measured(), fps=fps)

    def chosen(self, count: int, times: Array | None) -> Sequence[int]:
        """From the middle, as far apart as fps and stride say."""
        if times is None or self.fps is None:
            start = max((count - (self.frames - 1) * self.stride - 1) // 2, 0)
            wanted = start + np.arange(self.frames) * self.stride
            return [*map(int, np.minimum(wanted, count - 1))]
        step = self.stride / self.fps
        start_time = max((times[-1] - (self.frames - 1) * step) / 2, 0.0)
        places = np.searchsorted(times, start_time + np.arange(self.frames) * step + 1e-6, side="right") - 1
        return [*map(int, np.clip(places, 0, count - 1))]

    @property
    def timed(self) -> bool:
        """Where there is a rate to keep to."""
        return self.fps is not None

    def _settings(self) -> dict[str, object]:
        """`timed` sets apart what was decoded when a rate counted the frames of animations."""
        return super()._settings() | {"fps": self.fps, "stride": self.stride, "timed": self.timed}


def _clips_at(cls: type[ClipFolder], path: Path) -> list[Sample] | None:
    """Some of what class folders at a path hold, if they hold nothing but what may be clips."""
    if not path.is_dir():
        return None
    folder = first_split_in(path)
    source, found, others = cls(root=str(path)), [], Counter[str]()
    for name in subfolders(folder):
        found += source.samples_in(folder / name, others)
    if not found or any(others[suffix] for suffix in FORMS):
        return None
    return spread(found, _LOOKED_AT)


def _are_clips(samples: Sequence[Sample]) -> bool:
    """Whether files are surely clips: several frames in one, or pictures of one size that are numbered evenly.

    Photographs are numbered, too, but some are missing and some are upright. Numbers at a distance other than 1 are no
    accident where it occurs often, in one folder or in all of them.
    """
    if not all(_moves(sample[0]) for sample in samples if len(sample) == 1):
        return False
    folders = [sample for sample in samples if len(sample) > 1]
    steps = [_step(sample) for sample in folders]
    often = {*steps[1:]} <= {*steps[:1]} and sum(len(sample) - 1 for sample in folders) >= _OFTEN
    return all(
        step is not None and (step == 1 or often or len(sample) > _OFTEN)
        for step, sample in zip(steps, folders, strict=True)
    )


def _step(sample: Sample) -> int | None:
    """The distance between the numbers of pictures; None where it varies, or the names or sizes do in another way."""
    numbers = [re.findall(r"\d+", path.stem)[-1:] for path in sample]
    if not all(numbers):
        return None
    steps = {*np.diff([int(number[0]) for number in numbers]).tolist()}
    names = {re.sub(r"\d+(?=\D*$)", "", path.name) for path in sample}
    if len(names) > 1 or len(steps) > 1:
        return None
    sizes = {extent_of_clip(path) for path in spread(sample, _LOOKED_AT)}
    return steps.pop() if len(sizes) == 1 else None


def _moves(path: Path) -> bool:
    """Whether a file holds several frames."""
    return path.suffix.lower() in VIDEOS or (is_moving(path) and count_frames(path) > 1)


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """A key that sorts names with the numbers in them by value, and "01" before "1"."""
    words = re.split(r"(\d+)", path.name)
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in words], path.name
