"""A directory lock keeps a run directory to one process. It is a flock, which ends with its process, never stale."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path
from types import TracebackType

from cnntrain.core.errors import RunDirectoryError
from cnntrain.core.regular_file import open_own
from cnntrain.core.storage import calling, explained

IN_USE = "is in use by"  # in the message of a lock that somebody else holds


class DirectoryLock:
    """Exclusive use of a run directory while it is held; released by the system when the process dies."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / ".lock"
        self._descriptor = -1

    def __enter__(self) -> DirectoryLock:
        with explained("lock", self.path):
            with calling("open"):
                self._descriptor = open_own(self.path)
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
        self._sign()

    def _sign(self) -> None:
        """Say in the file who holds it, for whoever comes next."""
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        with calling("write"):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"process {os.getpid()} on {socket.gethostname()} since {since}\n".encode(), 0)

    def _release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        with explained("unlock", self.path):
            os.close(descriptor)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._release()
