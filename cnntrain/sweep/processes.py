"""Processes train the cells of a sweep, several at once, each as the `cnntrain fit` a user would type.

A cell is trained by `fit --resume-or-start` in a run directory of its own, so whatever is killed is resumed, and what
is finished is left alone. The processes belong to a group of their own, which Ctrl-C in a terminal does not reach: they
get one TERM from here, save, and are waited for. Where this process is killed, the system sends them the TERM (Linux);
a sweep that is started while they still save takes those cells up at the end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnntrain.core import files, strict_json
from cnntrain.core.errors import RunDirectoryError, StorageError
from cnntrain.core.files import IN_USE, DirectoryLock, read_limited
from cnntrain.sweep import child
from cnntrain.sweep.cells import Cell, Sweep
from cnntrain.training.interrupts import Interrupts

OUTCOMES = {  # exit code -> what became of a cell
    0: "finished",
    1: "a bug",
    2: "wrong config",
    3: "wrong data",
    4: "wrong checkpoint",
    5: "cannot write",
    6: "diverged",
    7: "out of memory",
    8: "directory in use",
    129: "stopped",
    130: "stopped",
    143: "stopped",
}
_TICK = 0.25  # seconds between two looks at the processes
_PATIENCE = 120.0  # seconds a cell whose directory is in use is tried again for, such as one that still saves
_AGAIN = 1.0  # seconds until it is
_PIECE = 2**16
_STATUS_LIMIT = 2**16
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG of prctl(2)


@dataclass
class Standing:
    """How a cell stands. `code` is its exit code once it has one; `said` what its process wrote on stderr."""

    cell: Cell
    run_dir: Path
    threads: int = 0
    code: int | None = None
    since: float | None = None
    seconds: float = 0.0
    status: dict[str, Any] = field(default_factory=dict)  # its status.json
    said: str = ""
    busy: float | None = None  # when its directory was first found in use
    due: float = 0.0  # not to be begun before

    @property
    def state(self) -> str:
        """One or two words."""
        if self.code is not None:
            return OUTCOMES.get(self.code, "killed")
        return "running" if self.since is not None else "waiting"


Watch = Callable[[Sequence[Standing], Standing | None], None]


@dataclass(frozen=True)
class Outcome:
    """How every cell stands in the end, and the signal that stopped the sweep before it, if one did."""

    standings: list[Standing]
    stopped: signal.Signals | None

    @property
    def worst(self) -> int:
        """The largest exit code; of a sweep that was stopped, what its signal makes it."""
        return 128 + self.stopped if self.stopped else max(standing.code or 0 for standing in self.standings)


def train(sweep: Sweep, folder: Path, threads: int, processes: int, watch: Watch) -> Outcome:
    """Train every cell in `folder`.

    `threads` are shared by up to `processes` cells at a time. `watch` is called a few times a second with all
    standings, and with the one that has just begun or ended, if one has. After INT, TERM or HUP no cell is begun, and
    those under way save and stop. Raises RunDirectoryError where another sweep is at work in the folder.
    """
    files.make_directory(folder)
    standings = [Standing(cell, folder / cell.name) for cell in sweep.cells]
    waiting = [*standings]

    def changed(standing: Standing | None = None) -> None:
        watch(standings, standing)

    with (
        Interrupts() as interrupts,
        DirectoryLock(folder),
        contextlib.closing(_Processes(changed, waiting)) as processes_,
    ):
        while processes_.running or (waiting and not interrupts.stop):
            while (due := _due(waiting)) and processes_.count < processes and not interrupts.stop:
                slots = min(processes - processes_.count, len(due))
                share = max((threads - processes_.threads) // slots, 1)
                standing = due[0]
                waiting.remove(standing)
                try:
                    processes_.start(standing, sweep.arguments(standing.cell, folder), share)
                except BlockingIOError:  # a limit of processes (ulimit -u, pids.max): it waits until another has ended
                    if not processes_.running:
                        raise
                    waiting.insert(0, standing)
                    break
            processes_.look()
            if interrupts.save:
                interrupts.save = False
                processes_.signal(signal.SIGUSR1)
            if interrupts.stop:
                processes_.terminate()
            changed()
        return Outcome(standings, interrupts.stop)


def _due(waiting: Sequence[Standing]) -> list[Standing]:
    """The cells that may begin now: those that were found in use come last, and after a while."""
    now = time.monotonic()
    return sorted((standing for standing in waiting if standing.due <= now), key=lambda one: one.busy is not None)


class _Processes:
    """The processes under way, and what they write. `changed` is called with a cell that has begun or ended.

    A cell whose directory is in use goes back to those `waiting`.
    """

    def __init__(self, changed: Callable[[Standing], None], waiting: list[Standing]) -> None:
        self._waiting = waiting
        self.running: dict[subprocess.Popen[bytes], Standing] = {}
        self._changed = changed
        self._selector = selectors.DefaultSelector()
        self._terminated = False

    @property
    def count(self) -> int:
        """How many cells are under way."""
        return len(self.running)

    @property
    def threads(self) -> int:
        """How many threads they have."""
        return sum(standing.threads for standing in self.running.values())

    def start(self, standing: Standing, words: Sequence[str], threads: int) -> None:
        """Begin a cell: `cnntrain` with these words, and so many threads."""
        standing.threads, standing.since = threads, time.monotonic()
        process = subprocess.Popen(
            child.command([*words, "--threads", str(threads), "--quiet"]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            process_group=0,
            preexec_fn=_prepare,
        )
        self.running[process] = standing
        assert process.stderr is not None
        self._selector.register(process.stderr, selectors.EVENT_READ, process)
        self._changed(standing)

    def look(self) -> None:
        """Wait a moment for what the processes say, and take note of those that have ended."""
        for key, _ in self._selector.select(_TICK):
            piece = os.read(key.fd, _PIECE)
            self.running[key.data].said += piece.decode(errors="replace")
            if not piece:  # it has closed its stderr: it has ended, or nearly so
                self._selector.unregister(key.fileobj)
                self._end(key.data)
        now = time.monotonic()
        for standing in self.running.values():
            standing.seconds = now - (standing.since or now)
            standing.status = read_status(standing.run_dir)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        assert process.stderr is not None
        process.stderr.close()
        standing = self.running.pop(process)
        standing.code = code if code >= 0 else 128 - code
        standing.seconds = time.monotonic() - (standing.since or 0.0)
        standing.status = read_status(standing.run_dir)
        if not self._postponed(standing):
            self._changed(standing)

    def _postponed(self, standing: Standing) -> bool:
        """Whether a cell that has ended is to be tried again, since another process still has its directory."""
        now = time.monotonic()
        if standing.code != RunDirectoryError.exit_code or IN_USE not in standing.said:
            return False
        standing.busy = standing.busy or now
        if now - standing.busy > _PATIENCE:
            return False
        standing.code, standing.since, standing.said, standing.due = None, None, "", now + _AGAIN
        self._waiting.append(standing)
        return True

    def signal(self, number: signal.Signals) -> None:
        """Send all of them a signal."""
        for process in self.running:
            process.send_signal(number)

    def terminate(self) -> None:
        """Ask all of them to save and leave: once, for a second TERM would make them leave without saving."""
        if not self._terminated:
            self._terminated = True
            self.signal(signal.SIGTERM)

    def close(self) -> None:
        """Wait for whatever is left, after a failure of our own."""
        self.terminate()
        while self.running:
            self.look()
        self._selector.close()


def read_status(run_dir: Path) -> dict[str, Any]:
    """A run's status.json, a hint; nothing where there is none, or none that can be read."""
    try:
        status = strict_json.decode(read_limited(run_dir / "status.json", _STATUS_LIMIT, ValueError).decode())
    except (ValueError, StorageError):
        return {}
    return status if isinstance(status, dict) else {}


_libc = ctypes.CDLL(None)


def _prepare() -> None:
    """In a new process, before it becomes cnntrain: heed TERM, and have the system send it when the parent dies.

    TERM is how a cell is asked to save and leave, also where whoever started the sweep had it ignored or blocked.
    USR1, which asks to save, is held back until there is something to be saved.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    if sys.platform == "linux":
        _libc.prctl(_PARENT_DEATH, int(signal.SIGTERM))
