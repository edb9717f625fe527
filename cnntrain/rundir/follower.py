"""A follower stands in for the run directory in ranks that do not lead: it writes nothing.

It may read what the leader has written, so it checks that this can be seen from here.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnntrain.core.directory_lock import LOCK
from cnntrain.core.errors import StorageError
from cnntrain.rundir import checkpoint

_PATIENCE = 10.0  # seconds in which what one machine has written shows on others


class Follower:
    """Has the methods of RunDirectory that a session calls in any rank; those that write do nothing."""

    metrics_length = 0
    as_it_was = False

    def __init__(self, path: Path, lock: str) -> None:
        """`lock` is what the leader has written into the directory's lock.

        Raises StorageError where it is not seen from here.
        """
        self.path, self.last = path, checkpoint.last_of(path)
        deadline = time.monotonic() + _PATIENCE
        while _read(path / LOCK) != lock:
            if time.monotonic() > deadline:
                raise StorageError(
                    f"{path}, where rank 0 writes this run, cannot be seen from here: the ranks need one file system "
                    "that all their machines share, with data and runs on it. Choose a --run-dir there"
                )
            time.sleep(0.1)
            for folder in (path.parent, path):  # NFS asks its server again where one is opened, or after a minute
                with contextlib.suppress(OSError):
                    os.scandir(folder).close()

    def log(self, line: str) -> None:
        """Nothing."""

    def metric(self, row: Mapping[str, Any]) -> None:
        """Nothing."""

    def timing(self, row: Mapping[str, Any]) -> None:
        """Nothing."""

    def rows(self) -> list[dict[str, Any]]:
        """None, since nothing is shown from them."""
        return []

    def sync(self) -> None:
        """Nothing."""

    def write_csv(self) -> None:
        """Nothing."""

    def write_json(self, name: str, value: Any) -> None:
        """Nothing."""

    def write_flight_record(self, record: Mapping[str, Any]) -> Path:  # noqa: ARG002  (so called by the trainer)
        """Nothing; where the leader's is."""
        return self.path

    def write_crash(self, traceback: str) -> Path:  # noqa: ARG002  (so called by a session)
        """Nothing; where the leader's is."""
        return self.path

    def status(self, state: str, **fields: Any) -> None:
        """Nothing."""

    def write_live(self, document: Mapping[str, Any]) -> None:
        """Nothing."""

    def save_checkpoint(self, *_arguments: Any, **_options: Any) -> int:
        """Nothing."""
        return 0

    def prune(self, name: str, keep: int) -> None:
        """Nothing."""

    def write_film(self, *_arguments: Any) -> None:
        """Nothing."""

    def cut_film(self, step: int) -> None:
        """Nothing."""

    def resume_logs(self, metrics_length: int) -> None:
        """Nothing."""

    def going_on(self, message: str) -> str:
        """The message: which run goes on is for the leader to say."""
        return message

    def require_space(self, keep: int, film: int = 0) -> None:
        """Nothing."""


def lock_of(path: Path) -> str:
    """What the holder of a directory has written into its lock."""
    return _read(path / LOCK) or ""


def _read(path: Path) -> str | None:
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace")
    return None
