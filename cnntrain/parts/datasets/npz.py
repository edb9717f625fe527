"""NumPy arrays: images and targets under the names Keras made common, in one .npz file or a folder of .npy files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cnntrain.core.arrays import Shape
from cnntrain.core.counts import counted
from cnntrain.core.errors import DataError
from cnntrain.core.registry import register
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images, Pixels
from cnntrain.parts.datasets.labels import checked_labels, count_classes, numbered
from cnntrain.reading.array_files import ADVICE, arrays_of, holds_arrays, is_folder, special_in
from cnntrain.reading.folders import SPECIAL
from cnntrain.reading.input_files import on_disk
from cnntrain.reading.reader import ALONE, Reader


@register("npz")
@dataclass(frozen=True)
class Npz(Dataset):
    """A .npz file with x_train, y_train and, where there are such splits, x_val, y_val, x_test, y_test.

    Or a folder with x_train.npy, y_train.npy and so on. Images of 256 MiB or more are not read into memory but
    sample by sample, if they are not compressed (np.savez, not np.savez_compressed) and not float64; a run ends where
    such a file is overwritten meanwhile.

    x: images (n, height, width) or (n, height, width, channels), uint8, or floats used as they are.
    Arrays may be called the other way round and with words, as MedMNIST's are: train_images, train_labels.
    y: integer labels (n,) or (n, 1), or float values (n, k) for regression. The classes are counted from y_train.
    """

    path: str  # the file, or a folder of .npy files

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """Where it is such a file, or a folder with x_train.npy or that of another split."""
        found = path.suffix.lower() == ".npz" and path.is_file()
        return cls(str(path)) if found or (path.is_dir() and holds_arrays(path)) else None

    def splits(self) -> tuple[str, ...]:
        """Those of train, val and test that have arrays."""
        with arrays_of(self.path, "split") as archive:
            return archive.splits

    def place_of_target(self, split: str, sample: int, column: int, value: float) -> str | None:  # noqa: ARG002
        """Its place in the array: "data.npz: y_train[3, 0]"."""
        return f"{Path(self.path).absolute()}: y_{split}[{sample}, {column}]" if sample >= 0 else None

    def files(self, split: str) -> tuple[Path, ...]:
        """The archive, or the two files of a split."""
        if not is_folder(self.path):
            return (on_disk(self.path, ADVICE, folder=False),)
        with arrays_of(self.path, "split") as arrays:
            return tuple(arrays.file(f"{letter}_{split}") for letter in "xy")

    def left_out(self, split: str) -> Counter[str]:  # noqa: ARG002  (it may have been of any)
        """What is named like a file of arrays and is not one."""
        return Counter({SPECIAL: count} if is_folder(self.path) and (count := special_in(Path(self.path))) else {})

    def load(self, split: str, reader: Reader = ALONE) -> Images:
        """Read a split: pixels uint8 or float32, and labels or float32 values."""
        return self._load(split, reader, some=False)

    def load_some(self, split: str, reader: Reader = ALONE) -> Images:
        """Read a split that need not have every class a network knows, where there may be none for training."""
        return self._load(split, reader, some=True)

    def _load(self, split: str, reader: Reader, some: bool) -> Images:
        with arrays_of(self.path, "split" if some else "train") as archive:
            if split not in archive.splits:
                raise DataError(
                    f"{archive.path} has no split {split!r}, found {', '.join(archive.splits)}. Add x_{split} and "
                    f"y_{split} to it"
                )
            pixels, targets = archive.images(split), archive.targets(split)
            if len(pixels) != len(targets):
                raise DataError(
                    f"{archive.path}: x_{split} has {counted(len(pixels), 'sample')}, y_{split} {len(targets):,}: "
                    f"expected as many. {_together(archive.shape(f'x_{split}'), len(targets))}"
                )
            doubt = channels_first(pixels.shape)
            if doubt:
                raise DataError(f"{archive.path}: x_{split} {_looks_like_channels_first(pixels.shape)}")
            if doubt is None and split == "train":
                reader.warn(f"{archive.path}: x_train {_looks_like_channels_first(pixels.shape)}, if it is")
            if split != "train":
                archive.compare(split, pixels, targets)
            if targets.dtype.kind == "f":
                return Images(pixels, targets, ())
            named = "train" if "train" in archive.splits else split
            training = targets if split == named else archive.targets(named)
            classes = count_classes(training, f"{archive.path}: y_{named}", 1 if some else 2)
            return Images(pixels, checked_labels(targets, classes, f"{archive.path}: y_{split}"), numbered(classes))

    def unlabelled(self) -> tuple[str, Pixels]:
        """The images of the first of test, val and train that is there, whatever its targets, even none."""
        with arrays_of(self.path, "images") as archive:
            split = next(split for split in ("test", "val", "train") if split in archive.splits)
            return split, archive.images(split)


def channels_first(shape: Shape) -> bool | None:
    """Whether images (n, height, width, channels) seem to be (n, channels, height, width): True where they must be.

    Images of up to four channels, or of equal sides, are as they should be. More channels than rows are a sign of the
    opposite: a certain one where what would be the height is 4 or less, or what would be the width is as much as the
    channels. One row that is longer than the number of channels is a signal. None where there is only reason to doubt.
    """
    _, first, second, last = shape
    if last <= 4 or first == second:
        return False
    if first == 1 and second >= last:
        return second == last
    if (first <= 4 and last > first) or (second == last > first):
        return True
    return None if last > first or second == last else False


def _looks_like_channels_first(shape: Shape) -> str:
    return (
        f"has shape {shape}, which looks like channels first, expected (n, height, width, channels). Save "
        "x.transpose(0, 2, 3, 1)"
    )


def _together(shape: Shape, samples: int) -> str:
    """What to do where there are not as many images as targets."""
    if samples in shape[1:] and shape.count(samples) == 1:
        return f"Axis {shape.index(samples)} of the images is as long: save np.moveaxis(x, {shape.index(samples)}, 0)"
    return "Save arrays that belong together"
