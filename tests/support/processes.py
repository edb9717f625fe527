"""Processes as the system lists them: which are there, and which a process has started."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path


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
