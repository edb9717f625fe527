"""Storage fails now and then: one line says what failed, on which file, why, and what to do."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from cnntrain.core.errors import StorageError

_LARGEST_WRITE = 2**30  # macOS refuses a write of 2 GiB, Linux cuts it short
AGAIN = "run the command again"  # which a run that has begun replaces by how it goes on
ADVICE = {
    errno.ENOSPC: f"Free some space and {AGAIN}",
    errno.EDQUOT: f"The quota is used up: free some space and {AGAIN}",
    errno.EFBIG: f"The file would exceed the size limit: raise it (ulimit -f) and {AGAIN}",
    errno.EACCES: "Check the permissions, or choose another directory",
    errno.EPERM: "Check the permissions, or choose another directory",
    errno.EROFS: "The file system is read-only: choose another directory",
    errno.ENOENT: "The directory is gone: was it moved or removed?",
    errno.EEXIST: "A file stands where a directory is needed: choose another directory",
    errno.ENOTDIR: "A file stands where a directory is needed: choose another directory",
    errno.EISDIR: "A directory stands where a file is needed: move it away",
    errno.ELOOP: "A link stands where a file of the run is needed: remove it",
    errno.EIO: "The device failed: check the disk",
    errno.ENAMETOOLONG: "Choose a shorter name",
    errno.ENOLCK: "This file system has no locks: choose a directory on another one",
}


@contextlib.contextmanager
def explained(action: str, path: Path, size: int | None = None) -> Iterator[None]:
    """Turn an OSError into one line: what failed, on which file, why, and what to do; `size` is what was needed."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.ENOSPC and size is not None:
            reason += _lacking(path.parent, size)
        advice = ADVICE.get(error.errno or 0, f"Mend the cause and {AGAIN}")
        raise StorageError(f"cannot {action} {path}: {reason}. {advice}") from error


@contextlib.contextmanager
def calling(operation: str) -> Iterator[None]:
    """Let an OSError say which of several operations it was that failed: "rename: Permission denied"."""
    try:
        yield
    except OSError as error:
        error.strerror = f"{operation}: {error.strerror or error}"
        raise


def free(directory: Path) -> int | None:
    """Bytes an ordinary user can still write; None where the system does not say."""
    try:
        system = os.statvfs(directory)
    except OSError:
        return None
    return system.f_bavail * system.f_frsize if system.f_blocks else None  # a size of 0: it does not say


def shortage(needed: int, free: int | None) -> str:
    """What is missing, in brackets: " (needs 4.0 MB, 1.2 MB free)"."""
    return f" (needs {_amount(needed)}" + (")" if free is None else f", {_amount(free)} free)")


def _lacking(directory: Path, size: int) -> str:
    """What a full file system lacks, in brackets: room, or inodes; if it claims to have both, only what is needed."""
    with contextlib.suppress(OSError):
        system = os.statvfs(directory)
        if system.f_files and not system.f_favail:
            return " (it has no more inodes: too many files)"
    there = free(directory)
    return shortage(size, None if there is not None and there >= size else there)


def _amount(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size:,} bytes"


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write every byte, in as many writes as the system makes of it. Raises OSError."""
    view = memoryview(data)
    while view:
        written = os.write(descriptor, view[:_LARGEST_WRITE])
        if not written:
            raise OSError(errno.EIO, "the device accepts no more bytes")
        view = view[written:]


def require_space(directory: Path, size: int, purpose: str) -> None:
    """Raise StorageError where a directory has no room for this many more bytes, as far as the system says."""
    there = free(directory)
    if there is not None and there < size:
        raise StorageError(f"{directory} has no room for {purpose}{shortage(size, there)}. {ADVICE[errno.ENOSPC]}")
