"""Directories are made durably: once one is there, its name survives a power cut."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from cnntrain.core.storage import calling, explained


def fsync_directory(path: Path, held: int | None = None) -> None:
    """Make the names in a directory durable: in the one that is `held` open, where that is given.

    Some file systems cannot, and answer EBADF or EINVAL; like PostgreSQL (fsync_fname in fd.c), live with those two.
    """
    with calling("fsync of the folder"):
        descriptor = os.open(path if held is None else ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=held)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EBADF, errno.EINVAL):
                raise
        finally:
            os.close(descriptor)


def make_directory(path: Path) -> None:
    """Create a directory and its parents, durably; an existing one is fine."""
    with explained("create", path):
        missing = [directory for directory in (path, *path.parents) if not directory.exists()]
        os.makedirs(path, exist_ok=True)
        for directory in reversed(missing):
            fsync_directory(directory.parent)


def make_new_directory(path: Path) -> bool:
    """Create a directory that must not exist. False where it does: mkdir is the arbiter, not the clock."""
    make_directory(path.parent)
    with explained("create", path):
        try:
            os.mkdir(path)
        except FileExistsError:
            return False
        fsync_directory(path.parent)
    return True
