"""A NumPy archive: one .npz file with images and targets under the names Keras made common.

An archive is read as a stranger's file: what its directory and its headers claim is compared before anything is
allocated, and no pickle is ever opened.
"""

from __future__ import annotations

import struct
import tokenize
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnntrain.arrays import Array, Shape
from cnntrain.datasets.base import Dataset, Images, checked_labels, count_classes, numbered, size_text
from cnntrain.errors import DataError
from cnntrain.reading import DEFLATE_RATIO, on_disk, reading
from cnntrain.registry import did_you_mean, register

# isort: split
import numpy as np

_SPLITS = ("train", "val", "test")
_KEYS = tuple(f"{letter}_{split}" for split in _SPLITS for letter in "xy")
_ADVICE = "Save it with np.savez(path, x_train=..., y_train=..., x_test=..., y_test=...), x_val and y_val if there are"
_MAX_HEADER = 10_000  # bytes; NumPy's own limit
_BROKEN_HEADER = (  # what NumPy and zipfile raise for headers that make no sense; MemoryError is the parser's, too deep
    ValueError,
    TypeError,
    KeyError,
    SyntaxError,
    OverflowError,
    RuntimeError,
    MemoryError,
    struct.error,
    tokenize.TokenError,
)


@register("npz")
@dataclass(frozen=True)
class Npz(Dataset):
    """A .npz file with x_train, y_train and, where there are such splits, x_val, y_val, x_test, y_test.

    x: images (n, height, width) or (n, height, width, channels), uint8, or floats used as they are.
    y: integer labels (n,) or (n, 1), or float values (n, k) for regression. The classes are counted from y_train.
    """

    path: str

    def splits(self) -> tuple[str, ...]:
        """Those of train, val and test that have arrays."""
        with _Archive(self.path) as archive:
            return archive.splits

    def files(self, split: str) -> tuple[Path, ...]:  # noqa: ARG002  (one file holds them all)
        """The archive."""
        return (on_disk(self.path, _ADVICE, folder=False),)

    def load(self, split: str) -> Images:
        """Read a split: pixels uint8 or float32, and labels or float32 values."""
        with _Archive(self.path) as archive:
            if split not in archive.splits:
                raise DataError(
                    f"{archive.path} has no split {split!r}, found {', '.join(archive.splits)}. Add x_{split} and "
                    f"y_{split} to it"
                )
            pixels, targets = archive.images(split), archive.targets(split)
            if len(pixels) != len(targets):
                raise DataError(
                    f"{archive.path}: x_{split} has {len(pixels):,} samples, y_{split} {len(targets):,}: expected as "
                    "many. Save arrays that belong together"
                )
            if split != "train":
                archive.compare(split, pixels, targets)
            if targets.dtype.kind == "f":
                return Images(pixels, targets, ())
            training = targets if split == "train" else archive.targets("train")
            classes = count_classes(training, f"{archive.path}: y_train")
            return Images(pixels, checked_labels(targets, classes, f"{archive.path}: y_{split}"), numbered(classes))


class _Archive:
    """An open .npz file whose directory has been checked: members that are wanted, and what their headers say."""

    def __init__(self, path: str) -> None:
        self.path = on_disk(path, _ADVICE, folder=False)

    def __enter__(self) -> _Archive:
        with reading(self.path):
            with open(self.path, "rb") as file:
                if file.read(6) == b"\x93NUMPY":
                    raise DataError(f"{self.path} is a single array (.npy), expected an archive (.npz). {_ADVICE}")
            try:
                self._zip = zipfile.ZipFile(self.path)
            except (ValueError, OverflowError, NotImplementedError, struct.error) as error:
                raise zipfile.BadZipFile(str(error)) from error
        try:
            self._members = self._directory()
        except BaseException:
            self._zip.close()
            raise
        self.splits = tuple(split for split in _SPLITS if f"x_{split}" in self._members)
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def _directory(self) -> dict[str, zipfile.ZipInfo]:
        """Array name -> member. Raises DataError for names that are unknown, doubled, or without their partner."""
        members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            name = info.filename.removesuffix(".npy")
            if name not in _KEYS:
                raise DataError(
                    f"{self.path} has an array {name[:40]!r}, expected only {', '.join(_KEYS)}"
                    f"{did_you_mean(name[:40], _KEYS)}. {_ADVICE}"
                )
            if name in members:
                raise DataError(f"{self.path} holds {name!r} twice, expected each array once. {_ADVICE}")
            members[name] = info
        wanted = {"x_train", "y_train", *members}
        wanted |= {f"{'y' if name[0] == 'x' else 'x'}{name[1:]}" for name in members}
        missing = [name for name in _KEYS if name in wanted and name not in members]
        if missing:
            raise DataError(f"{self.path} has no array {missing[0]!r}, found {', '.join(members) or 'none'}. {_ADVICE}")
        return members

    def images(self, split: str) -> Array:
        """The images of a split as (n, h, w, c), uint8 or float32, finite."""
        name = f"x_{split}"
        where = f"{self.path}: {name}"
        pixels = self._array(name, "uint8, float32 or float64", lambda dtype: dtype == np.uint8 or _is_float(dtype))
        if pixels.ndim == 3:
            pixels = pixels[..., None]
        if pixels.ndim != 4 or 0 in pixels.shape:
            raise DataError(
                f"{where} has shape {pixels.shape}, expected (n, height, width) or (n, height, width, channels), "
                "none of them 0. Reshape it"
            )
        _, first, second, last = pixels.shape
        if first in (1, 3) and second == last > 4:
            raise DataError(
                f"{where} has shape {pixels.shape}, which looks like channels first, expected (n, height, width, "
                "channels). Save x.transpose(0, 2, 3, 1)"
            )
        return _finite(pixels, where) if pixels.dtype.kind == "f" else pixels

    def targets(self, split: str) -> Array:
        """The targets of a split: integers (n,), not negative, or float32 (n, k), finite."""
        name = f"y_{split}"
        where = f"{self.path}: {name}"
        values = self._array(name, "integers, float32 or float64", lambda dtype: dtype.kind in "iu" or _is_float(dtype))
        if values.dtype.kind == "f":
            if values.ndim != 2 or values.shape[1] == 0:
                raise DataError(
                    f"{where} has {values.dtype} values of shape {values.shape}, expected integers (n,) for classes or "
                    "floats (n, k) for regression. Save y.astype(int), or y.reshape(n, k)"
                )
            return _finite(values, where)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1:
            raise DataError(
                f"{where} has integers of shape {values.shape}, expected labels (n,). Save y.argmax(1) for one-hot "
                "rows, y.astype('float32') for regression"
            )
        negative = np.flatnonzero(values < 0)
        if len(negative):
            raise DataError(
                f"{where}: label {int(values[negative[0]])} at index {int(negative[0]):,} ({len(negative):,} such), "
                "expected labels from 0 on. Renumber them"
            )
        return values

    def compare(self, split: str, pixels: Array, targets: Array) -> None:
        """Raise DataError where a split differs from the training split in image shape or kind of targets."""
        shape, dtype = self._header("x_train")[:2]
        shape = (*shape, 1) if len(shape) == 3 else shape
        if shape[1:] != pixels.shape[1:]:
            raise DataError(
                f"{self.path}: images of x_{split} are {size_text(pixels.shape[1:])}, of x_train "
                f"{size_text(shape[1:])}: expected the same. Save images of one size"
            )
        if (dtype == np.uint8) != (pixels.dtype == np.uint8):
            raise DataError(
                f"{self.path}: x_{split} is {pixels.dtype}, x_train {dtype}: expected the same range of pixels. "
                "Save both as uint8 or both as floats"
            )
        shape, dtype = self._header("y_train")[:2]
        regression = targets.dtype.kind == "f"
        if (dtype.kind == "f") != regression or (regression and shape[1:] != targets.shape[1:]):
            raise DataError(
                f"{self.path}: y_{split} is {targets.dtype} of shape {targets.shape}, y_train {dtype} of shape "
                f"{shape}: expected the same kind. Save labels for all splits or values for all"
            )

    def _array(self, name: str, expected: str, accepts: Any) -> Array:
        """The values of a member whose type is accepted, in this machine's byte order."""
        shape, dtype, fortran, offset = self._header(name)
        if not accepts(dtype):
            raise DataError(f"{self.path}: {name} holds {dtype}, expected {expected}. Convert it before saving")
        with reading(self.path), self._zip.open(self._members[name]) as member:
            member.read(offset)
            data = member.read()
            if len(data) != self._members[name].file_size - offset:
                raise EOFError(f"{name} ends early")
        values = np.frombuffer(data, dtype)
        values = values.reshape(shape[::-1]).T if fortran else values.reshape(shape)
        return np.array(values, dtype.newbyteorder("="), order="C")

    def _header(self, name: str) -> tuple[Shape, np.dtype[Any], bool, int]:
        """Shape, dtype, column order and where the values begin; what it claims is found to be what is there."""
        info = self._members[name]
        where = f"{self.path}: {name}"
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"{where} is encrypted or packed in an unusual way. Save it with np.savez_compressed")
        with reading(self.path):
            try:
                with warnings.catch_warnings(action="ignore"), self._zip.open(info) as member:
                    version = np.lib.format.read_magic(member)
                    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                    shape, fortran, dtype = read[version](member, max_header_size=_MAX_HEADER)
                    offset = member.tell()
            except _BROKEN_HEADER as error:
                raise DataError(f"{where} is no NumPy array ({_first_line(error)}). {_ADVICE}") from error
        if dtype.hasobject or dtype.kind not in "iuf":
            raise DataError(f"{where} holds {dtype}, expected plain numbers. Convert it before saving")
        bytes_declared = int(np.prod(shape, dtype=object)) * dtype.itemsize
        packed = info.compress_size * (DEFLATE_RATIO if info.compress_type == zipfile.ZIP_DEFLATED else 1)
        if min(shape, default=0) < 0 or bytes_declared != info.file_size - offset or bytes_declared > packed:
            raise DataError(
                f"{where} declares shape {shape} of {dtype}, {bytes_declared:,} bytes, found "
                f"{min(info.file_size - offset, packed):,}: it is damaged. Save it again"
            )
        if info.compress_size > self.path.stat().st_size:
            raise DataError(f"{where} claims to be larger than the file. It is damaged: save it again")
        return tuple(shape), dtype, fortran, offset


def _is_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" and dtype.itemsize in (4, 8)


def _finite(values: Array, where: str) -> Array:
    """Values as float32. Raises DataError for the first that is NaN, infinite, or becomes so."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = values.astype(np.float32, copy=False)
        total = values.sum(dtype=np.float64)  # finite if and only if every value is
    if not np.isfinite(total):
        wrong = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
        raise DataError(
            f"{where}: sample {int(wrong[0]):,} holds NaN or an infinity ({len(wrong):,} such), expected finite "
            "numbers of float32. Mend or remove them"
        )
    return values


def _first_line(error: BaseException) -> str:
    return str(error).split("\n")[0][:120]
