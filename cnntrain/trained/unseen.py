"""Unseen data: samples a trained network has never met, read as its training samples were.

Files and folders are read by the training source itself, brought to the network's shape; classes are matched by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.description import Description, size_text
from cnntrain.core.errors import DataError
from cnntrain.core.registry import make
from cnntrain.data.recognition import recognize
from cnntrain.engine.pool import Pool
from cnntrain.parts.datasets.base import ClassFolders, Dataset, Images
from cnntrain.parts.tasks.base import Task
from cnntrain.reading.decoded import Sample

CHUNK = 1024  # samples that are in memory at a time
_ROWS = {".npz"}  # files that hold many samples
_NAMED = 8  # classes that a message lists


@dataclass(frozen=True)
class Unseen:
    """How to read for one network."""

    network: Path  # what messages call it
    trained_on: Dataset
    data: Description  # what it was trained on
    task: Task

    def source(self, place: Path) -> Dataset:
        """The source for what lies at a place, with the settings of training where it is of that kind."""
        found, own = recognize(place), self.trained_on.origins()[0]
        if type(own) is type(found):
            key = "root" if hasattr(own, "root") else "path"
            found = replace(own, **{key: getattr(found, key)})
        return found.giving(self.data.shape)

    def by_name(self, images: Images, what: str) -> Images:
        """Samples with the network's numbers for their classes. Raises DataError for names it does not know."""
        known = self.data.classes
        if images.classes == known:
            return images
        unknown = [name for name in images.classes if name not in known]
        if unknown:
            raise DataError(
                f"{what} has classes that {self.network} was not trained on: {_listed(unknown)}; it knows "
                f"{_listed(known)}. Rename them as in training, or leave them out"
            )
        numbers = np.array([known.index(name) for name in images.classes])
        return replace(images, targets=self.task.renumbered(images.targets, numbers), classes=known)

    def samples(self, paths: Sequence[Path], pool: Pool) -> Iterator[tuple[list[str], Array]]:
        """Names and pixels of the files named, of those in the folders named, and of the rows of a .npz, in order.

        Comes in chunks of at most CHUNK; the names of rows say split and index. Raises DataError once it knows how
        many files cannot be read.
        """
        reader = self._reader()
        files: list[Sample] = []
        for path in paths:
            if path.suffix.lower() in _ROWS and path.is_file():
                yield from self._rows(path)
            else:
                files += _inside(path, reader) if path.is_dir() else [(path,)]
        failures: list[DataError] = []
        for start in range(0, len(files), CHUNK):
            chunk = files[start : start + CHUNK]
            read = self._read(chunk, reader, pool)
            failures += [result for result in read if isinstance(result, DataError)]
            if not failures:
                yield [str(sample[0]) for sample in chunk], np.stack(cast(list[Array], read))
        if failures:
            one = reader.noun.removesuffix("s")
            count = f"{len(failures):,} of {len(files):,} {reader.noun}" if len(files) > 1 else f"the {one}"
            raise DataError(f"cannot read {count}: {failures[0]}. Name {one} files")

    def _rows(self, path: Path) -> Iterator[tuple[list[str], Array]]:
        source = self.source(path)
        split = usual_split(source)
        images = source.load(split)
        self._check(images.shape, path)
        for start in range(0, len(images), CHUNK):
            chosen = np.arange(start, min(start + CHUNK, len(images)))
            yield [f"{path}:{split}[{index}]" for index in chosen], images.pixels[chosen]

    def _reader(self) -> ClassFolders:
        """What reads files: the source of training, or one of images where that does not lie in files of its own."""
        own = self.trained_on.origins()[0]
        reader = own if isinstance(own, ClassFolders) else make("datasets", "image_folder", root=".")
        return cast(ClassFolders, reader.giving(self.data.shape))

    def _read(self, samples: Sequence[Sample], reader: ClassFolders, pool: Pool) -> list[Array | DataError]:
        """Each sample out of its files, or what is wrong with it; all threads read."""
        results: list[Array | DataError] = [DataError("")] * len(samples)

        def read(_worker: int, index: int) -> None:
            try:
                pixels = reader.read_sample(samples[index])
                self._check(pixels.shape, samples[index][0])
                results[index] = pixels
            except DataError as error:
                results[index] = error

        pool.run(len(samples), read)
        return results

    def _check(self, shape: Shape, path: Path) -> None:
        """Raise DataError where a sample is not of the network's shape."""
        if shape != self.data.shape:
            raise DataError(
                f"{path} gives samples of {size_text(shape)}, {self.network} was trained on "
                f"{size_text(self.data.shape)}"
            )


def usual_split(source: Dataset) -> str:
    """The split one measures on unless told: test, else val, else train."""
    splits = source.splits()
    return next((usual for usual in ("test", "val") if usual in splits), "train")


def _inside(folder: Path, reader: ClassFolders) -> list[Sample]:
    """The samples of a folder, at any depth, sorted by code point. Raises DataError where there are none."""
    found = reader.samples_in(folder)
    if not found:
        raise DataError(
            f"{folder.absolute()} holds no {reader.noun}, expected files named {', '.join(sorted(reader.suffixes))}. "
            "Name another folder"
        )
    return found


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more
