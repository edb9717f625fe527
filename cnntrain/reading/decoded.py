"""Decoded files: the contents of many files as one array, read from a file that is made once.

The file lies in the cache under the SHA-256 of everything that decides its content: what the files held when they were
decoded, and how they were decoded. So a changed file or setting makes another one, and nothing in it is ever out of
date (digests.py says which files are read again for that). It is written
whole or not at all, any number of runs may make or use it at a time, and it may be removed at any time.

Damage on the disk is found: every sample is compared with its checksum when a run begins, and again
whenever it is read. What could not be decoded is tried again by every run, since the reason may have passed.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import struct
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import cnntrain
from cnntrain.core import files, strict_json
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.directories import make_directory
from cnntrain.core.errors import DataError, OutOfMemoryError, StorageError
from cnntrain.core.storage import require_space
from cnntrain.core.watchdog import StandstillError
from cnntrain.reading.attended import still_wanted
from cnntrain.reading.digests import digest, digests, stamp
from cnntrain.reading.input_files import advised, told_of
from cnntrain.reading.reader import CACHE, Reader
from cnntrain.reading.stored import Stored, StoredFile, checksums

Sample = tuple[Path, ...]  # the files one sample is read from; the first names it in messages

_FORMAT = 2  # of the files in the cache
_SAY_EVERY = 10.0  # seconds between two messages about progress
_TAIL = struct.Struct("<32sQ")  # SHA-256 of checksums and description, and the length of the latter, at the very end
_TRIES = 3  # to decode a file that changes meanwhile
_AGAIN = "Run the command again: it is made again"


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

    values    (n, *shape), in memory or read from the cache
    kept      (n,) which of the samples asked for these are, ascending
    skipped   why the others were left out, each naming its file
    """

    values: Array | Stored
    kept: Array
    skipped: tuple[str, ...]

    def names(self, samples: Sequence[Sample]) -> tuple[str, ...]:
        """The file of each of these samples that could be read; the first where it has several."""
        return tuple(str(samples[index][0]) for index in self.kept.tolist())


class _DamagedError(Exception):
    """A file of the cache is not what was written; the text says why."""


class _SourceFailedError(Exception):
    """A file to decode cannot be read now, which has nothing to do with the cache."""

    def __init__(self, error: StorageError | OutOfMemoryError) -> None:
        super().__init__(str(error))
        self.error = error


def decoded(samples: Sequence[Sample], recipe: Recipe, reader: Reader) -> Decoded:
    """All samples, decoded by the reader's threads into its cache, or read from there if that was done before.

    Without a cache, or where that cannot be written, they are held in memory. Raises DataError for samples that
    cannot be read, unless they are to be skipped, or have different shapes; StorageError where the system fails to
    read them; OutOfMemoryError where neither the cache nor the memory has room.
    """
    try:
        kept = reader.cache and samples  # a file of none would have no shape
        found, values = _cached(samples, recipe, reader) if kept else _in_memory(samples, recipe, reader)
    except _SourceFailedError as failure:
        raise failure.error from failure
    except StorageError as error:
        if reader.cache is None or isinstance(error, StandstillError):  # without a cache it would stand still again
            raise
        reader.warn(f"{error}. Going on without a cache: {recipe.noun} are held in memory")
        return decoded(samples, recipe, replace(reader, cache=None))
    return _judged(found, values, samples, recipe, reader)


def _judged(
    found: _Found, values: Array | Stored, samples: Sequence[Sample], recipe: Recipe, reader: Reader
) -> Decoded:
    """Tell what was found. Raises DataError where unreadable samples are not to be skipped, or none is readable."""
    reasons = tuple(told_of(samples[i][file], why) if file >= 0 else why for i, file, why in found.failures)
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
                    f"{len(samples):,} {recipe.noun} need {needed / 1e9:,.1f} GB of memory, "
                    f"{reader.memory / 1e9:,.1f} GB are free. Set data.cache: true to keep them in {CACHE}, if there "
                    "is room on the disk"
                )
            values = np.empty((len(samples), *one.shape), one.dtype)
        values[index] = one
    return found, np.empty(0) if values is None else values[: found.count]


def _decode_all(
    samples: Sequence[Sample],
    recipe: Recipe,
    reader: Reader,
    found: _Found,
    digests: list[bytes] | None = None,
) -> Generator[Array, None, None]:
    """The values of every sample that can be read, in order; fills in `found`, and `digests` of what was decoded.

    Raises DataError for unequal shapes.
    """

    def attempt(sample: Sample) -> Content | DataError:
        with _of_the_source():
            return _attempt(sample, recipe)

    def attempt_and_digest(sample: Sample) -> tuple[Content | DataError, bytes]:
        with _of_the_source():
            return _attempt_and_digest(sample, recipe)

    def both() -> Generator[Content | DataError, None, None]:
        if digests is None:
            yield from reader.map(attempt, samples)
            return
        with contextlib.closing(reader.map(attempt_and_digest, samples)) as pairs:
            for content, digest in pairs:
                digests.append(digest)
                yield content

    with contextlib.closing(both()) as contents:
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


def _attempt(sample: Sample, recipe: Recipe) -> Content | DataError:
    try:
        return recipe.decode(sample)
    except DataError as error:
        return error


def _attempt_and_digest(sample: Sample, recipe: Recipe) -> tuple[Content | DataError, bytes]:
    """A sample and the digest of what it was decoded from. Raises StorageError where its files keep changing."""
    for _ in range(_TRIES):
        before = _stamps(sample)
        content, digest = _attempt(sample, recipe), _digest(sample)
        if _stamps(sample) == before:
            return content, digest
    raise StorageError(
        f"{sample[0]} changes while it is read. Wait until nothing writes to it, and run the command again"
    )


def _stamps(sample: Sample) -> list[tuple[int, ...] | None]:
    """What changes when somebody writes or replaces a file of a sample."""
    return [stamp(path) for path in sample]


@contextlib.contextmanager
def _of_the_source() -> Generator[None, None, None]:
    """Within, a failure of the system concerns the files to decode, not the cache."""
    try:
        yield
    except (StorageError, OutOfMemoryError) as error:
        raise _SourceFailedError(error) from error


def _blamed(message: str, sample: Sample) -> tuple[int, str]:
    """The place of the file that a message begins with, and the rest of it; -1 and all of it where it begins otherwise.

    So a description holds no path: files are known by what they hold, wherever they lie.
    """
    for index, path in enumerate(sample):
        if message.startswith(f"{path}: "):
            return index, message.removeprefix(f"{path}: ")
    return -1, message


def _size(shape: Shape) -> str:
    return "x".join(map(str, shape[-3:-1]))


# -- the file in the cache -------------------------------------------------------------------------------------------


def _cached(samples: Sequence[Sample], recipe: Recipe, reader: Reader) -> tuple[_Found, Stored]:
    """The samples from the cache, which is filled first where it lacks them.

    Raises StorageError where the cache cannot be written or read, DataError as `decoded` does.
    """
    path = _place(_digests(samples, reader), recipe, reader)
    try:
        if path.exists():
            found, values = _open(path, reader)
            if not any(isinstance(content, Content) for content in _once_more(found, samples, recipe, reader)):
                return found, values
            reader.warn(f"{recipe.noun} that could not be read can be read now")
        return _open(_write(path.parent, samples, recipe, reader), reader)
    except _DamagedError as error:
        reader.warn(f"{path} is damaged ({error}): it is made again")
    try:
        return _open(_write(path.parent, samples, recipe, reader), reader)
    except _DamagedError as error:
        raise StorageError(f"{path} is damaged as soon as it is written ({error}). Check the disk") from error


def _once_more(
    found: _Found, samples: Sequence[Sample], recipe: Recipe, reader: Reader
) -> Generator[Content | DataError, None, None]:
    """What becomes of the samples that could not be read when they are tried again."""

    def attempt(failure: tuple[int, int, str]) -> Content | DataError:
        with _of_the_source():
            return _attempt(samples[failure[0]], recipe)

    return reader.map(attempt, found.failures)


def _place(held: Sequence[bytes], recipe: Recipe, reader: Reader) -> Path:
    """Where decoded values lie, which depends on the bytes of every file and on how they are decoded."""
    assert reader.cache is not None
    decides = {"cnntrain": cnntrain.__version__, "cache": _FORMAT, **recipe.settings}
    sha = hashlib.sha256(strict_json.encode(decides).encode())
    for one in held:
        sha.update(one)
    return reader.cache / f"{sha.hexdigest()[:32]}.decoded"


def _digests(samples: Sequence[Sample], reader: Reader) -> list[bytes]:
    """The digest of each sample: that of its files' digests. Raises _SourceFailedError where the system fails."""
    with _of_the_source():
        found = iter(digests([path for sample in samples for path in sample], reader))
    return [_joined(itertools.islice(found, len(sample))) for sample in samples]


def _digest(sample: Sample) -> bytes:
    return _joined(map(digest, sample))


def _joined(found: Iterable[bytes]) -> bytes:
    return hashlib.sha256(b"".join(found)).digest()


def _write(cache: Path, samples: Sequence[Sample], recipe: Recipe, reader: Reader) -> Path:
    """Decode into the cache. Raises StorageError where it cannot be written, DataError as `decoded` does."""
    make_directory(cache)
    reader.say(f"decoding {len(samples):,} {recipe.noun} into {cache}, once")
    digests: list[bytes] = []

    def place() -> Path:
        still_wanted()
        return _place(digests, recipe, reader)  # of what was decoded, which may have changed since it was looked for

    with contextlib.closing(_chunks(place, digests, samples, recipe, reader)) as chunks:
        return files.write_named(cache, chunks, place)


def _chunks(
    place: Callable[[], Path], digests: list[bytes], samples: Sequence[Sample], recipe: Recipe, reader: Reader
) -> Generator[memoryview | bytes, None, None]:
    """The bytes of a file of the cache. Raises StorageError as soon as it is clear that they will not fit."""
    assert reader.cache is not None
    found, sums = _Found(), bytearray()
    for values in _decode_all(samples, recipe, reader, found, digests):
        if found.count == 1:
            require_space(reader.cache, len(samples) * values.nbytes, f"the decoded {recipe.noun}")
        sums += checksums(values[None]).astype("<u4").tobytes()
        yield np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
    if found.failures and not (recipe.skip and found.count):
        _judged(found, np.empty(0), samples, recipe, reader)  # raises: nothing is kept of them
    text = strict_json.encode({"format": _FORMAT, "name": place().name, **vars(found)}).encode()
    yield bytes(sums)
    yield text
    yield _TAIL.pack(hashlib.sha256(sums + text).digest(), len(text))


def _open(path: Path, reader: Reader) -> tuple[_Found, Stored]:
    """A file of the cache, every sample of which has been checked.

    Raises _DamagedError where it is not what was written, StorageError where it cannot be read.
    """
    try:
        source = StoredFile(path)
        found, values = _described(source)
    except EOFError as error:
        raise _DamagedError(str(error)) from error
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror or error}. Check the disk and its permissions"
        ) from error
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise _DamagedError("its description cannot be read") from error
    try:
        for _ in reader.map(values.look, values.blocks()):
            pass
    except StorageError as error:
        raise _DamagedError("a sample in it is not what was written") from error
    return found, values


def _described(source: StoredFile) -> tuple[_Found, Stored]:
    """What a file of the cache says of itself. Raises whatever goes wrong."""
    size = source.size
    digest, length = _TAIL.unpack(source.bytes(max(size - _TAIL.size, 0), _TAIL.size))
    if length > size:
        raise ValueError
    text = source.bytes(size - _TAIL.size - length, length)
    said = strict_json.decode(text.decode())
    found = _Found(tuple(said["shape"]), said["dtype"], said["count"], said["failures"], said["notes"])
    shape, dtype = (found.count, *found.shape), np.dtype(found.dtype)
    end = math.prod(shape) * dtype.itemsize
    if (
        said["format"] != _FORMAT
        or said["name"] != source.path.name
        or end + 4 * found.count + length != size - _TAIL.size
    ):
        raise ValueError
    sums = source.bytes(end, 4 * found.count)
    if hashlib.sha256(sums + text).digest() != digest:
        raise ValueError
    return found, Stored(source, 0, shape, dtype, np.frombuffer(sums, "<u4"), _AGAIN)
