"""An anchor holds a directory as it was opened, wherever its path leads later."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from cnntrain.core.errors import StorageError
from cnntrain.core.storage import explained


class Anchor:
    """A directory as it was opened: notices if its path leads elsewhere by now, so that nothing is written there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with explained("open", path):
            self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def check(self) -> None:
        """Raise StorageError if another directory stands in its place; the write notices one that is gone."""
        mine = os.fstat(self._descriptor)
        try:
            there = os.stat(self.path)
        except OSError:
            return
        if (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino):
            raise StorageError(
                f"{self.path} is not the directory that this run was started in, which was moved or removed: nothing "
                "was written there. Move the run's own directory to a place where it is alone, and resume it there"
            )

    def give(self, descriptor: int) -> None:
        """Where root writes into somebody's directory, make a file of it theirs, which might be closed to them.

        Nothing is lost by that: whoever has the directory may replace what lies there. Best effort, since some file
        servers let nothing be given away. Raises StorageError if another directory stands in its place.
        """
        self.check()
        owner = os.fstat(self._descriptor).st_uid
        if os.geteuid() == 0 and owner != 0:
            with contextlib.suppress(OSError):
                os.fchown(descriptor, owner, -1)

    def rename(self, temporary: str, name: str) -> None:
        """Give a file its name, both in the directory that was opened, wherever that lies by now. Raises OSError."""
        os.replace(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def remove(self, name: str) -> None:
        """Remove a file of the directory that was opened; one that is already gone is fine. Raises StorageError."""
        with explained("remove", self.path / name), contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._descriptor)

    def close(self) -> None:
        """Let go of it; a second close does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with explained("close", self.path):
                os.close(descriptor)
