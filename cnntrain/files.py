"""Files: the only module that writes. What is replaced is replaced whole or not at all.

`write_atomic` follows the protocol that survives a power cut: a temporary file in the same folder,
written and fsynced, renamed over the old one, and the folder fsynced. `AppendLog` adds whole lines with
one `write` each. `DirectoryLock` is a flock: it dies with its process, so there is no stale lock.
Every operating-system error becomes a StorageError that names the file and what to do.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType

from cnntrain.errors import RunDirectoryError, StorageError

TEMPORARY = ".cnntrain-tmp-"  # only files of this pattern are ever cleaned up

_ADVICE = {
    errno.ENOSPC: "free some space and resume",
    errno.EDQUOT: "the quota is used up: free some space and resume",
    errno.EFBIG: "the file would exceed the size limit (ulimit -f)",
    errno.EACCES: "check the permissions, or choose another --run-dir",
    errno.EPERM: "check the permissions, or choose another --run-dir",
    errno.EROFS: "the file system is read-only: choose another --run-dir",
    errno.ENOENT: "the directory is gone: was it moved or removed?",
    errno.ENOTDIR: "a file stands where a directory is needed: choose another --run-dir",
    errno.EIO: "the device failed: check the disk",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextlib.contextmanager
def _explained(action: str, path: Path) -> Iterator[None]:
    """Turn an OSError into one line: what failed, on which file, why, and what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        advice = _ADVICE.get(error.errno or 0, "see the reason above")
        raise StorageError(f"cannot {action} {path}: {reason}. {advice}") from error


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(descriptor, view) :]


def _fsync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Create a directory and its parents; an existing one is fine."""
    with _explained("create", path):
        path.mkdir(parents=True, exist_ok=True)


def make_new_directory(path: Path) -> bool:
    """Create a directory that must not exist. False where it does: mkdir is the arbiter, not the clock."""
    make_directory(path.parent)
    with _explained("create", path):
        try:
            path.mkdir()
        except FileExistsError:
            return False
    return True


def write_atomic(path: Path, chunks: bytes | Iterable[bytes | memoryview]) -> None:
    """Replace `path` by the given bytes, durably: after return it survives a power cut, before it the old file does."""
    if isinstance(chunks, bytes):
        chunks = (chunks,)
    temporary = path.parent / f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}"
    with _explained("write", path):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            try:
                for chunk in chunks:
                    _write_all(descriptor, chunk)
                os.fsync(descriptor)  # never tried twice: after a failure the pages may be gone
            finally:
                os.close(descriptor)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _fsync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove a file; one that is already gone is fine."""
    with _explained("remove", path), contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def remove_temporaries(directory: Path) -> None:
    """Remove what a killed process of ours left half-written. Only under the directory's lock."""
    for path in directory.glob(TEMPORARY + "*"):
        remove(path)


def link(target: str, path: Path) -> None:
    """Point the symbolic link `path` at `target`, replacing an older link; other files are left alone."""
    with _explained("link", path):
        if path.exists() and not path.is_symlink():
            return
        temporary = path.parent / f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}"
        os.symlink(target, temporary)
        os.replace(temporary, path)


def probe(directory: Path) -> None:
    """Prove that the directory can be written, synced and renamed in, before hours are spent computing."""
    path = directory / f"{TEMPORARY}probe-{os.getpid()}"
    write_atomic(path, b"probe")
    remove(path)


class AppendLog:
    """A file that grows by whole lines, one `write` each, so that a kill leaves at most one torn last line.

    Opened at a known length: what lies beyond it, written after the checkpoint being resumed, is cut off.
    """

    def __init__(self, path: Path, length: int | None = None) -> None:
        self.path = path
        with _explained("open", path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            end = os.lseek(self._descriptor, 0, os.SEEK_END)
            self.length = end if length is None else length
            if self.length > end:
                os.close(self._descriptor)
                raise StorageError(
                    f"{path} has {end} bytes, the checkpoint counted {length}: rows are missing. "
                    "Restore the file, or start again with --overwrite"
                )
            os.ftruncate(self._descriptor, self.length)

    def append(self, line: str) -> None:
        """Add one line (without its newline). A failed write leaves the file as it was."""
        data = line.encode() + b"\n"
        with _explained("write", self.path):
            try:
                os.lseek(self._descriptor, self.length, os.SEEK_SET)
                _write_all(self._descriptor, data)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, self.length)
                raise
        self.length += len(data)

    def sync(self) -> None:
        """Make every line durable. Called before the checkpoint that counts them."""
        with _explained("write", self.path):
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; a second close does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class DirectoryLock:
    """Exclusive use of a run directory while it is held; released by the system when the process dies."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / ".lock"
        self._descriptor = -1

    def __enter__(self) -> DirectoryLock:
        with _explained("lock", self.path):
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.pread(self._descriptor, 200, 0).decode(errors="replace").strip() or "another process"
                os.close(self._descriptor)
                self._descriptor = -1
                raise RunDirectoryError(
                    f"{self.path.parent} is in use by {owner}. Wait for it to end, or choose another --run-dir"
                ) from None
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
        self._descriptor = -1


def read_limited(path: Path, limit: int, fail: Callable[[str], Exception]) -> bytes:
    """The bytes of a regular file of at most `limit` bytes; `fail(reason)` makes the exception otherwise."""
    try:
        with open(path, "rb") as file:
            if not Path(path).is_file():
                raise fail("is not a regular file")
            data = file.read(limit + 1)
    except OSError as error:
        raise fail(error.strerror or str(error)) from error
    if len(data) > limit:
        raise fail(f"is larger than {limit} bytes")
    return data
