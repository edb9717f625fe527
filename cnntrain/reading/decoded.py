"""Decoded files: what many files hold as one array, mapped into memory from a file that is made once.

The file lies in the cache under the SHA-256 of everything that decides its content: what the files hold, and how they
are decoded. So a changed file or setting makes another one, and nothing in it is ever out of date. It is written
whole or not at all, any number of runs may make or use it at a time, and it may be removed at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import struct
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import cnntrain
from cnntrain.core import files, strict_json
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.errors import DataError, OutOfMemoryError, StorageError
from cnntrain.reading.input_files import advised, device_failed, opened, reading
from cnntrain.reading.reader import CACHE, Reader

Sample = tuple[Path, ...]  # the files one sample is read from; the first names it in messages

_FORMAT = 1  # of the files in the cache
_SAY_EVERY = 10.0  # seconds between two words about how far decoding is
_BLOCK = 2**20  # bytes of a file hashed at a time
_LENGTH = struct.Struct("<Q")  # of the description, at the very end


class Content(NamedTuple):
    """What one sample holds."""

    values: Array
    note: str = ""  # what the user should know of it, to follow "17 images "


@dataclass(frozen=True)
class Recipe:
    """How samples are decoded. `settings` must tell apart whatever `decode` does differently."""

    decode: Callable[[Sample], Content]  # from any thread; raises DataError
    settings: Mapping[str, Any]
    noun: str  # what samples are called in messages: "images"
    skip: bool = False  # leave out what cannot be read


@dataclass
class _Found:
    """What is learned of the samples while they are decoded; the description at the end of a file."""

    shape: Shape = ()
    dtype: str = ""
    count: int = 0  # samples that could be read
    failures: list[tuple[int, int, str]] = field(default_factory=list)  # which could not, which of its files, and why
    notes: dict[str, tuple[int, int]] = field(default_factory=dict)  # note -> of how many, the first of them


@dataclass(frozen=True)
class Decoded:
    """The samples that could be read.

    values    (n, *shape), read-only where it is mapped into memory
    kept      (n,) which of the samples asked for these are, ascending
    skipped   why the others were left out, each naming its file
    """

    values: Array
    kept: Array
    skipped: tuple[str, ...]

    def names(self, samples: Sequence[Sample]) -> tuple[str, ...]:
        """Of the samples asked for, the file of each one that could be read; the first where it has several."""
        return tuple(str(samples[index][0]) for index in self.kept.tolist())


def decoded(samples: Sequence[Sample], recipe: Recipe, reader: Reader) -> Decoded:
    """All samples decoded, by the reader's threads, into its cache, or from there where that was done before.

    Without a cache, or where that cannot be written, they are held in memory. Raises DataError for samples that
    cannot be read, unless they are to be skipped, or have different shapes; OutOfMemoryError where neither the cache
    nor the memory has room.
    """
    if reader.cache is None:
        found, values = _in_memory(samples, recipe, reader)
    else:
        path = reader.cache / f"{_key(samples, recipe, reader)}.decoded"
        try:
            if not path.exists():
                _write(path, samples, recipe, reader)
            found, values = _open(path)
        except StorageError as error:
            reader.warn(f"{error}. Going on without a cache: {recipe.noun} are held in memory")
            found, values = _in_memory(samples, recipe, reader)
    return _judged(found, values, samples, recipe, reader)


def _judged(found: _Found, values: Array, samples: Sequence[Sample], recipe: Recipe, reader: Reader) -> Decoded:
    """Tell what was found. Raises DataError where samples that could not be read are not to be skipped, or all are."""
    reasons = tuple(f"{samples[i][file]}: {why}" if file >= 0 else why for i, file, why in found.failures)
    if reasons:
        bad = f"{len(reasons):,} of {len(samples):,} {recipe.noun} unreadable, first: {reasons[0]}"
        if not recipe.skip or not found.count:
            raise DataError(advised(bad))
        reader.warn(f"{bad}. Skipped, as the config says")
    for note, (count, first) in found.notes.items():
        reader.warn(f"{count:,} {recipe.noun} {note}; the first is {samples[first][0]}")
    kept = np.setdiff1d(np.arange(len(samples)), [index for index, *_ in found.failures], assume_unique=True)
    return Decoded(values, kept.astype(np.int64), reasons)


def _in_memory(samples: Sequence[Sample], recipe: Recipe, reader: Reader) -> tuple[_Found, Array]:
    found = _Found()
    values: Array | None = None
    for index, one in enumerate(_decode_all(samples, recipe, reader, found)):
        if values is None:
            needed = len(samples) * one.nbytes
            if reader.memory is not None and needed > reader.memory:
                raise OutOfMemoryError(
                    f"{len(samples):,} {recipe.noun} need {needed / 1e9:,.1f} GB of memory, {reader.memory / 1e9:,.1f} "
                    f"GB are there. With data.cache: true they are kept in {CACHE}, where the disk has room for them"
                )
            values = np.empty((len(samples), *one.shape), one.dtype)
        values[index] = one
    return found, np.empty(0) if values is None else values[: found.count]


def _decode_all(
    samples: Sequence[Sample], recipe: Recipe, reader: Reader, found: _Found
) -> Generator[Array, None, None]:
    """The values of every sample that can be read, in order; fills in `found`. Raises DataError for unequal shapes."""

    def attempt(sample: Sample) -> Content | DataError:
        try:
            return recipe.decode(sample)
        except DataError as error:
            return error

    with contextlib.closing(reader.map(attempt, samples)) as contents:
        first: Sample = ()
        told = time.monotonic()
        for index, (sample, content) in enumerate(zip(samples, contents, strict=True)):
            if isinstance(content, DataError):
                found.failures.append((index, *_blamed(str(content), sample)))
                continue
            values = content.values
            if not found.count:
                first, found.shape, found.dtype = sample, values.shape, values.dtype.str
            if values.shape != found.shape:
                raise DataError(
                    f"{sample[0]} is {_size(values.shape)} (height x width), {first[0]} is {_size(found.shape)}: "
                    "expected one size. Set size: [height, width] to resize them"
                )
            if content.note:
                count, earliest = found.notes.get(content.note, (0, index))
                found.notes[content.note] = (count + 1, earliest)
            found.count += 1
            if time.monotonic() - told > _SAY_EVERY:
                reader.say(f"decoded {index + 1:,} of {len(samples):,} {recipe.noun}")
                told = time.monotonic()
            yield values


def _blamed(message: str, sample: Sample) -> tuple[int, str]:
    """Which file of a sample a message begins with, and the rest of it; -1 and all of it where it begins otherwise.

    So a description holds no path: files are known by what they hold, wherever they lie.
    """
    for index, path in enumerate(sample):
        if message.startswith(f"{path}: "):
            return index, message.removeprefix(f"{path}: ")
    return -1, message


def _size(shape: Shape) -> str:
    return "x".join(map(str, shape[:2]))


# -- the file in the cache -------------------------------------------------------------------------------------------


def _key(samples: Sequence[Sample], recipe: Recipe, reader: Reader) -> str:
    """What decides the decoded values: the bytes of every file, and how they are decoded."""
    sha = hashlib.sha256(strict_json.encode({"cnntrain": cnntrain.__version__, **recipe.settings}).encode())
    for digest in reader.map(_digest, samples):
        sha.update(digest)
    return sha.hexdigest()[:32]


def _digest(sample: Sample) -> bytes:
    """The SHA-256 of the files of a sample; of one that cannot be read, of nothing: decoding will say why.

    Raises StorageError where the device fails.
    """
    whole = hashlib.sha256()
    for path in sample:
        sha = hashlib.sha256()
        try:
            with opened(path) as file:
                while block := file.read(_BLOCK):
                    sha.update(block)
        except OSError as error:
            if device_failed(error):
                with reading(path):
                    raise
            sha = hashlib.sha256()
        whole.update(sha.digest())
    return whole.digest()


def _write(path: Path, samples: Sequence[Sample], recipe: Recipe, reader: Reader) -> None:
    """Decode into the cache. Raises StorageError where it cannot be written, DataError as `decoded` does."""
    files.make_directory(path.parent)
    files.remove_abandoned(path.parent)
    reader.say(f"decoding {len(samples):,} {recipe.noun} into {path.parent}, once")
    with contextlib.closing(_chunks(path, samples, recipe, reader)) as chunks:
        files.write_atomic(path, chunks)


def _chunks(
    path: Path, samples: Sequence[Sample], recipe: Recipe, reader: Reader
) -> Generator[memoryview | bytes, None, None]:
    """The bytes of a file of the cache. Raises StorageError as soon as it is clear that they will not find room."""
    found = _Found()
    for values in _decode_all(samples, recipe, reader, found):
        if found.count == 1:
            files.require_space(path.parent, len(samples) * values.nbytes, f"the decoded {recipe.noun}")
        yield np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
    if found.failures and not (recipe.skip and found.count):
        _judged(found, np.empty(0), samples, recipe, reader)  # raises: nothing is kept of them
    text = strict_json.encode({"format": _FORMAT, **vars(found)}).encode()
    yield text
    yield _LENGTH.pack(len(text))


def _open(path: Path) -> tuple[_Found, Array]:
    """A file of the cache, its values mapped into memory. Raises StorageError where it is not what was written."""
    damaged = StorageError(f"{path} is damaged. Remove it: it will be made again")
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - _LENGTH.size, 0))
            length = _LENGTH.unpack(file.read())[0]
            file.seek(max(size - _LENGTH.size - length, 0))
            said = strict_json.decode(file.read(min(length, size)).decode())
        found = _Found(tuple(said["shape"]), said["dtype"], said["count"], said["failures"], said["notes"])
        shape = (found.count, *found.shape)
        if said["format"] != _FORMAT or math.prod(shape) * np.dtype(found.dtype).itemsize != size - length - 8:
            raise damaged
        return found, np.memmap(path, found.dtype, "r", shape=shape)
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise damaged from error
