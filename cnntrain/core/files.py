"""Files: what is replaced is replaced whole or not at all.

`write_atomic` follows the protocol that survives a power cut: a temporary file in the same folder,
written and fsynced, renamed over the old one, and the folder fsynced. Every operating-system error becomes a
StorageError that names the file and what to do.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from cnntrain.core.anchor import Anchor
from cnntrain.core.directories import fsync_directory, make_directory
from cnntrain.core.errors import StorageError
from cnntrain.core.regular_file import read_own
from cnntrain.core.storage import calling, explained, write_all

TEMPORARY = ".cnntrain-tmp-"  # only files of this pattern are ever cleaned up
_GATHERED = 2**16  # smaller pieces are written together, larger ones as they are
_TRIES = 100  # to make a link where others make one at the same time
_NO_LINKS = (errno.EPERM, errno.EACCES, errno.EROFS, errno.EOPNOTSUPP, errno.ENOSYS)


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


def _temporary(directory: Path, purpose: str = "") -> Path:
    """A name to write under before renaming, which has never been used before."""
    return directory / f"{TEMPORARY}{purpose}{os.getpid()}-{secrets.token_hex(8)}"


def _open_at(held: Anchor | None) -> int | None:
    """The descriptor from which names count that `_at` gives; None where these are paths."""
    return None if held is None else held.descriptor


def _at(path: Path, held: Anchor | None) -> str:
    return str(path) if held is None else path.name


@contextlib.contextmanager
def _removed_on_failure(path: Path, held: Anchor | None = None) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(_at(path, held), dir_fd=_open_at(held))
        raise


def write_atomic(path: Path, chunks: bytes | Iterable[bytes | memoryview], held: Anchor | None = None) -> None:
    """Replace `path` by the given bytes, durably: once this returns, the new file survives a power cut; until then, the
    old one does.

    Memory views are of bytes (format "B"); large ones are not copied. Chunks may be made while they are written. Where
    its directory is `held`, the file is made there, and nowhere else, by whatever path one came there.
    """
    if isinstance(chunks, bytes):
        chunks = (chunks,)
    with explained("write", path, sum(map(len, chunks)) if isinstance(chunks, Sequence) else None):
        remove_abandoned(path.parent, held)
        _replace(path.parent, chunks, lambda: path, held)


def write_shared(kept: Path, path: Path, data: bytes) -> None:
    """Keep `data` in a file `kept`, whose name is made from it, and make `path` a hard link to that.

    So files of the same bytes take the room of one, and each is whole wherever it is copied. What is kept already is
    read and compared. Where there are no hard links, or none between the two, `path` is a file of its own.
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
    with explained("write", path), _removed_on_failure(temporary):
        with calling("rename"):
            os.replace(temporary, path)  # does nothing where both are the same file already
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        fsync_directory(path.parent)


def remove_unshared(directory: Path, pattern: str) -> None:
    """Remove the files of a pattern that have no other name: all that `write_shared` linked to them is gone.

    What cannot be removed stays; a process that is about to link to one of them writes a file of its own.
    """
    with contextlib.suppress(OSError):
        for path in directory.glob(pattern):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                os.unlink(path)


def write_named(directory: Path, chunks: Iterable[bytes | memoryview], name: Callable[[], Path]) -> Path:
    """Like `write_atomic`, for a file that is named, in that directory, after what it turns out to hold; return it."""
    with explained("write in", directory):
        remove_abandoned(directory)
        return _replace(directory, chunks, name)


def _replace(
    directory: Path, chunks: Iterable[bytes | memoryview], name: Callable[[], Path], held: Anchor | None = None
) -> Path:
    temporary, descriptor = _create_owned(directory, held)
    with _removed_on_failure(temporary, held):
        owned = os.dup(descriptor)  # the lock lasts until the file has its name
        try:
            try:
                for chunk in _gathered(chunks):
                    write_all(descriptor, chunk)
                if held is not None:
                    held.give(descriptor)
                with calling("fsync"):
                    os.fsync(descriptor)  # never tried twice: after a failure the pages may be gone
            finally:
                with calling("close"):
                    os.close(descriptor)
            path = name()
            if held is not None:
                held.check()
            with calling("rename"):
                if held is None:
                    os.replace(temporary, path)
                else:
                    held.rename(temporary.name, path.name)
        finally:
            os.close(owned)
    fsync_directory(directory, _open_at(held))
    return path


def _create_owned(directory: Path, held: Anchor | None = None) -> tuple[Path, int]:
    """Create a file, locked while it is open, so that whoever finds it knows whether it is still being written."""
    while True:
        path = _temporary(directory)
        with calling("create a file"):
            how = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(_at(path, held), how, 0o666, dir_fd=_open_at(held))
        with contextlib.suppress(OSError):  # a file system without locks: then nobody takes it for abandoned, either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)  # somebody has found it before it was locked, and removed it


def remove(path: Path) -> None:
    """Remove a file; one that is already gone is fine."""
    with explained("remove", path), contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def remove_abandoned(directory: Path, held: Anchor | None = None) -> None:
    """Remove what killed processes of ours left half-written in a directory that several may use at a time.

    A file that is being written is locked by its writer, wherever that runs: process numbers say nothing, since in
    containers they are all alike. What cannot be removed stays.
    """
    for path in directory.glob(TEMPORARY + "*"):
        with contextlib.suppress(OSError):
            how = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(_at(path, held), how, dir_fd=_open_at(held))
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(_at(path, held), dir_fd=_open_at(held))
            finally:
                os.close(descriptor)


def link(target: str, path: Path) -> bool:
    """Point the symbolic link `path` at `target`, replacing an older link; other files are left alone.

    The link is a convenience: a file system that has no links, or a directory that takes none, goes without, which
    False tells.
    """
    temporary = path.with_name(f"{TEMPORARY}{path.name}")  # one name for all: what a killed process left is replaced
    with explained("link", path):
        if path.exists() and not path.is_symlink():
            return False
        try:
            _symlink(target, temporary)
        except OSError as error:
            if error.errno in _NO_LINKS:
                return False
            raise
        try:
            with calling("rename"):
                os.replace(temporary, path)
        except FileNotFoundError:
            return True  # another process has renamed it: the last one counts
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            if error.errno not in _NO_LINKS:
                raise
            return False
    return True


def _symlink(target: str, path: Path) -> None:
    """Make a link, in place of one that was left there."""
    for _ in range(_TRIES):
        try:
            return os.symlink(target, path)
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def probe(directory: Path, held: Anchor | None = None) -> None:
    """Prove that the directory can be written, synced and renamed in, before hours are spent computing."""
    path = _temporary(directory, "probe-")
    with explained("write in", directory), _removed_on_failure(path, held):
        for _ in range(2):  # the second time over a file, as a checkpoint is
            _replace(directory, (b"probe",), lambda: path, held)
        with calling("remove"), contextlib.suppress(FileNotFoundError):  # it looked abandoned to somebody
            os.unlink(_at(path, held), dir_fd=_open_at(held))
