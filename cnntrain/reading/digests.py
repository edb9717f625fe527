"""Digests of files are not computed anew while the system reports the files as unchanged.

A file is read again unless its device, inode, size, modification time and inode change time are those it had
when it was read, and both times lay at least two seconds back then. Nobody can write to a file, replace it or set its
modification time without the system noting the present time on the inode (st_ctime of stat(2)), and the two seconds are
what the coarsest clock of a file system needs to tell two times apart (the problem that git calls "racy git"). `check`
does not rely on it and reads every file.

The digests lie in the cache beside the decoded files, written whole or not at all; any number of runs may use or write
them at a time, and they may be removed at any time: whatever is not as it was written is computed anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnntrain.core import files
from cnntrain.core.arrays import Array
from cnntrain.core.directories import make_directory
from cnntrain.core.errors import StorageError
from cnntrain.core.failures import system_failure
from cnntrain.core.regular_file import read_own
from cnntrain.reading.input_files import noted, opened, reading
from cnntrain.reading.reader import Reader

_MAGIC = b"cnntrain digests 1\n"
_SHA = 32  # bytes
_ROW = np.dtype([("stamp", "<i8", (5,)), ("sha", "u1", (_SHA,))])
_ALL_BITS = 2**64 - 1
_RESTED = 2 * 10**9  # nanoseconds since the last change of a file before its digest is kept
_BLOCK = 2**16  # bytes of a file hashed at a time: more would be mapped into memory anew for each small file


def digests(paths: Sequence[Path], reader: Reader) -> list[bytes]:
    """The SHA-256 of each file, by the reader's threads; for one that cannot be read, that of the reason why.

    Raises StorageError or OutOfMemoryError where the system fails.
    """
    if reader.cache is None or not paths:
        return list(reader.map(digest, paths))
    texts = [*map(os.fspath, paths)]
    stamps = _stamps(texts)
    place = _place(texts, reader.cache)
    known = _read(place)
    found = np.zeros(len(paths), _ROW)
    found["stamp"] = stamps
    there = _look_up(known, found)
    anew = np.flatnonzero(~there)
    began = time.time_ns()
    readable = np.ones(len(paths), bool)
    read_now = reader.map(_hash, [paths[index] for index in anew.tolist()])
    for index, (value, read) in zip(anew.tolist(), read_now, strict=True):
        found["sha"][index], readable[index] = np.frombuffer(value, np.uint8), read
    if len(anew):
        resting = np.flatnonzero(readable & _rested(stamps, began))
        same = (_stamps([texts[index] for index in resting.tolist()]) == stamps[resting]).all(axis=1)
        if same.any():
            _keep(found[resting[same]], place)
    return [row.tobytes() for row in found["sha"]]


def digest(path: Path) -> bytes:
    """The SHA-256 of a file; for one that cannot be read, that of the reason why, which its user will report.

    Raises StorageError or OutOfMemoryError where the system fails.
    """
    return _hash(path)[0]


def _hash(path: Path) -> tuple[bytes, bool]:
    """The digest of a file, and whether it could be read."""
    sha = hashlib.sha256()
    try:
        with noted(path), opened(path) as file:
            while block := file.read(_BLOCK):
                sha.update(block)
    except OSError as error:
        if system_failure(error):
            with reading(path):
                raise
        return hashlib.sha256(f"errno {error.errno}".encode()).digest(), False
    return sha.digest(), True


def stamp(path: str | Path) -> tuple[int, ...] | None:
    """What changes when somebody writes or replaces a file; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _stamps(paths: Sequence[str]) -> Array:
    """The stamp of each file, int64 (n, 5); zeros where there is none."""
    found = np.zeros((len(paths), 5), np.uint64)
    for index, path in enumerate(paths):
        if one := stamp(path):
            found[index] = [value & _ALL_BITS for value in one]  # times before 1970 are negative
    return found.view(np.int64)


def _rested(stamps: Array, now: int) -> Array:
    """Which files, bool (n,), were last changed long enough ago that a further change would show."""
    changed: Array = stamps[:, 3:].max(axis=1)
    return (changed > 0) & (changed < now - _RESTED)


def _look_up(known: Array, wanted: Array) -> Array:
    """Fill in the digests that are known; returns which are, bool (n,)."""
    if not len(known):
        return np.zeros(len(wanted), bool)
    places = np.searchsorted(known["stamp"][:, 1], wanted["stamp"][:, 1]).clip(max=len(known) - 1)
    same: Array = (known["stamp"][places] == wanted["stamp"]).all(axis=1)
    wanted["sha"][same] = known["sha"][places[same]]
    return same


def _place(paths: Sequence[str], cache: Path) -> Path:
    """Where the digests of such files lie: by the folder that holds them all."""
    folder = os.path.realpath(os.path.commonpath([min(paths), max(paths)]))
    return cache / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]}.digests"


def _read(path: Path) -> Array:
    """The rows that were kept, sorted by inode; none where there are none, or where they are damaged."""
    none: Array = np.empty(0, _ROW)
    try:
        data = read_own(path) if os.path.lexists(path) else b""
    except StorageError:
        return none
    rows = data[len(_MAGIC) : -_SHA]
    if not data.startswith(_MAGIC) or len(rows) % _ROW.itemsize or hashlib.sha256(rows).digest() != data[-_SHA:]:
        return none
    return np.frombuffer(rows, _ROW)


def _keep(rows: Array, path: Path) -> None:
    """Write digests; where that cannot be done they are computed again the next time."""
    data = rows[np.argsort(rows["stamp"][:, 1], kind="stable")].tobytes()
    with contextlib.suppress(StorageError):
        make_directory(path.parent)
        files.write_atomic(path, [_MAGIC, data, hashlib.sha256(data).digest()])
