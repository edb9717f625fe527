"""A partial file grows beside the place that it takes once it is whole: a download."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from cnntrain.core.directories import fsync_directory
from cnntrain.core.errors import StorageError
from cnntrain.core.regular_file import OWN
from cnntrain.core.storage import calling, explained, write_all


class PartialFile:
    """A file that grows under a name of its own, `NAME.part`, until it is whole and takes its place.

    What an interrupted process has left of it is continued. One process at a time. Raises StorageError.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.part = path, path.with_name(f"{path.name}.part")
        with explained("open", self.part):
            while not self._take():
                self.close()
            self.length = os.lseek(self._descriptor, 0, os.SEEK_END)

    def _take(self) -> bool:
        """Open and lock it; False where meanwhile another process has finished it, which then lies in its place."""
        self._descriptor = os.open(self.part, OWN | os.O_NONBLOCK, 0o666)
        try:
            mine = os.fstat(self._descriptor)
            if not stat.S_ISREG(mine.st_mode):
                raise StorageError(f"{self.part} is not a regular file. Remove it and run the command again")
            with calling("lock"):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                return os.path.samestat(mine, os.stat(self.part))
            except FileNotFoundError:
                return False
        except BlockingIOError:
            self.close()
            raise StorageError(f"{self.part} is being written by another process. Wait for it to end") from None
        except BaseException:
            self.close()
            raise

    def append(self, data: bytes) -> None:
        """Add to its end."""
        with explained("write", self.part, len(data)):
            write_all(self._descriptor, data)
        self.length += len(data)

    def read(self, size: int = 2**20) -> Iterator[bytes]:
        """The bytes it holds, from its beginning."""
        with explained("read", self.part):
            for start in range(0, self.length, size):
                yield os.pread(self._descriptor, size, start)

    def restart(self) -> None:
        """Throw away what it holds."""
        with explained("write", self.part):
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.length = 0

    def finish(self) -> None:
        """It is whole: give it its name, durably."""
        with explained("write", self.path):
            with calling("fsync"):
                os.fsync(self._descriptor)
            with calling("rename"):
                os.replace(self.part, self.path)
            fsync_directory(self.path.parent)
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
