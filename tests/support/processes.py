"""Processes as the system lists them: which are there, and which a process has started."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

LOOK = 0.2  # seconds between two looks at a process that is waited for


def alive(process: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def all_gone(processes: Iterable[int], seconds: float = 5.0) -> bool:
    """Whether all of them end within so many seconds."""
    left, deadline = [*processes], time.monotonic() + seconds
    while (left := [*filter(alive, left)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not left


def children(process: int) -> list[int]:
    """The processes that it has started and not yet reaped."""
    try:
        return [*map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())]
    except OSError:
        return []


def workers(process: int) -> list[int]:
    """Those it has forked, which have let go of its output; not programs that it asks something for a moment."""
    return [child for child in children(process) if _output(child) == os.devnull]


def _output(process: int) -> str:
    try:
        return os.readlink(f"/proc/{process}/fd/1")
    except OSError:
        return ""


def outcome(process: subprocess.Popen[str], seconds: float) -> tuple[str, str]:
    """What a process and all that it has started say until they end: stdout and stderr.

    Raises TimeoutExpired after so many seconds, not counting those for which one of them was kept waiting for a
    processor, or this process could not look: a job that hangs is told from one that runs beside others, however many,
    and takes longer for that.
    """
    left, waited, seen = seconds, dict[str, int](), time.monotonic()
    while True:
        try:
            return process.communicate(timeout=LOOK)
        except subprocess.TimeoutExpired:
            now, before = time.monotonic(), waited
            waited = dict(_waits(process.pid))
            starved = max((wait - before.get(thread, 0) for thread, wait in waited.items()), default=0) / 1e9
            left, seen = left - max(min(now - seen, 2 * LOOK) - starved, 0.0), now
            if left < 0:
                raise


def _waits(process: int) -> Iterator[tuple[str, int]]:
    """Each thread of a process and of its descendants, with the nanoseconds for which it could have run and did not."""
    for thread in Path(f"/proc/{process}/task").glob("*"):
        try:
            yield thread.name, int((thread / "schedstat").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            continue
    for child in children(process):
        yield from _waits(child)
