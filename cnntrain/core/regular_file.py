"""A regular file is opened for reading without waiting: a pipe or a device would hang, and a link may lead anywhere."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from cnntrain.core.errors import StorageError
from cnntrain.core.failures import system_failure, unreadable

_PIECE = 2**20  # bytes read at a time of a file whose size is limited
OWN = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW  # a stranger's link must not lead to another's file
DENIED = tuple(f"cannot be read: {os.strerror(number)}" for number in (errno.EACCES, errno.EPERM))  # reasons to fail


def cured(reason: str, otherwise: str) -> str:
    """A reason that `open_regular` gave, with what to do; `otherwise` is for all but a lack of permission."""
    return f"{reason}. {'Check the permissions' if reason in DENIED else otherwise}"


def open_own(path: Path) -> int:
    """A file of a run, open for reading and writing, made if need be. Raises StorageError for a pipe or the like."""
    descriptor = os.open(path, OWN | os.O_NONBLOCK, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StorageError(f"{path} is not a regular file, expected one of the run. Remove it")
    return descriptor


def opened(path: str | Path, follow: bool = True) -> BufferedReader:
    """A regular file, open for reading. Raises OSError, also for anything else, of which not a byte is read.

    With `follow` off, a link is such.
    """
    how = os.O_NONBLOCK | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | how)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_own(path: Path, limit: int = 2**30) -> bytes:
    """The bytes of a file of a run directory, which may be a stranger's: no link, no pipe, not beyond the limit.

    Raises StorageError.
    """

    def fail(reason: str) -> StorageError:
        return StorageError(f"{path} {cured(reason, 'Was it moved, removed or replaced?')}")

    return read_limited(path, limit, fail, follow=False)


@contextlib.contextmanager
def open_regular(path: Path, fail: Callable[[str], Exception], follow: bool = True) -> Iterator[BinaryIO]:
    """A regular file, open for reading; `fail(reason)` makes the exception for anything else, read errors included.

    Opened without blocking, because a FIFO that nobody writes to would hang. With `follow` off, a link is refused. What
    is no fault of the file, such as a failing device or too many open files, is a StorageError.
    """
    how = os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | how)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise fail("is not a regular file")
            yield file
    except OSError as error:
        failure = system_failure(error)
        if failure is not None:
            raise unreadable(path, failure) from error
        if error.errno == errno.ELOOP and path.is_symlink():
            raise fail("is a link, which may lead anywhere") from error
        raise fail(f"cannot be read: {error.strerror or error}") from error


def read_limited(path: Path, limit: int, fail: Callable[[str], Exception], follow: bool = True) -> bytes:
    """The bytes of a regular file of at most `limit` bytes; `fail(reason)` makes the exception otherwise.

    Raises StorageError where the device fails.
    """
    with open_regular(path, fail, follow) as file:
        pieces, left = [], limit + 1  # piece by piece: a read takes memory for all it asks for, whatever the file holds
        while left and (piece := file.read(min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
    if not left:
        raise fail(f"is larger than {limit} bytes")
    return b"".join(pieces)
