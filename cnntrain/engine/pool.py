"""The pool runs one task for each of many indices on a fixed set of threads, the caller among them."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TypeVar

from cnntrain.core import blas
from cnntrain.core.threads import start
from cnntrain.core.watchdog import Watchdog, bark
from cnntrain.engine.processes import Processes
from cnntrain.engine.ranks import ALONE, Ranked, Ranks
from cnntrain.engine.roster import Roster
from cnntrain.engine.team import Team, Together
from cnntrain.reading.attended import read_by

PATIENCE = 1.0  # seconds between two looks at threads that are waited for
_PACKAGE = Path(__file__).parent.parent
_pools: weakref.WeakSet[Pool] = weakref.WeakSet()

T = TypeVar("T")
ShardWork = Callable[[int, int], None]  # (worker, index)
# (team, *numbers): the part of one member of a team, done at the same time as the others'
WorkerCall = Callable[..., object]


class Pool(Together):
    """Worker threads that live as long as the pool. With one thread everything runs in the caller, by the same code.

    Where the system gives fewer threads than asked for there are fewer, after a warning: no bit depends on it. Steps
    are taken together with the pools of the other `ranks`.

    Several threads may call `run` at a time, and each is worker 0 of its own call: what computes in memory that belongs
    to workers holds `computing` meanwhile. In a process forked from the one that made the pool there are no workers but
    the caller, until it makes a pool of its own.
    """

    def __init__(self, threads: int, ranks: Ranks = ALONE) -> None:
        self._reserved = self._hanging = False
        self.computing = threading.RLock()
        self._posting = threading.Lock()  # so that no job comes behind the end of its thread
        self._jobs: list[WorkerCall] = []
        self._processes: Processes | None = None
        self._known = 0  # how many of the jobs the processes know
        self._inboxes: list[SimpleQueue[_Run | None]] = [SimpleQueue() for _ in range(threads - 1)]
        workers = [
            threading.Thread(target=self._serve, args=(number, inbox), name=f"cnntrain-{number}", daemon=True)
            for number, inbox in enumerate(self._inboxes, start=1)
        ]
        self._workers = start(workers)
        self.threads = 1 + len(self._workers)
        del self._inboxes[len(self._workers) :]
        if self.threads < threads:
            warnings.warn(
                f"the system gives {self.threads} of {threads} threads (ulimit -u, ulimit -v or a container's limit), "
                "so there are that many; results are the same",
                RuntimeWarning,
                stacklevel=2,
            )
        self.ranks = ranks
        self.roster = Roster(tuple(ranks.tell(self.threads)), ranks.rank)
        _pools.add(self)

    def run(self, count: int, task: ShardWork) -> None:
        """Call task(worker, index) for every index below `count`, each once, in no particular order.

        Returns when all are done. If tasks raise, the rest of the indices are skipped and the error of the lowest
        index is raised here. Raises StorageError where a thread hangs; then the pool can only be closed.
        """
        job = _Run(count, task)
        with self._posting:
            helpers = self._inboxes[: max(count - 1, 0)]
            for inbox in helpers:
                inbox.put(job)
        job.work(0)
        for _ in helpers:
            self._wait(job)
        if job.errors:
            raise min(job.errors, key=lambda item: item[0])[1]

    def _wait(self, job: _Run) -> None:
        """Wait until one more thread is done with a job; check on them where that takes long."""
        watchdog = None
        while True:
            try:
                return job.done.get(timeout=PATIENCE)
            except Empty:
                watchdog = watchdog or Watchdog(PATIENCE)
                still = [watchdog.hangs(os.getpid(), worker.native_id or 0) for worker in self._workers]
                if all(still):  # a thread that is done does not run, either
                    self._hanging = True
                    bark("a worker thread", _doing(self._workers))

    def reserve(self) -> None:
        """Let BLAS take now what each thread needs to multiply, once. Raises MemoryError where there is too little."""
        if not self._reserved:
            blas.reserve(self.threads, self.run)
            self._reserved = True

    def each(self, task: Callable[[int], None]) -> None:
        """Call task(worker) for every worker, and return when all are done."""
        self.run(self.threads, lambda _thread, worker: task(worker))

    def alone(self, task: Callable[[], None]) -> None:
        """Call task(): the threads do nothing meanwhile."""
        task()

    @property
    def crew(self) -> Pool:
        """See Team."""
        return self

    def agree(self, flags: tuple[int, ...]) -> tuple[int, ...]:
        """The largest of each flag over all ranks, each of which knows its own.

        A signal reaches one process and time is up for each at its own moment, but all have to leave the same step.
        """
        return self.ranks.agree(flags)

    def ranked(self, crew: Team) -> Team:
        """The team that the workers of this rank, threads or processes, are part of."""
        return Ranked(crew, self.ranks, self.roster) if self.ranks.size > 1 else crew

    def register(self, job: WorkerCall) -> int:
        """Make a job known to processes forked later; returns its number, to be told before those it is done with."""
        self._jobs.append(job)
        return len(self._jobs) - 1

    def fork(self) -> None:
        """Fork as many processes as threads, unless the system gives none; they end with the pool."""
        jobs = tuple(self._jobs)
        self.end_processes()
        with contextlib.suppress(OSError, ImportError):  # no fork, or none that is safe; no semaphores; a limit
            self._processes = Processes(self.threads, lambda team, said: jobs[int(said[0])](team, *said[1:]))
            self._known = len(jobs)

    def team(self, job: int) -> Team:
        """The team for a job: the processes that are there and know it, or the threads of this pool."""
        return self._processes if self._processes and job < self._known else self

    def lead(self, team: Team, job: int, numbers: tuple[float, ...], mine: Callable[[Team], T]) -> T:
        """Do a job with its team: `mine(team)` here, while processes, told the numbers, do theirs; return its result.

        Where it fails, the processes end, since nothing tells how far they have got.
        """
        try:
            if isinstance(team, Processes):
                team.tell(job, *numbers)
            return mine(team)
        except BaseException:
            self.end_processes()
            raise

    def end_processes(self) -> None:
        """End the processes; what they had in hand is lost."""
        if self._processes:
            self._processes.close()
        self._processes = None

    def close(self) -> None:
        """End the threads, which do what they have begun, and the processes; what is run afterwards, the caller does.

        A thread that hangs is left behind.
        """
        self.end_processes()
        with self._posting:
            inboxes, self._inboxes = self._inboxes, []
            for inbox in inboxes:
                inbox.put(None)
        for worker in self._workers if not self._hanging else ():
            worker.join()
        self._workers = []

    def after_fork(self) -> None:
        """Work alone, in a child process: threads stay behind, and one of them may have held a lock."""
        self.computing, self._posting = threading.RLock(), threading.Lock()
        self._inboxes, self._workers = [], []

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @staticmethod
    def _serve(number: int, inbox: SimpleQueue[_Run | None]) -> None:
        while (job := inbox.get()) is not None:
            job.work(number)
            job.done.put(None)
            del job  # an idle worker holds on to nothing


def _after_fork() -> None:
    for pool in [*_pools]:
        pool.after_fork()


os.register_at_fork(after_in_child=_after_fork)


def _doing(workers: Sequence[threading.Thread]) -> str:
    """Where in this package the first busy thread is, and what it reads: " in f (a/b.py:12) at /data/a.png".

    That is one that reads, if any does: others may wait for it.
    """
    frames = sys._current_frames()
    reading = [worker for worker in workers if read_by(worker)]
    for worker in reading or workers:
        frame = frames.get(worker.ident or 0)
        while frame is not None and (path := Path(frame.f_code.co_filename)) != Path(__file__):
            if _PACKAGE in path.parents:
                place = f"{path.relative_to(_PACKAGE)}:{frame.f_lineno}"
                return f" in {frame.f_code.co_qualname} ({place}){read_by(worker)}"
            frame = frame.f_back
    return read_by(reading[0]) if reading else ""


class _Run:
    """One call of `run`: the indices still to be taken, and what went wrong."""

    def __init__(self, count: int, task: ShardWork) -> None:
        self._count, self._task = count, task
        self._next = itertools.count()
        self._lock = threading.Lock()
        self.errors: list[tuple[int, BaseException]] = []
        self.done: SimpleQueue[None] = SimpleQueue()

    def work(self, worker: int) -> None:
        while not self.errors:
            with self._lock:
                index = next(self._next)
            if index >= self._count:
                return
            try:
                self._task(worker, index)
            except BaseException as error:
                with self._lock:
                    self.errors.append((index, error))
