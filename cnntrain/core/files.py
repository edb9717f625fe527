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
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from cnntrain.core.errors import RunDirectoryError, StorageError
from cnntrain.core.failures import system_failure, unreadable

IN_USE = "is in use by"  # in the message of a lock that somebody else holds
TEMPORARY = ".cnntrain-tmp-"  # only files of this pattern are ever cleaned up
_PIECE = 2**20  # bytes read at a time of a file whose size is limited
_LARGEST_WRITE = 2**30  # macOS refuses a write of 2 GiB, Linux cuts it short
_GATHERED = 2**16  # smaller pieces are written together, larger ones as they are
_TRIES = 100  # to make a link where others make one at the same time
_TAIL = 2**16  # a log is searched for its last newline in blocks of this size

_OWN = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW  # a stranger's link must not lead to another's file

_NO_LINKS = (errno.EPERM, errno.EACCES, errno.EROFS, errno.EOPNOTSUPP, errno.ENOSYS)

_ADVICE = {
    errno.ENOSPC: "Free some space and run the command again",
    errno.EDQUOT: "The quota is used up: free some space and run the command again",
    errno.EFBIG: "The file would exceed the size limit (ulimit -f)",
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
def _explained(action: str, path: Path, size: int | None = None) -> Iterator[None]:
    """Turn an OSError into one line: what failed, on which file, why, and what to do; `size` is what was needed."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.ENOSPC and size is not None:
            reason += _shortage(size, free(path.parent))
        advice = _ADVICE.get(error.errno or 0, "Mend the cause and run the command again")
        raise StorageError(f"cannot {action} {path}: {reason}. {advice}") from error


def free(directory: Path) -> int | None:
    """Bytes an ordinary user can still write; None where the system does not say."""
    try:
        system = os.statvfs(directory)
    except OSError:
        return None
    return system.f_bavail * system.f_frsize if system.f_blocks else None  # of no size at all: it does not tell


def _shortage(needed: int, free: int | None) -> str:
    return f" (needs {_amount(needed)}" + (")" if free is None else f", {_amount(free)} free)")


def _amount(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size:,} bytes"


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        written = os.write(descriptor, view[:_LARGEST_WRITE])
        if not written:
            raise OSError(errno.EIO, "the device accepts no more bytes")
        view = view[written:]


def _gathered(chunks: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """The same bytes in few pieces: small neighbours are joined, large ones passed on uncopied."""
    joined = bytearray()
    for chunk in chunks:
        if joined and len(joined) + len(chunk) > _GATHERED:
            yield bytes(joined)
            joined.clear()
        if len(chunk) > _GATHERED:
            yield chunk
        else:
            joined += chunk
    yield bytes(joined)


def _fsync_directory(path: Path) -> None:
    """Make the names in a directory durable.

    Some file systems cannot, and answer EBADF or EINVAL; like PostgreSQL (fsync_fname in fd.c), live with those two.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.EINVAL):
            raise
    finally:
        os.close(descriptor)


def _temporary(directory: Path, purpose: str = "") -> Path:
    """A name to write under before renaming, which nobody has had before."""
    return directory / f"{TEMPORARY}{purpose}{os.getpid()}-{secrets.token_hex(8)}"


@contextlib.contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise


def make_directory(path: Path) -> None:
    """Create a directory and its parents, durably; an existing one is fine."""
    with _explained("create", path):
        missing = [directory for directory in (path, *path.parents) if not directory.exists()]
        os.makedirs(path, exist_ok=True)
        for directory in reversed(missing):
            _fsync_directory(directory.parent)


def make_own_directory(path: Path) -> None:
    """Create a directory of a run within its own; one that is there is fine, a link is not: it may lead anywhere.

    Raises StorageError.
    """
    make_directory(path)
    if path.is_symlink():
        raise StorageError(f"{path} is a link, expected a folder of the run: a link may lead anywhere. Remove it")


class Anchor:
    """A directory as it was opened: notices where its path leads elsewhere meanwhile, so that nothing goes there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _explained("open", path):
            self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def check(self) -> None:
        """Raise StorageError where another directory stands in its place; one that is gone is found by who writes."""
        mine = os.fstat(self._descriptor)
        try:
            there = os.stat(self.path)
        except OSError:
            return
        if (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino):
            raise StorageError(
                f"{self.path} is another directory than the one this run was started in, which was moved or removed: "
                "nothing was written there. Move the run's own to a place where it is alone, and resume it there"
            )

    def last(self, chunks: Iterable[bytes | memoryview]) -> Sequence[bytes | memoryview]:
        """The same chunks; whoever has read the last one has had it checked."""
        return _Checked(chunks, self.check)

    def rename(self, temporary: str, name: str) -> None:
        """Give a file its name, both in the directory that was opened, wherever that lies by now. Raises OSError."""
        os.replace(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def remove(self, name: str) -> None:
        """Remove a file of the directory that was opened; one that is already gone is fine. Raises StorageError."""
        with _explained("remove", self.path / name), contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._descriptor)

    def close(self) -> None:
        """Let go of it; a second close does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with _explained("close", self.path):
                os.close(descriptor)


class _Checked(list[bytes | memoryview]):
    """Chunks after which something is checked: just before what was written of them takes its place."""

    def __init__(self, chunks: Iterable[bytes | memoryview], check: Callable[[], None]) -> None:
        super().__init__(chunks)
        self._check = check

    def __iter__(self) -> Iterator[bytes | memoryview]:
        yield from super().__iter__()
        self._check()


def make_new_directory(path: Path) -> bool:
    """Create a directory that must not exist. False where it does: mkdir is the arbiter, not the clock."""
    make_directory(path.parent)
    with _explained("create", path):
        try:
            os.mkdir(path)
        except FileExistsError:
            return False
        _fsync_directory(path.parent)
    return True


def write_atomic(path: Path, chunks: bytes | Iterable[bytes | memoryview], held: Anchor | None = None) -> None:
    """Replace `path` by the given bytes, durably: once this returns, the new file survives a power cut; until then, the
    old one does.

    Memory views are of bytes (format "B"); large ones are not copied. Chunks may be made while they are written. Where
    its directory is `held`, the file gets its name there and nowhere else.
    """
    if isinstance(chunks, bytes):
        chunks = (chunks,)
    with _explained("write", path, sum(map(len, chunks)) if isinstance(chunks, Sequence) else None):
        remove_abandoned(path.parent)
        _replace(path.parent, chunks, lambda: path, held)


def write_shared(kept: Path, path: Path, data: bytes) -> None:
    """Have `data` in a file that is kept under a name made from it, and `path` be a hard link to that.

    So files of the same bytes take the room of one, and each is whole wherever it is copied. What is kept already is
    read and compared. Where there are no hard links, or none across to there, `path` is a file of its own.
    """
    try:
        if not kept.exists() or read_own(kept) != data:
            make_directory(kept.parent)
            write_atomic(kept, data)
        temporary = _temporary(path.parent)
        os.link(kept, temporary, follow_symlinks=False)
    except (OSError, StorageError):  # the shared one is a saving, no more
        write_atomic(path, data)
        return
    with _explained("write", path), _removed_on_failure(temporary):
        os.replace(temporary, path)  # does nothing where both are the same file already
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        _fsync_directory(path.parent)


def remove_unshared(directory: Path, pattern: str) -> None:
    """Remove the files of a pattern that have no other name: those for which `write_shared` was called are gone.

    What cannot be removed stays; whoever is about to link one that goes writes a file of its own.
    """
    with contextlib.suppress(OSError):
        for path in directory.glob(pattern):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                os.unlink(path)


def write_named(directory: Path, chunks: Iterable[bytes | memoryview], name: Callable[[], Path]) -> Path:
    """Like `write_atomic`, of what gets its name, in that directory, by what it turns out to hold; returns it."""
    with _explained("write in", directory):
        remove_abandoned(directory)
        return _replace(directory, chunks, name)


def _replace(
    directory: Path, chunks: Iterable[bytes | memoryview], name: Callable[[], Path], held: Anchor | None = None
) -> Path:
    temporary, descriptor = _create_owned(directory)
    with _removed_on_failure(temporary):
        owned = os.dup(descriptor)  # the lock lasts until the file has its name
        try:
            try:
                for chunk in _gathered(chunks):
                    _write_all(descriptor, chunk)
                os.fsync(descriptor)  # never tried twice: after a failure the pages may be gone
            finally:
                os.close(descriptor)
            path = name()
            if held is None:
                os.replace(temporary, path)
            else:
                held.rename(temporary.name, path.name)
        finally:
            os.close(owned)
    _fsync_directory(directory)
    return path


def _create_owned(directory: Path) -> tuple[Path, int]:
    """Create a file, locked while it is open, so that whoever finds it knows whether anybody still writes it."""
    while True:
        path = _temporary(directory)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with contextlib.suppress(OSError):  # a file system without locks: then nobody takes it for abandoned, either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)  # somebody has found it before it was locked, and removed it


def remove(path: Path) -> None:
    """Remove a file; one that is already gone is fine."""
    with _explained("remove", path), contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def remove_temporaries(directory: Path) -> None:
    """Remove what a killed process of this program left half-written. Only under the directory's lock."""
    with _explained("look into", directory):
        found = [*directory.glob(TEMPORARY + "*")]
    for path in found:
        remove(path)


def remove_abandoned(directory: Path) -> None:
    """Remove what killed processes of ours left half-written in a directory that several may use at a time.

    A file that is being written is locked by who writes it, wherever that runs: process numbers say nothing, since in
    containers they are all alike. What cannot be removed stays.
    """
    for path in directory.glob(TEMPORARY + "*"):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(path)
            finally:
                os.close(descriptor)


def link(target: str, path: Path) -> None:
    """Point the symbolic link `path` at `target`, replacing an older link; other files are left alone.

    The link is a convenience: a file system that has none, or a directory that takes none, goes without.
    """
    temporary = path.with_name(f"{TEMPORARY}{path.name}")  # one name for all: what a killed process left is used up
    with _explained("link", path):
        if path.exists() and not path.is_symlink():
            return
        try:
            _symlink(target, temporary)
        except OSError as error:
            if error.errno in _NO_LINKS:
                return
            raise
        try:
            os.replace(temporary, path)
        except FileNotFoundError:
            return  # another process has renamed it: the last one counts
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            if error.errno not in _NO_LINKS:
                raise


def _symlink(target: str, path: Path) -> None:
    """Make a link, in place of one that was left there."""
    for _ in range(_TRIES):
        try:
            return os.symlink(target, path)
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def probe(directory: Path) -> None:
    """Prove that the directory can be written, synced and renamed in, before hours are spent computing."""
    path = _temporary(directory, "probe-")
    with _explained("write in", directory), _removed_on_failure(path):
        for _ in range(2):  # the second time over a file, as a checkpoint is
            _replace(directory, (b"probe",), lambda: path)
        with contextlib.suppress(FileNotFoundError):  # it looked abandoned to somebody
            os.unlink(path)


def require_space(directory: Path, size: int, purpose: str) -> None:
    """Raise StorageError where a directory has no room for this many more bytes, as far as the system says."""
    there = free(directory)
    if there is not None and there < size:
        raise StorageError(f"{directory} has no room for {purpose}{_shortage(size, there)}. {_ADVICE[errno.ENOSPC]}")


def _open_own(path: Path) -> int:
    """A file of a run, open for reading and writing, made if need be. Raises StorageError for a pipe or the like."""
    descriptor = os.open(path, _OWN | os.O_NONBLOCK, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StorageError(f"{path} is not a regular file, expected one of the run. Remove it")
    return descriptor


class AppendLog:
    """A file that grows by whole lines, one `write` each, so that a kill leaves at most one torn last line.

    Opened at a known length, it loses what lies beyond, written after the checkpoint being resumed; opened without one,
    it loses a torn last line.
    """

    def __init__(self, path: Path, length: int | None = None) -> None:
        self.path = path
        with _explained("open", path):
            self._descriptor = _open_own(path)
            try:
                self.length = self._cut(length)
                _fsync_directory(path.parent)
            except BaseException:
                os.close(self._descriptor)
                raise

    def _cut(self, length: int | None) -> int:
        end = os.lseek(self._descriptor, 0, os.SEEK_END)
        if length is None:
            length = self._last_line_end(end)
        if length > end:
            raise StorageError(
                f"{self.path} has {end} bytes, the checkpoint counted {length}: rows are missing. "
                "Restore the file, or start again with --overwrite"
            )
        os.ftruncate(self._descriptor, length)
        return length

    def _last_line_end(self, end: int) -> int:
        while end:
            start = max(0, end - _TAIL)
            newline = os.pread(self._descriptor, end - start, start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return 0

    def append(self, line: str) -> None:
        """Add one line (without its newline). A failed write leaves the file as it was."""
        self.extend(line.encode(errors="backslashreplace") + b"\n")

    def extend(self, data: bytes) -> None:
        """Add bytes, for files whose records are not lines. A failed write leaves the file as it was."""
        with _explained("write", self.path, len(data)):
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
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with _explained("write", self.path):
                os.close(descriptor)


class DirectoryLock:
    """Exclusive use of a run directory while it is held; released by the system when the process dies."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / ".lock"
        self._descriptor = -1

    def __enter__(self) -> DirectoryLock:
        with _explained("lock", self.path):
            self._descriptor = _open_own(self.path)
            try:
                self._take()
            except BaseException:
                self._release()
                raise
        return self

    def _take(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            raise RunDirectoryError(
                f"{self.path.parent} {IN_USE} {owner}. Wait for it to end, or choose another --run-dir"
            ) from None
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"process {os.getpid()} on {socket.gethostname()} since {since}\n".encode(), 0)

    def _release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        with _explained("unlock", self.path):
            os.close(descriptor)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._release()


def opened(path: str | Path) -> BufferedReader:
    """A regular file, open for reading. Raises OSError, also for anything else, of which not a byte is asked for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
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
        return StorageError(f"{path} {reason}. Was it moved, removed or replaced?")

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


class PartialFile:
    """A file that grows under a name of its own, `NAME.part`, until it is whole and takes its place.

    What an interrupted process has left of it is continued. One process at a time. Raises StorageError.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.part = path, path.with_name(f"{path.name}.part")
        with _explained("open", self.part):
            self._descriptor = os.open(self.part, _OWN | os.O_NONBLOCK, 0o666)
            try:
                if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                    raise StorageError(f"{self.part} is not a regular file. Remove it and run the command again")
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.length = os.lseek(self._descriptor, 0, os.SEEK_END)
            except BlockingIOError:
                self.close()
                raise StorageError(f"{self.part} is being written by another process. Wait for it to end") from None
            except BaseException:
                self.close()
                raise

    def append(self, data: bytes) -> None:
        """Add to its end."""
        with _explained("write", self.part, len(data)):
            _write_all(self._descriptor, data)
        self.length += len(data)

    def read(self, size: int = 2**20) -> Iterator[bytes]:
        """The bytes it holds, from its beginning."""
        with _explained("read", self.part):
            for start in range(0, self.length, size):
                yield os.pread(self._descriptor, size, start)

    def restart(self) -> None:
        """Throw away what it holds."""
        with _explained("write", self.part):
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.length = 0

    def finish(self) -> None:
        """It is whole: give it its name, durably."""
        with _explained("write", self.path):
            os.fsync(self._descriptor)
            os.replace(self.part, self.path)
            _fsync_directory(self.path.parent)
        self.close()

    def close(self) -> None:
        """Let go of it; what it holds stays. A second close does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> PartialFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
