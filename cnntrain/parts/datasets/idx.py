"""The IDX format of the MNIST family: four files, images and labels of a training and a test split.

A file is two zero bytes, a type code, the number of dimensions, each dimension as a big-endian 32-bit integer, and
then the values (LeCun, Cortes and Burges 1998). Gzip is recognized by its content, whatever the file is called.
"""

from __future__ import annotations

import gzip
import os
import re
import struct
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Self, cast

import numpy as np

from cnntrain.config.fields import PositiveInt, Range
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.counts import counted
from cnntrain.core.description import Description, size_text
from cnntrain.core.errors import DataError
from cnntrain.core.registry import register
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.datasets.labels import MAX_CLASSES, checked_labels, count_classes, numbered
from cnntrain.reading.input_files import is_there, largest_unpacked, on_disk, opened, reading
from cnntrain.reading.reader import ALONE, Reader
from cnntrain.reading.well_known import how_to_fetch

_PREFIXES = {"train": "train", "test": "t10k"}
_CONTENTS = {3: "images", 1: "labels"}  # by number of dimensions
_UNSIGNED_BYTE = 0x08
_SPLITS = {"train": "train", "t10k": "test", "test": "test"}
_RANKS = {"images": 3, "labels": 1}
_NAME = re.compile(
    r"(?P<prefix>(.*[-_. ])?)(?P<split>train|t10k|test)[-_. ](?P<what>images|labels)[-_. ]idx(?P<rank>[13])[-_. ]ubyte"
    r"(\.gz)?",
    re.IGNORECASE,
)
_GZIP = b"\x1f\x8b"
_ADVICE = (
    "Set root to a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
    "t10k-labels-idx1-ubyte, each with or without .gz"
)


@register("idx")
@dataclass(frozen=True)
class Idx(Dataset):
    """MNIST, Fashion-MNIST, KMNIST, EMNIST: a folder with the four standard files, gzipped or not.

    Their names may be written with dots or in capitals, say "test" for "t10k", and begin with that of the set, as in
    "emnist-letters-train-images-idx3-ubyte"; `prefix` ("emnist-letters") chooses among several sets in one folder.
    EMNIST stores its pictures with rows and columns exchanged, and they are left so.

    `shape` ([28, 28] or [28, 28, 1]) and `classes` (how many, or their names) need not be given. Where they are,
    `check --no-data` knows them without the files, and the files are checked against them. Undeclared classes are
    counted from the training labels and named "0", "1", ...
    """

    root: str  # the folder
    # shape of an image, [28, 28] or [28, 28, 1]; by default what the files say
    shape: tuple[PositiveInt, ...] | None = None
    # how many classes there are, or their names; by default as many as the training labels have
    classes: Annotated[int, Range(2, MAX_CLASSES)] | tuple[str, ...] | None = None
    # what the names of the set's files begin with, where the folder holds several sets
    prefix: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shape is not None and (len(self.shape) < 2 or self.shape[2:] not in ((), (1,))):
            raise ValueError(f"shape must be [height, width] or [height, width, 1], got {list(self.shape)}")
        if isinstance(self.classes, tuple) and len(set(self.classes)) != max(len(self.classes), 2):
            raise ValueError(f"classes must be 2 or more different names, got {list(self.classes)}")

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """Where the folder holds one of the four files."""
        return cls(str(path)) if path.is_dir() and _known(path) else None

    def splits(self) -> tuple[str, ...]:
        """Those of train and test that have a file. Raises DataError where there is none."""
        root = on_disk(self.root, self._advice(), folder=True)
        there = self._files(root)
        found = tuple(split for split in _PREFIXES if any((split, rank) in there for rank in _CONTENTS))
        if not found:
            raise DataError(f"{root} holds no IDX files. {self._advice()}")
        return found

    def describe(self) -> Description | None:
        """What is declared, where both shape and classes are."""
        names = self._declared_names()
        return Description(self._declared_shape(), names) if self.shape and names else None

    def files(self, split: str) -> tuple[Path, ...]:
        """The file of images and the file of labels. Raises DataError where one is missing."""
        root = on_disk(self.root, self._advice(), folder=True)
        if split not in _PREFIXES:
            raise DataError(f"{root}: IDX files have the splits train and test, not {split!r}")
        there = self._files(root)
        for rank in _CONTENTS:
            if (split, rank) not in there:
                is_there(root / _name(split, rank))  # raises where something else has its name
                raise DataError(f"{root / _name(split, rank)} does not exist, with or without .gz. {self._advice()}")
        return tuple(there[split, rank] for rank in _CONTENTS)

    def _advice(self) -> str:
        """What to do where files are missing."""
        return f"{_ADVICE}; {how_to_fetch(self.root, 'mnist', 'fashion-mnist', 'kmnist')}"

    def _files(self, root: Path) -> dict[tuple[str, int], Path]:
        """Split and rank -> the file. Raises DataError where there are several sets."""
        sets = _known(root)
        if self.prefix is not None:
            if sets and self.prefix not in sets:
                found = ", ".join(repr(name) for name in sorted(sets))
                raise DataError(f"{root} has no set {self.prefix!r}, found {found}. Set prefix to one of them")
            return sets.get(self.prefix, {})
        if len(sets) > 1 and "" not in sets:
            found = ", ".join(repr(name) for name in sorted(sets))
            raise DataError(
                f"{root} holds {len(sets)} sets of IDX files: {found}. Set prefix to one of them, or move its files to "
                "a folder of their own"
            )
        return sets.get("", next(iter(sets.values()), {}))

    def load(self, split: str, reader: Reader = ALONE) -> Images:  # noqa: ARG002  (one file, or none)
        """Read a split: uint8 pixels of one channel, and labels."""
        return self._load(split, 2)

    def load_some(self, split: str, reader: Reader = ALONE) -> Images:  # noqa: ARG002  (one file, or none)
        """Read a split that need not have every class a network knows."""
        return self._load(split, 1)

    def _load(self, split: str, least: int) -> Images:
        image_file, label_file = self.files(split)
        pixels, labels = _read(image_file, 3), _read(label_file, 1)
        if len(pixels) != len(labels):
            raise DataError(
                f"{image_file} has {counted(len(pixels), 'image')}, {label_file} {counted(len(labels), 'label')}: "
                "expected as many. Use files that belong together"
            )
        pixels = pixels[..., None]
        if self.shape and pixels.shape[1:] != self._declared_shape():
            raise DataError(
                f"{image_file}: images are {size_text(pixels.shape[1:])}, expected {size_text(self._declared_shape())} "
                "as 'shape' says. Correct shape or root"
            )
        names = self._declared_names() or self._counted_names(split, labels, label_file, least)
        return Images(pixels, checked_labels(labels, len(names), str(label_file)), names)

    def _declared_shape(self) -> Shape:
        return (*(self.shape or ())[:2], 1)

    def _declared_names(self) -> tuple[str, ...]:
        return numbered(self.classes) if isinstance(self.classes, int) else self.classes or ()

    def _counted_names(self, split: str, labels: Array, label_file: Path, least: int) -> tuple[str, ...]:
        """Classes are those of the training split, also where another split is read."""
        training = self._files(label_file.parent).get(("train", 1))
        if split != "train" and training:
            labels, label_file = _read(training, 1), training
        return numbered(count_classes(labels, str(label_file), least))


def _name(split: str, rank: int) -> str:
    return f"{_PREFIXES[split]}-{_CONTENTS[rank]}-idx{rank}-ubyte"


def _known(root: Path) -> dict[str, dict[tuple[str, int], Path]]:
    """The IDX files in a folder: what their names begin with -> split and rank -> the file.

    Where a file is there packed and unpacked, or under two spellings, the standard name counts, and unpacked.
    """
    found: dict[str, dict[tuple[str, int], Path]] = {}
    standard = {_name(split, rank) for split in _PREFIXES for rank in _CONTENTS}
    with reading(root):
        names = os.listdir(root)
    for name in sorted(names, key=lambda name: (name.removesuffix(".gz") not in standard, name.endswith(".gz"), name)):
        match = _NAME.fullmatch(name)
        if match and (root / name).is_file():
            split, rank = _SPLITS[match["split"].lower()], _RANKS[match["what"].lower()]
            if int(match["rank"]) == rank:
                found.setdefault(match["prefix"].rstrip("-_. "), {}).setdefault((split, rank), root / name)
    return found


def _read(path: Path, rank: int) -> Array:
    """The values of a file of unsigned bytes with that many dimensions."""
    with ExitStack() as stack:
        stack.enter_context(reading(path))
        stored = stack.enter_context(opened(path))
        size = path.stat().st_size
        zipped = stored.read(2) == _GZIP
        stored.seek(0)
        file = cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=stored))) if zipped else stored
        shape = _header(file, path, rank)
        count = int(np.prod(shape, dtype=object))
        if count > (largest_unpacked(size) if zipped else size):
            raise DataError(
                f"{path} declares {size_text(shape)} = {count:,} values, more than its {size:,} bytes can hold: "
                "it is damaged or cut short. Fetch it again"
            )
        values = np.empty(count, np.uint8)
        found = _fill(file, values)
        if found < count or file.read(1):
            raise DataError(
                f"{path} declares {size_text(shape)} = {count:,} values, found "
                f"{'more' if found == count else f'{found:,}'}: it is damaged or cut short. Fetch it again"
            )
    return values.reshape(shape)


def _header(file: BinaryIO, path: Path, rank: int) -> Shape:
    """The dimensions, once the magic number is found to be that of `rank`-dimensional unsigned bytes."""
    head = file.read(4)
    wanted = bytes((0, 0, _UNSIGNED_BYTE, rank))
    if head != wanted:
        other = next((kind for dims, kind in _CONTENTS.items() if head == wanted[:3] + bytes((dims,))), None)
        hint = f"This is a file of {other}: are two files swapped?" if other else "Is it an IDX file of that kind?"
        raise DataError(
            f"{path} begins with 0x{head.hex() or '(nothing)'}, expected 0x{wanted.hex()} (IDX {_CONTENTS[rank]}, "
            f"unsigned bytes in {counted(rank, 'dimension')}). {hint}"
        )
    dimensions = file.read(4 * rank)
    if len(dimensions) < 4 * rank:
        raise DataError(f"{path} ends inside its header. It is cut short: fetch it again")
    shape = struct.unpack(f">{rank}I", dimensions)
    if 0 in shape:
        raise DataError(f"{path} declares {size_text(shape)} values: there is nothing in it. Fetch it again")
    return shape


def _fill(file: BinaryIO, values: Array) -> int:
    """Read into an array of bytes as far as the file goes, and return how far that is."""
    view = values.data
    done = 0
    while done < len(view):
        got = cast(Any, file).readinto(view[done:])
        if not got:
            break
        done += got
    return done
