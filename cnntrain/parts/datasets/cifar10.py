"""CIFAR-10 in its binary version: 32x32 colour photographs of ten kinds of things.

A file is a series of records of 3,073 bytes: a label, then 1,024 red, 1,024 green and 1,024 blue values (Krizhevsky
2009, "Learning Multiple Layers of Features from Tiny Images").
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cnntrain.core.arrays import Shape
from cnntrain.core.description import Description
from cnntrain.core.errors import DataError
from cnntrain.core.registry import register
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images
from cnntrain.reading.folders import has_any
from cnntrain.reading.input_files import is_there, on_disk
from cnntrain.reading.reader import ALONE, Reader
from cnntrain.reading.records import Records
from cnntrain.reading.well_known import how_to_fetch

_SHAPE: Shape = (32, 32, 3)
_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FILES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
_ADVICE = "Set root to the unpacked folder cifar-10-batches-bin of the binary version (cifar-10-binary.tar.gz)"
_RECORDS = Records("CIFAR-10", (("label", 10),), _SHAPE, ("CIFAR-100", 3074), _ADVICE)


@register("cifar10")
@dataclass(frozen=True)
class Cifar10(Dataset):
    """CIFAR-10, binary version: a folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin.

    A file may hold any number of whole records, so part of the data set is read, too.
    """

    root: str  # the folder

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """Where the folder, or the one the archive unpacks to in it, holds a file of the binary version.

        Raises DataError for the Python version.
        """
        names = [name for files in _FILES.values() for name in files]
        folders = [folder for folder in (path, path / "cifar-10-batches-bin") if has_any(folder, names)]
        for folder in () if folders else (path, path / "cifar-10-batches-py"):
            if _is_pickled(folder):
                raise DataError(f"{folder} holds no CIFAR-10 files that are read. {_hint(folder)}")
        return cls(str(folders[0])) if folders else None

    def splits(self) -> tuple[str, ...]:
        """Those of train and test that have a file. Raises DataError where there is none."""
        root = on_disk(self.root, _advice(self.root), folder=True)
        found = tuple(split for split, names in _FILES.items() if any((root / name).is_file() for name in names))
        if not found:
            raise DataError(f"{root} holds no CIFAR-10 files. {_hint(Path(self.root))}")
        return found

    def describe(self) -> Description:
        """32x32x3 and the ten classes."""
        return Description(_SHAPE, _CLASSES)

    def files(self, split: str) -> tuple[Path, ...]:
        """The five training files, or the test file. Raises DataError where one is missing."""
        root = on_disk(self.root, _advice(self.root), folder=True)
        if split not in _FILES:
            raise DataError(f"{root}: CIFAR-10 has the splits train and test, not {split!r}")
        paths = tuple(root / name for name in _FILES[split])
        missing = [path for path in paths if not is_there(path)]
        if missing:
            raise DataError(
                f"{missing[0]} does not exist ({len(missing)} of {len(paths)} missing). {_hint(Path(self.root))}"
            )
        return paths

    def load(self, split: str, reader: Reader = ALONE) -> Images:  # noqa: ARG002  (one file, or none)
        """Read a split: uint8 pixels, channels last, and labels."""
        labels, pixels = _RECORDS.read(self.files(split))
        return Images(pixels, labels[:, 0], _CLASSES)


def _advice(root: str | Path) -> str:
    """What to do where files are missing."""
    return f"{_ADVICE}; {how_to_fetch(root, 'cifar10')}"


def _is_pickled(root: Path) -> bool:
    """Whether a folder holds the Python version."""
    return (root / "data_batch_1").exists() or (root / "batches.meta").exists()


def _hint(root: Path) -> str:
    """What a folder without the right files probably is."""
    if _is_pickled(root):
        return f"This is the Python (pickled) version: use the binary version. {_ADVICE}"
    if (root / "train.bin").exists() and (root / "test.bin").exists():
        return f"This looks like CIFAR-100. {_ADVICE}"
    inner = root / "cifar-10-batches-bin"
    return f"Did you mean {inner}?" if inner.is_dir() else _advice(root)
