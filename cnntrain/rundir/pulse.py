"""A pulse tells whether the process that trains a run is alive: it holds the run's lock, and it writes to its files.

status.json cannot tell: a process that is killed leaves there that it is running.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from cnntrain.core.directory_lock import is_held
from cnntrain.core.errors import StorageError, printable
from cnntrain.rundir.directory import LIVE
from cnntrain.rundir.json_files import read_object

LONG = 60.0  # seconds without a word that are worth mentioning
_WRITTEN = ("metrics.jsonl", "timing.jsonl", "train.log", "status.json", LIVE)  # while a run trains


def state(run: Path, said: str | None) -> str:
    """How a run is now, of which status.json said `said` a moment ago.

    It is "running" as long as a process holds its lock, and "killed" where it says so and none does. Where another
    machine trained it, or the lock cannot be read, that is not known: then it is "silent" if it has not said a word for
    long. Everything else is as the run says.
    """
    if said == "finished":  # its last word, before it lets go of the lock
        return said
    held = is_held(run)
    if held:
        return "running"
    with contextlib.suppress(StorageError):  # it may have ended since: then it said so before it let go
        said = read_object(run / "status.json").get("state")
    if said != "running":
        return printable(str(said or "unknown"))
    if held is None:
        return "silent" if silence(run) > LONG else "running"
    return "killed"


def silence(run: Path) -> float:
    """The seconds since a run last said anything; by the clock, so that they may be negative where that was set."""
    return time.time() - max(_changed(run / name) for name in _WRITTEN)


def _changed(path: Path) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0
