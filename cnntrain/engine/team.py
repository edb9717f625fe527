"""A team takes a step together: threads, or forked processes. Ranks on several machines would be one, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Team(Protocol):
    """Workers that each do their own share of a step, and wait for each other where it says so."""

    threads: int  # how many workers

    def each(self, task: Callable[[int], None]) -> None:
        """Call task(worker), from 0, once for every worker; on return all are done, and all see what was written."""
