"""The scheduler of a sweep: a queue says which cell is next, an executor trains it, until nothing is left.

A cell is trained by `fit --resume-or-start` in a run directory of its own, so a killed one is resumed and a finished
one is left alone. A queue is the cells of a sweep file, or a search that makes them up as it goes; an executor
is processes of this machine, or a cluster. Neither knows of the other.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cnntrain.config.tree import RESOLVED
from cnntrain.core.directories import make_directory
from cnntrain.core.directory_lock import IN_USE, DirectoryLock
from cnntrain.core.errors import LostWorkerError, RunDirectoryError
from cnntrain.core.signals import PARTING, SAVING
from cnntrain.data.manifest import Listings
from cnntrain.sweep.cells import Sweep
from cnntrain.sweep.executor import Ended, Executor
from cnntrain.sweep.standing import Standing, read_status
from cnntrain.training.interrupts import Interrupts

_PATIENCE = 120.0  # seconds for which a cell whose directory is in use, such as one still saving, is tried again
_AGAIN = 1.0  # seconds between two tries
_LOSSES = 3  # how often a cell that is lost without progress is begun again

Watch = Callable[[Sequence[Standing], Standing | None], None]


class Queue(Protocol):
    """Which cell is next."""

    @property
    def standings(self) -> Sequence[Standing]:
        """All cells so far."""

    @property
    def waiting(self) -> int:
        """How many are still to come, at least as far as is known."""

    def next(self) -> Standing | None:
        """The cell to begin now, or one that has ended before it could; None where another has to end before."""

    def ended(self, standing: Standing) -> None:
        """Take note of how a cell has ended."""


class Cells:
    """A queue: the cells of a sweep file, in their order; those that are finished already are not begun."""

    def __init__(self, sweep: Sweep, folder: Path) -> None:
        self.standings = [Standing(cell, folder / cell.name, sweep.words(cell, folder)) for cell in sweep.cells]
        self._left = deque(self.standings)

    @property
    def waiting(self) -> int:
        """How many are to come."""
        return len(self._left)

    def next(self) -> Standing | None:
        """The next one, if there is one."""
        return self._left.popleft() if self._left else None

    def ended(self, standing: Standing) -> None:
        """Cells of a sweep file depend on no result."""


@dataclass(frozen=True)
class Outcome:
    """How every cell stands in the end, and the signal that stopped the sweep before it, if one did."""

    standings: Sequence[Standing]
    stopped: signal.Signals | None

    @property
    def worst(self) -> int:
        """The largest exit code; for a sweep that was stopped, that of its signal."""
        return 128 + self.stopped if self.stopped else max((one.code or 0 for one in self.standings), default=0)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder of a sweep, made if need be, for this sweep alone. Raises RunDirectoryError, also for a run's."""
    if os.path.lexists(folder / RESOLVED):
        raise RunDirectoryError(f"{folder} holds a run, which would hide the sweep's. Choose another folder (-o)")
    make_directory(folder)
    with DirectoryLock(folder):
        yield


def train(queue: Queue, executor: Executor, interrupts: Interrupts, watch: Watch) -> Outcome:
    """Train the queue's cells, and close the executor.

    `watch` is called a few times a second with all standings, and with the one that has just begun or ended, if one
    has. After INT, TERM or HUP no cell is begun, and those under way save and stop.
    """
    with contextlib.closing(executor):
        return _Scheduler(queue, executor, interrupts, watch).run()


class _Scheduler:
    """The loop, and the cells that are to be begun again."""

    def __init__(self, queue: Queue, executor: Executor, interrupts: Interrupts, watch: Watch) -> None:
        self._queue, self._executor, self._interrupts, self._watch = queue, executor, interrupts, watch
        self._listings = Listings()
        self._lost: deque[Standing] = deque()
        self._busy: deque[Standing] = deque()  # their directories are in use by others

    def run(self) -> Outcome:
        """Go on until all have ended, or, after a signal, those under way."""
        stopping = False
        while True:
            over = self._interrupts.stop is not None or (self._begin() and not self._busy)
            if over and not self._executor.running:
                return Outcome(self._queue.standings, self._interrupts.stop)
            for ended in self._executor.look():
                self._end(ended)
            self._note()
            if self._interrupts.save:
                self._interrupts.save = False
                self._executor.send(SAVING)
            if self._interrupts.stop and not stopping:
                stopping = True
                self._executor.send(PARTING)
            self._watch(self._queue.standings, None)

    def _begin(self) -> bool:
        """Begin as many cells as there is room for; return whether there was room for more than may begin now."""
        while self._executor.free > 0:
            standing = self._next()
            if standing is None:
                return True
            if standing.code is not None:
                self._tell(standing)
                continue
            if standing.keep_if_finished(self._listings):
                self._queue.ended(standing)
                self._tell(standing)
                continue
            standing.since = time.monotonic()
            if not self._executor.begin(standing, 1 + self._queue.waiting + len(self._lost) + len(self._busy)):
                standing.since = None
                self._lost.appendleft(standing)
                return False
            self._tell(standing)
        return False

    def _next(self) -> Standing | None:
        """The next cell: lost ones come first, those found in use last and after a while."""
        if self._lost:
            return self._lost.popleft()
        if standing := self._queue.next():
            return standing
        if self._busy and self._busy[0].due <= time.monotonic():
            return self._busy.popleft()
        return None

    def _end(self, ended: Ended) -> None:
        standing, code, said = ended
        standing.said += standing.cell.located(said)
        now = time.monotonic()
        in_use = code == RunDirectoryError.exit_code and IN_USE in said
        if not in_use:
            standing.busy = None
        if code is None:
            code = self._lose(standing)
        elif in_use and self._postpone(standing, now):
            code = None
        if code is None:
            standing.code, standing.since, standing.said = None, None, ""
            return
        standing.end(code, now - (standing.since or now))
        self._queue.ended(standing)
        self._tell(standing)

    def _lose(self, standing: Standing) -> int | None:
        """Begin a lost cell again; return the exit code of one that is lost every time."""
        step = read_status(standing.run_dir).get("step")
        reached = step if isinstance(step, int) else 0
        standing.lost = 1 if reached > standing.reached else standing.lost + 1
        standing.reached = max(reached, standing.reached)
        if self._interrupts.stop or standing.lost > _LOSSES:
            standing.given_up = True
            often = standing.lost > _LOSSES
            how = f"{standing.lost} times without progress" if often else "while the sweep stopped"
            standing.said += f"its worker was lost {how}\n"
            return LostWorkerError.exit_code
        self._lost.append(standing)
        return None

    def _postpone(self, standing: Standing, now: float) -> bool:
        """Whether a cell is to be tried again, since another process still has its directory."""
        standing.busy = standing.busy or now
        if now - standing.busy > _PATIENCE:
            return False
        standing.due = now + _AGAIN
        self._busy.append(standing)
        return True

    def _note(self) -> None:
        """Read how those under way stand."""
        now = time.monotonic()
        for standing in self._executor.running:
            standing.seconds = now - (standing.since or now)
            standing.status = read_status(standing.run_dir)

    def _tell(self, standing: Standing) -> None:
        self._watch(self._queue.standings, standing)
