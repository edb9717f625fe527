"""A watchdog tells a worker that hangs from one that is slow: a hung worker gets no CPU time and is not runnable.

A worker that computes runs, however slowly; so does one that reads from a slow disk, between two pieces. One that waits
for what never comes, such as a server's answer, does not run for a nanosecond, and Linux counts those. It is looked at
while others wait for it, and looks are counted rather than seconds: a process that was stopped, or slept with its
machine, has not looked meanwhile.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from cnntrain.core.errors import StorageError

STILL = 20.0  # seconds between looks, added up, after which a worker that has not run counts as hung
_WAITING = "SD"  # states of proc(5): asleep, and waiting for a disk


class Watchdog:
    """Looks at workers, `period` seconds after it has looked before. On systems other than Linux it sees nothing."""

    def __init__(self, period: float) -> None:
        self._most = round(STILL / period)
        self._seen: dict[int, tuple[int | None, int]] = {}  # thread -> nanoseconds it had run, looks since it last did

    def hangs(self, process: int, thread: int) -> bool:
        """Look at a thread of a process once more: whether it has now gone too many looks without running."""
        ran = _ran(Path(f"/proc/{process}/task/{thread}"))
        before, looks = self._seen.get(thread, (None, 0))
        looks = looks + 1 if ran is not None and ran == before else 0
        self._seen[thread] = (ran, looks)
        return looks >= self._most


def _ran(task: Path) -> int | None:
    """How many nanoseconds a waiting thread has run; None where it does not wait, or cannot be looked at."""
    try:
        state = (task / "stat").read_text().rpartition(")")[2].split()[0]
        ran = int((task / "schedstat").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return ran or None if state in _WAITING else None  # a system that does not count says 0


class StandstillError(StorageError):
    """A worker waits for what does not come."""


def bark(worker: str, doing: str = "") -> NoReturn:
    """Raise the StandstillError of a worker that hangs."""
    raise StandstillError(
        f"{worker} has stood still for {STILL:.0f} seconds{doing}: a disk or a file system does not answer. "
        "Mend that and run the command again"
    )
