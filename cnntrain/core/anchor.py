"""An anchor holds a directory as it was opened, wherever its path leads later."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from cnntrain.core.directories import fsync_directory
from cnntrain.core.errors import StorageError
from cnntrain.core.storage import explained

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Anchor:
    """A directory as it was opened: notices if its path leads elsewhere by now, so that nothing is written there.

    What is made and removed in it is so by its `descriptor`, whatever becomes of the path meanwhile.
    """

    def __init__(self, path: Path, descriptor: int | None = None) -> None:
        """Open the directory, or take over the descriptor of one that is open. Raises StorageError."""
        self.path = path
        with explained("open", path):
            self.descriptor = os.open(path, _DIRECTORY) if descriptor is None else descriptor

    def folder(self, name: str) -> Anchor:
        """Hold a folder of this directory, which is made if need be, and given as `give` does.

        Raises StorageError; also for a link, which may lead anywhere, and if another directory stands in its place.
        """
        self.check()
        path, made = self.path / name, False
        with explained("create", path):
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=self.descriptor)
                made = True
                fsync_directory(self.path, self.descriptor)
            try:
                descriptor = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=self.descriptor)
            except OSError as error:
                if path.is_symlink():
                    raise StorageError(
                        f"{path} is a link, expected a folder of the run: a link may lead anywhere. Remove it"
                    ) from error
                raise
            held = Anchor(path, descriptor)
            if made:
                self.give(descriptor)
        return held

    def check(self) -> None:
        """Raise StorageError if another directory stands in its place; the write notices one that is gone."""
        mine = os.fstat(self.descriptor)
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
        """Where root writes into somebody's directory, make what it has made there theirs, and their group's.

        It might be closed to them; and whoever has the directory may replace what lies there anyhow. Best effort, since
        some file servers let nothing be given away.
        """
        mine = os.fstat(self.descriptor)
        if os.geteuid() == 0 and mine.st_uid != 0:
            with contextlib.suppress(OSError):
                os.fchown(descriptor, mine.st_uid, mine.st_gid)

    def rename(self, temporary: str, name: str) -> None:
        """Give a file its name, both in the directory that was opened, wherever that lies by now. Raises OSError."""
        os.replace(temporary, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def remove(self, name: str) -> None:
        """Remove a file of the directory that was opened; one that is already gone is fine. Raises StorageError."""
        with explained("remove", self.path / name), contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)

    def close(self) -> None:
        """Let go of it; a second close does nothing."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            with explained("close", self.path):
                os.close(descriptor)
