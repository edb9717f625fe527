"""Processes as the system lists them: which are there, and which a process has begun."""

from __future__ import annotations

import os
from pathlib import Path


def alive(process: int) -> bool:
    """Whether a process is there and not just waiting to be buried."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def workers(process: int) -> list[int]:
    """Those it has forked, which have let go of its output; not programs that it asks something for a moment."""
    children = Path(f"/proc/{process}/task/{process}/children")
    found = children.read_text().split() if children.exists() else []
    return [child for child in map(int, found) if _output(child) == os.devnull]


def _output(process: int) -> str:
    try:
        return os.readlink(f"/proc/{process}/fd/1")
    except OSError:
        return ""
