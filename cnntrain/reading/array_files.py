"""Array files are NumPy's: one .npz file, or a folder of .npy files, with x_train, y_train and so on.

They are read as a stranger's files: what a directory and headers claim is checked before anything is
allocated, and no pickle is ever opened.
"""

from __future__ import annotations

import contextlib
import re
import struct
import tokenize
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.description import size_text
from cnntrain.core.errors import DataError, printable
from cnntrain.core.registry import did_you_mean
from cnntrain.reading.input_files import is_special, largest_unpacked, on_disk, opened, reading
from cnntrain.reading.stored import Stored, StoredFile, checksums

_SPLITS = ("train", "val", "test")
_KEYS = tuple(f"{letter}_{split}" for split in _SPLITS for letter in "xy")
Least = Literal["train", "split", "images"]
_SPELT = {split: split for split in _SPLITS}
_LETTERS = dict.fromkeys(("x", "images", "image", "imgs", "img"), "x") | dict.fromkeys(
    ("y", "labels", "label", "targets", "target"), "y"
)
ADVICE = (
    "Save it with np.savez(path, x_train=..., y_train=..., x_test=..., y_test=...), x_val and y_val if you have them"
)
STORED = 2**28  # bytes from which an array stays on disk: its file must not be overwritten meanwhile
_BLOCK = 2**20
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # of a zip's member; its name and extra field, of these lengths, follow
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


class _Header(NamedTuple):
    """What an array is said to be, and where its values begin after the header."""

    shape: Shape
    dtype: np.dtype[Any]
    fortran: bool
    offset: int


class ArrayFiles:
    """Arrays by the names that mean something, and what their headers say; subclasses know where they come from."""

    def __init__(self, path: Path, names: Iterable[str], least: Least) -> None:
        """Raises DataError for names that are unknown, doubled, or without their partner, and without the least.

        That is the training split, any split, or any images, whose targets need not be there.
        """
        self.path = path
        self._stored: dict[str, str] = {}  # what an array is called in the file
        for name in names:
            key = meant(name)
            if key is None:
                raise DataError(
                    f"{path} has an array {printable(name[:40])!r}, expected only {', '.join(_KEYS)}"
                    f"{did_you_mean(name[:40], _KEYS)}. {ADVICE}"
                )
            if key in self._stored:
                same = f" ({self._stored[key]} and {name} mean the same)" if self._stored[key] != name else ""
                raise DataError(f"{path} holds {key!r} twice{same}, expected each array once. {ADVICE}")
            self._stored[key] = name
        found = [*self._stored]
        wanted = {*found, *(f"{'y' if name[0] == 'x' else 'x'}{name[1:]}" for name in found)}
        if least == "images":
            wanted = set() if any(name.startswith("x_") for name in found) else {"x_test"}
        elif least == "train" or not found:
            wanted |= {"x_train", "y_train"}
        missing = [name for name in _KEYS if name in wanted and name not in found]
        if missing:
            raise DataError(f"{path} has no array {missing[0]!r}, found {', '.join(found) or 'none'}. {ADVICE}")
        self.splits = tuple(split for split in _SPLITS if f"x_{split}" in found)

    def file(self, name: str) -> Path:
        """The file of an array. Raises DataError where there is none."""
        place = self.path / f"{self._stored.get(name, name)}.npy"
        return on_disk(place, ADVICE, folder=False)

    def open(self, name: str) -> IO[bytes]:
        """The bytes of an array, header and all."""
        raise NotImplementedError

    def sizes(self, name: str) -> tuple[int, int]:
        """How many bytes `open` gives, and how many there can be at most, by what lies on disk."""
        raise NotImplementedError

    def place(self, name: str) -> tuple[Path, int] | None:
        """The file in which an array lies uncompressed, and where it begins there; None where it is compressed."""
        raise NotImplementedError

    def images(self, split: str) -> Array | Stored:
        """The images of a split as (n, h, w, c), uint8 or float32, finite."""
        name = f"x_{split}"
        where = f"{self.path}: {name}"
        pixels = self._array(name, "uint8, float32 or float64", lambda dtype: dtype == np.uint8 or _is_float(dtype))
        if pixels.ndim == 3:
            shape = (*pixels.shape[1:], 1)
            pixels = pixels.reshaped(*shape) if isinstance(pixels, Stored) else pixels.reshape(len(pixels), *shape)
        if pixels.ndim != 4 or 0 in pixels.shape:
            raise DataError(
                f"{where} has shape {pixels.shape}, expected (n, height, width) or (n, height, width, channels), "
                "none of them 0. Reshape it"
            )
        if isinstance(pixels, Stored):
            if pixels.dtype.kind == "f":
                _check_finite((pixels[rows] for rows in pixels.blocks()), where)
            return pixels
        return finite(pixels, where) if pixels.dtype.kind == "f" else pixels

    def targets(self, split: str) -> Array:
        """The targets of a split: integers (n,), not negative, or float32 (n, k), finite."""
        name = f"y_{split}"
        where = f"{self.path}: {name}"
        values = self._array(name, "integers, float32 or float64", lambda dtype: dtype.kind in "iu" or _is_float(dtype))
        if isinstance(values, Stored):
            values = values[:]
        if values.dtype.kind == "f":
            if values.ndim != 2 or values.shape[1] == 0:
                raise DataError(
                    f"{where} has {values.dtype} values of shape {values.shape}, expected integers (n,) for classes or "
                    "floats (n, k) for regression. Save y.astype(int), or y.reshape(n, k)"
                )
            return finite(values, where)
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

    def compare(self, split: str, pixels: Array | Stored, targets: Array) -> None:
        """Raise DataError where a split differs from the training split in image shape or kind of targets."""
        if "train" not in self.splits:
            return
        shape, dtype, *_ = self._header("x_train")
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
        shape, dtype, *_ = self._header("y_train")
        regression = targets.dtype.kind == "f"
        if (dtype.kind == "f") != regression or (regression and shape[1:] != targets.shape[1:]):
            raise DataError(
                f"{self.path}: y_{split} is {targets.dtype} of shape {targets.shape}, y_train {dtype} of shape "
                f"{shape}: expected the same kind. Save labels for all splits or values for all"
            )

    def _array(self, name: str, expected: str, accepts: Any) -> Array | Stored:
        """The values of an array whose type is accepted, in this machine's byte order; large ones stay where they lie.

        These have been read through once, which compares checksums where there are any.
        """
        header = self._header(name)
        if not accepts(header.dtype):
            raise DataError(f"{self.path}: {name} holds {header.dtype}, expected {expected}. Convert it before saving")
        place = self.place(name)
        size = self.sizes(name)[0] - header.offset
        if place and size >= STORED and header.dtype in (np.uint8, np.float32) and not header.fortran:
            with reading(self.path):
                return self._left_there(name, header, *place)
        with reading(self.path), self.open(name) as stream:
            stream.read(header.offset)
            data = stream.read()
            if len(data) != size:
                raise EOFError(f"{name} ends early")
        values = np.frombuffer(data, header.dtype)
        values = values.reshape(header.shape[::-1]).T if header.fortran else values.reshape(header.shape)
        return np.array(values, header.dtype.newbyteorder("="), order="C")

    def _left_there(self, name: str, header: _Header, path: Path, offset: int) -> Stored:
        """An array where it lies, with the checksums of its samples as they are now."""
        row = int(np.prod(header.shape[1:], dtype=np.int64)) * header.dtype.itemsize
        many = max(_BLOCK // row, 1) * row
        with self.open(name) as stream:
            stream.read(header.offset)
            blocks = iter(lambda: stream.read(many), b"")
            sums = [checksums(np.frombuffer(block, np.uint8).reshape(-1, row)) for block in blocks]
        advice = "Bring back the file as it was, and run the command again"
        return Stored(
            StoredFile(path), offset + header.offset, header.shape, header.dtype, np.concatenate(sums), advice
        )

    def shape(self, name: str) -> Shape:
        """The shape an array is said to have."""
        return self._header(name).shape

    def _header(self, name: str) -> _Header:
        """What an array is said to be, checked against what is there."""
        where = f"{self.path}: {name}"
        with reading(self.path):
            try:
                with warnings.catch_warnings(action="ignore"), self.open(name) as stream:
                    version = np.lib.format.read_magic(stream)
                    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                    shape, fortran, dtype = read[version](stream, max_header_size=_MAX_HEADER)
                    offset = stream.tell()
            except _BROKEN_HEADER as error:
                raise DataError(f"{where} is no NumPy array ({_first_line(error)}). {ADVICE}") from error
        if dtype.hasobject or dtype.kind not in "iuf":
            raise DataError(f"{where} holds {dtype}, expected plain numbers. Convert it before saving")
        declared = int(np.prod(shape, dtype=object)) * dtype.itemsize
        found, limit = self.sizes(name)
        if min(shape, default=0) < 0 or declared != found - offset or declared > limit:
            raise DataError(
                f"{where} declares shape {shape} of {dtype}, {declared:,} bytes, found "
                f"{min(found - offset, limit):,}: it is damaged. Save it again"
            )
        return _Header(tuple(shape), dtype, fortran, offset)


class _Folder(ArrayFiles):
    """A folder of .npy files."""

    def __init__(self, path: Path, least: Least) -> None:
        with reading(path):
            names = sorted(file.stem for file in path.iterdir() if file.suffix == ".npy" and not is_special(file))
        super().__init__(path, names, least)

    def open(self, name: str) -> IO[bytes]:
        return opened(self._file(name))

    def sizes(self, name: str) -> tuple[int, int]:
        size = self._file(name).stat().st_size
        return size, size

    def place(self, name: str) -> tuple[Path, int]:
        return self._file(name), 0

    def _file(self, name: str) -> Path:
        return self.path / f"{self._stored[name]}.npy"


class _Archive(ArrayFiles):
    """An open .npz file whose directory has been checked."""

    def __init__(self, path: Path, least: Least) -> None:
        with reading(path):
            with opened(path) as file:
                if file.read(6) == b"\x93NUMPY":
                    raise DataError(f"{path} is a single array (.npy), expected an archive (.npz). {ADVICE}")
            try:
                self._zip = zipfile.ZipFile(path)
            except (ValueError, OverflowError, NotImplementedError, struct.error) as error:
                raise zipfile.BadZipFile(str(error)) from error
        try:
            super().__init__(path, (info.filename.removesuffix(".npy") for info in self._zip.infolist()), least)
        except BaseException:
            self._zip.close()
            raise
        self._members = {info.filename.removesuffix(".npy"): info for info in self._zip.infolist()}

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def open(self, name: str) -> IO[bytes]:
        info = self._members[self._stored[name]]
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(
                f"{self.path}: {name} is encrypted or compressed in an unusual way. Save it with np.savez_compressed"
            )
        return self._zip.open(info)

    def sizes(self, name: str) -> tuple[int, int]:
        info = self._members[self._stored[name]]
        if info.compress_size > self.path.stat().st_size:
            raise DataError(f"{self.path}: {name} claims to be larger than the file. It is damaged: save it again")
        packed = info.compress_type == zipfile.ZIP_DEFLATED
        return info.file_size, largest_unpacked(info.compress_size) if packed else info.compress_size

    def place(self, name: str) -> tuple[Path, int] | None:
        info = self._members[self._stored[name]]
        if info.compress_type != zipfile.ZIP_STORED:
            return None
        with reading(self.path), opened(self.path) as file:
            file.seek(info.header_offset)
            name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))[-2:]
        return self.path, info.header_offset + _LOCAL_HEADER.size + name_length + extra_length


def holds_arrays(folder: Path) -> bool:
    """Whether the images of a split lie in a folder."""
    with reading(folder):
        return any(file.suffix == ".npy" and (meant(file.stem) or "").startswith("x_") for file in folder.iterdir())


def special_in(folder: Path) -> int:
    """How many pipes, sockets and devices are named like files of arrays."""
    with reading(folder):
        return sum(file.suffix == ".npy" and is_special(file) for file in folder.iterdir())


def meant(name: str) -> str | None:
    """Which of the arrays a name means ("train_images", as MedMNIST has it, means "x_train"); None for others."""
    words = re.split(r"[_.\- ]", name.casefold())
    letters = [_LETTERS[word] for word in words if word in _LETTERS]
    splits = [_SPELT[word] for word in words if word in _SPELT]
    return f"{letters[0]}_{splits[0]}" if len(words) == 2 and letters and splits else None


def is_folder(path: str) -> bool:
    """Whether the arrays are a folder's. Raises DataError where that cannot be told."""
    with reading(Path(path).absolute()):
        return Path(path).is_dir()


@contextlib.contextmanager
def arrays_of(path: str, least: Least = "train") -> Iterator[ArrayFiles]:
    """The arrays of an archive or a folder. Raises DataError where there is not the least that is asked for."""
    folder = is_folder(path)
    place = on_disk(path, ADVICE, folder=folder)
    if folder:
        yield _Folder(place, least)
        return
    with contextlib.closing(_Archive(place, least)) as archive:
        yield archive


def _is_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" and dtype.itemsize in (4, 8)


def finite(values: Array, where: str) -> Array:
    """Values as float32. Raises DataError for the first that is NaN, infinite, or becomes so."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = values.astype(np.float32, copy=False)
    _check_finite([values], where)
    return values


def _check_finite(blocks: Iterable[Array], where: str) -> None:
    """Raise DataError for the first sample of some arrays, one after the other, that is not finite throughout."""
    count, wrong = 0, []
    for values in blocks:
        with np.errstate(over="ignore", invalid="ignore"):
            total = values.sum(dtype=np.float64)  # finite if and only if every value is
        if not np.isfinite(total):
            wrong += (count + np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))).tolist()
        count += len(values)
    if wrong:
        raise DataError(
            f"{where}: sample {wrong[0]:,} holds NaN or an infinity ({len(wrong):,} such), expected finite "
            "numbers of float32. Mend or remove them"
        )


def _first_line(error: BaseException) -> str:
    return str(error).split("\n")[0][:120]
