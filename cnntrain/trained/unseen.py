"""Unseen data: samples a trained network has never met, read as its training samples were.

Files and folders are read by the training source itself, brought to the network's shape; classes are matched by name.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.description import Description, size_text
from cnntrain.core.errors import DataError
from cnntrain.core.registry import make
from cnntrain.data.recognition import recognize
from cnntrain.engine.pool import Pool
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.class_folders import ClassFolders
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.datasets.labelled_rows import LabelledRows
from cnntrain.parts.datasets.labels import places_among
from cnntrain.parts.datasets.picture_fields import PictureFields
from cnntrain.parts.datasets.sound_fields import SoundFields
from cnntrain.parts.tasks.base import Task
from cnntrain.parts.transforms.base import CLIP
from cnntrain.reading.attended import attended
from cnntrain.reading.csv_rows import TABLES, first_rows, named_file, rows_of
from cnntrain.reading.decoded import Sample
from cnntrain.reading.folders import SPLITS, class_name
from cnntrain.reading.input_files import NOT_THERE, advised, reading
from cnntrain.reading.pictures import SUFFIXES, Fit, decode, header
from cnntrain.reading.tables import cells_of, file_of

CHUNK = 1024  # samples that are in memory at a time, unless they are large
_HELD = 2**29  # approximate bytes of them, beyond which they are fewer
_ROWS = {".npz"}  # files that hold many samples
_NAMED = 8  # classes that a message lists
_LOOKED_AT = 100  # rows of a table, to find the column of files


@dataclass(frozen=True)
class Unseen:
    """How to read unseen data for one network."""

    network: Path  # what messages call it
    trained_on: Dataset
    data: Description  # what it was trained on
    task: Task
    images: bool = False  # whether the folder of the training source's pictures is that of other data, too

    def source(self, place: Path) -> Dataset:
        """The source for what lies at a place, with the settings of training where it is of that kind."""
        own = self.trained_on.origins()[0]
        named = isinstance(own, ClassFolders) and (own.clips or own.label is not None)  # clips of every form, any name
        if named and place.is_dir():
            return cast(ClassFolders, own).elsewhere(place).giving(self.data.shape)
        tables = [place / f"{split}.csv" for split in SPLITS]
        if isinstance(own, LabelledRows) and (place.suffix.lower() in TABLES or any(map(Path.is_file, tables))):
            # its own columns, whatever else is there
            return replace(own, path=str(place), group=None).giving(self.data.shape)
        if self.images:
            return cast(Dataset, replace(cast(Any, own), path=str(place))).giving(self.data.shape)
        found = recognize(place)
        if isinstance(own, ClassFolders) and type(own) is type(found):
            found = own.elsewhere(place)
        elif type(own) is type(found):
            found = replace(own, **found.whereabouts())
        elif isinstance(own, SoundFields) and isinstance(found, SoundFields):
            found = replace(found, **cast(Any, own.sound_settings))
        elif isinstance(own, PictureFields) and isinstance(found, PictureFields):
            found = cast(Dataset, replace(cast(Any, found), fit=own.fit))
        return found.giving(self.data.shape)

    def by_name(self, images: Images, what: str) -> Images:
        """Samples with the network's numbers for their classes. Raises DataError for names it does not know."""
        known = self.data.classes
        if images.classes == known:
            return images
        try:
            places = places_among(images.classes, known)
        except ValueError as error:
            advice = "Rename them as in training, or leave them out"
            if all(name.isdecimal() for name in images.classes) and not any(name.isdecimal() for name in known):
                advice = "Numbers do not say which is which: write names in their place, in a CSV file or as folders"
            raise DataError(
                f"{what} has classes that {self.network} was not trained on: {error}; it knows "
                f"{_listed(known)}. {advice}"
            ) from error
        return replace(images, targets=self.task.renumbered(images.targets, places), classes=known)

    def known(self, images: Images) -> Images:
        """The samples of the network's own classes, with its numbers for them; it was not trained on others."""
        if self.knows(images):
            return self.by_name(images, "the data")
        numbers = {class_name(name): number for number, name in enumerate(self.data.classes)}
        places = np.array([numbers.get(class_name(name), -1) for name in images.classes])
        names = self.task.names(images.targets, images.description)
        kept = images.take(np.flatnonzero([class_name(name or "") in numbers for name in names]))
        return replace(kept, targets=self.task.renumbered(kept.targets, places), classes=self.data.classes)

    def knows(self, images: Images) -> bool:
        """Whether all classes are the network's."""
        return {class_name(name) for name in images.classes} <= {class_name(name) for name in self.data.classes}

    def samples(
        self, paths: Sequence[Path], pool: Pool, failures: list[tuple[str, str]]
    ) -> Iterator[tuple[list[str], Array]]:
        """Names and pixels of the files named, of those in the folders and tables named, and of the rows of a .npz.

        Comes in order, in chunks of at most CHUNK; the names of rows say split and index. What cannot be read is left
        out, and added to `failures` as its path and the message that names it.
        """
        reader = self.reader
        files: list[Sample] = []
        for path in paths:
            try:
                if _of_rows(path):
                    yield from self._rows(path)
                else:
                    files += self._files_at(path, reader)
            except DataError as error:
                failures.append((str(path), str(error)))
        most = max(1, min(CHUNK, _HELD // math.prod(self.data.shape)))
        for start in range(0, len(files), most):
            chunk = files[start : start + most]
            names = [reader.place(sample) for sample in chunk]
            read = self._read(chunk, reader, pool)
            failures += [(name, str(one)) for name, one in zip(names, read, strict=True) if isinstance(one, DataError)]
            good = [(name, one) for name, one in zip(names, read, strict=True) if not isinstance(one, DataError)]
            if good:
                yield [name for name, _ in good], np.stack([pixels for _, pixels in good])

    def names(self, paths: Sequence[Path]) -> list[str]:
        """The names that `samples` gives to files, before any is read; those of rows are not known then."""
        reader = self.reader
        files: list[Sample] = []
        for path in paths:
            with contextlib.suppress(DataError):  # which `samples` reports
                files += [] if _of_rows(path) else self._files_at(path, reader)
        return [reader.place(sample) for sample in files]

    def _files_at(self, path: Path, reader: ClassFolders) -> list[Sample]:
        """The sample that a file is, those of a folder, at any depth, sorted by code point, or the rows of a table.

        Raises DataError for a folder without any, and for a table that names none.
        """
        with reading(path):
            is_folder = path.is_dir()
        if is_folder:
            return _inside(path, reader)
        if reader.clips or path.suffix.lower() not in TABLES:
            return [(path,)]
        names, *rows = first_rows(path, _LOOKED_AT, 1) or [[]]
        names = [name.strip() for name in names]
        own = self.trained_on.origins()[0]
        usual = own.column if isinstance(own, LabelledRows) else "path"
        column = usual if usual in names else file_of(names, cells_of(names, rows)) or usual
        one, advice = reader.noun.removesuffix("s"), f"Name {reader.noun}, or a table of them"
        cells = rows_of(path, (column,), one, f"Call the column of {reader.noun} {usual!r}", advice)
        return [(path.parent / named_file(where, cell, one),) for where, [cell] in cells]

    @property
    def fit(self) -> Fit:
        """How a picture is brought to the network's size."""
        reader = self.reader
        return reader.fit if isinstance(reader, PictureFields) else "stretch"

    def original(self, path: Path) -> Array | None:
        """The pixels of a picture file at its own size, uint8 (h, w, 3); None for what is no picture file."""
        limit = self._shown(path)
        return None if limit is None else decode(path, None, 3, limit).pixels

    def size(self, path: Path) -> tuple[int, int] | None:
        """The size (height, width) of a picture file; None for what is no picture file."""
        head = None if self._shown(path) is None else header(path)
        return head and (head.height, head.width)

    def _shown(self, path: Path) -> int | None:
        """The most pixels that a picture file may have; None for what is no picture file."""
        reader = self.reader
        is_picture = path.suffix.lower() in SUFFIXES and path.is_file()
        return reader.max_pixels if isinstance(reader, PictureFields) and is_picture else None

    @property
    def takes_pictures(self) -> bool:
        """Whether the files it reads are pictures."""
        return isinstance(self.reader, PictureFields) and not self.reader.clips

    @property
    def skips(self) -> bool:
        """Whether the network was trained on what could be read, the rest left out."""
        return self.trained_on.origins()[0].skips_unreadable

    def refusal(self, failures: Sequence[tuple[str, str]], asked: int, advice: str = "") -> str:
        """The message about samples, of `asked`, that cannot be read, with the advice or else a usual one."""
        first, noun = failures[0][1], self.reader.noun
        if asked == 1 and not first.startswith(f"{failures[0][0]}: "):
            return first
        count = f"{len(failures):,} of {asked:,} {noun}" if asked > 1 else f"the {noun.removesuffix('s')}"
        return advised(f"cannot read {count}: {first}", advice or _remedy(first, noun))

    def _rows(self, path: Path) -> Iterator[tuple[list[str], Array]]:
        source = self.source(path)
        found = source.unlabelled()
        split = usual_split(source) if found is None else found[0]
        pixels = source.load_some(split).pixels if found is None else found[1]
        self._check(tuple(pixels.shape[1:]), path)
        for start in range(0, len(pixels), CHUNK):
            chosen = np.arange(start, min(start + CHUNK, len(pixels)))
            yield [f"{path}:{split}[{index}]" for index in chosen], pixels[chosen]

    @property
    def reader(self) -> ClassFolders:
        """The reader of files: the training source; of images or clips where its samples are not files of their own."""
        own = self.trained_on.origins()[0]
        if isinstance(own, ClassFolders):
            return own.giving(self.data.shape)
        if isinstance(own, SoundFields):
            return cast(ClassFolders, make("datasets", "audio_folder", root=".", **own.sound_settings))
        alike = {"fit": own.fit, "max_pixels": own.max_pixels} if isinstance(own, PictureFields) else {}
        kind = "frames_folder" if len(self.data.shape) == CLIP else "image_folder"
        return cast(ClassFolders, make("datasets", kind, root=".", **alike).giving(self.data.shape))

    def _read(self, samples: Sequence[Sample], reader: ClassFolders, pool: Pool) -> list[Array | DataError]:
        """Each sample from its files, or what is wrong with it; all threads read."""
        results: list[Array | DataError] = [DataError("")] * len(samples)

        def read(_worker: int, index: int) -> None:
            try:
                pixels = reader.read_sample(samples[index])
                self._check(pixels.shape, samples[index][0])
                results[index] = pixels
            except DataError as error:
                results[index] = error

        attended(lambda: pool.run(len(samples), read))
        return results

    def _check(self, shape: Shape, path: Path) -> None:
        """Raise DataError where a sample is not of the network's shape."""
        if shape != self.data.shape:
            raise DataError(
                f"{path} gives samples of {size_text(shape)}, {self.network} was trained on "
                f"{size_text(self.data.shape)}{self.former}"
            )

    def advice(self, mine: Description, source: Dataset | None) -> str:
        """What to add to a complaint about samples of another kind, read from this source where that is known."""
        other = mine.target != self.data.target and self.task.learned_from == "sample"
        if other and isinstance(source, LabelledRows) and source.targets is not None:
            return f". Call the column of {Path(source.path).absolute()} that has class names 'label'"
        return self.former or ". Evaluate on data of the same kind"

    @property
    def former(self) -> str:
        """What to add to a complaint about shapes for a network of a version to which frames of clips were channels."""
        if not self.trained_on.origins()[0].clips or len(self.data.shape) != 3:
            return ""
        return (
            ", by a version to which the frames of a clip were channels. Train it again with the transform "
            "frames_as_channels first in train_transforms and eval_transforms"
        )


def usual_split(source: Dataset) -> str:
    """The split to measure on unless told otherwise: test, else val, else train."""
    splits = source.splits()
    return next((usual for usual in ("test", "val") if usual in splits), "train")


def _of_rows(path: Path) -> bool:
    """Whether a path is a file that holds many samples. Raises DataError where that cannot be told."""
    with reading(path):
        return path.suffix.lower() in _ROWS and path.is_file()


def _inside(folder: Path, reader: ClassFolders) -> list[Sample]:
    found = reader.samples_at(folder)
    if not found:
        raise DataError(
            f"{folder.absolute()} holds no {reader.noun}, expected files named {', '.join(sorted(reader.suffixes))}. "
            "Name another folder"
        )
    return found


def _remedy(reason: str, noun: str) -> str:
    """What to do about a file, after why it cannot be read."""
    if NOT_THERE in reason:
        return "Check its path"
    if "Permission denied" in reason:
        return "Check its permissions"
    if "damaged" in reason:
        return "Fetch or make it again"
    return f"Name {noun.removesuffix('s')} files" if "not an image" in reason else "Mend it, or leave it out"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more
