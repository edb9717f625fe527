"""Presence is whether something lies at a path: where one may not look that is an error, and never absence."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from cnntrain.core.errors import CnntrainError, StorageError
from cnntrain.core.failures import system_failure, unreadable

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


def exists(path: Path, *, follow: bool = True, denied: type[CnntrainError] = StorageError) -> bool:
    """Whether anything is there; with `follow` off, a link that leads nowhere is, too.

    Raises `denied` where one may not look, as in another user's closed folder, and StorageError where the device fails.
    """
    return _found(path, follow, denied) is not None


def is_file(path: Path, *, denied: type[CnntrainError] = StorageError) -> bool:
    """Whether a regular file is there, or a link to one. Raises what `exists` does."""
    found = _found(path, True, denied)
    return found is not None and stat.S_ISREG(found.st_mode)


def is_directory(path: Path, *, denied: type[CnntrainError] = StorageError) -> bool:
    """Whether a directory is there, or a link to one. Raises what `exists` does."""
    found = _found(path, True, denied)
    return found is not None and stat.S_ISDIR(found.st_mode)


def closed(folder: str | Path, error: OSError, denied: type[CnntrainError] = StorageError) -> CnntrainError:
    """The error to raise for a folder that the system did not let us look into."""
    if failure := system_failure(error):
        return unreadable(Path(folder), failure)
    return denied(f"cannot look into {folder}: {error.strerror or error}. Check the permissions")


def _found(path: Path, follow: bool, denied: type[CnntrainError]) -> os.stat_result | None:
    try:
        return os.stat(path) if follow else os.lstat(path)
    except ValueError:  # a name that no file can have
        return None
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise closed(path.parent, error, denied) from error
