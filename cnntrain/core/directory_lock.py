"""A directory lock keeps a run directory to one process. It is a flock, which ends with its process, never stale."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import time
from pathlib import Path
from types import TracebackType

from cnntrain.core.errors import RunDirectoryError
from cnntrain.core.regular_file import open_own, opened
from cnntrain.core.storage import calling, explained

LOCK = ".lock"  # the file's name
IN_USE = "is in use by"  # in the message of a lock that somebody else holds
_TRIES, _PAUSE = 25, 0.01  # times, and seconds between them: longer than `is_held` takes to look


class DirectoryLock:
    """Exclusive use of a run directory while it is held; released by the system when the process dies."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / LOCK
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
        for _ in range(_TRIES):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return self._sign()
            time.sleep(_PAUSE)
        owner = os.pread(self._descriptor, 200, 0).decode(errors="replace").strip() or "another process"
        raise RunDirectoryError(f"{self.path.parent} {IN_USE} {owner}. Wait for it to end, or choose another --run-dir")

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


def is_held(directory: Path) -> bool | None:
    """Whether a process holds the lock on a directory; None where that cannot be told. Writes nothing.

    A lock that is free proves nothing where another machine took it last: a network file system may keep it from us.
    """
    try:
        with opened(directory / LOCK, follow=False) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            fcntl.flock(file, fcntl.LOCK_UN)  # also in a child that another thread has forked by now
            owner = re.fullmatch(rb"process \d+ on (.*) since [^\n]*\n", file.read(200))
    except OSError:
        return None
    return False if owner and owner[1] == os.fsencode(socket.gethostname()) else None
