"""The pool runs one task for each of many indices on a fixed set of threads, the caller among them."""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType

from cnntrain import blas
from cnntrain.engine.processes import Processes
from cnntrain.engine.watchdog import Watchdog, bark

PATIENCE = 1.0  # seconds between two looks at threads that are waited for
_PACKAGE = Path(__file__).parent.parent

Task = Callable[[int, int], None]  # (worker, index)


class Pool:
    """Worker threads that live as long as the pool. With one thread everything runs in the caller, by the same code.

    Raises MemoryError where the system does not give the threads.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._reserved = self._hanging = False
        self._forked: list[Processes] = []
        self._inboxes: list[SimpleQueue[_Job | None]] = [SimpleQueue() for _ in range(threads - 1)]
        self._workers = [
            threading.Thread(target=self._serve, args=(number, inbox), name=f"cnntrain-{number}", daemon=True)
            for number, inbox in enumerate(self._inboxes, start=1)
        ]
        for worker in self._workers:
            try:
                worker.start()
            except RuntimeError as error:  # no memory for a stack, or a limit (ulimit -u)
                raise MemoryError(f"the system gives no {threads} threads") from error

    def run(self, count: int, task: Task) -> None:
        """Call task(worker, index) for every index below `count`, each once, in no particular order.

        Returns when all are done. If tasks raise, the rest of the indices are skipped and the error of the lowest
        index is raised here. Raises StorageError where a thread hangs; then the pool can only be closed.
        """
        job = _Job(count, task)
        helpers = self._inboxes[: max(count - 1, 0)]
        for inbox in helpers:
            inbox.put(job)
        job.work(0)
        for _ in helpers:
            self._wait(job)
        if job.errors:
            raise min(job.errors, key=lambda item: item[0])[1]

    def _wait(self, job: _Job) -> None:
        """Wait until one more thread is done with a job; look after them where that takes long."""
        watchdog = None
        while True:
            try:
                return job.done.get(timeout=PATIENCE)
            except Empty:
                watchdog = watchdog or Watchdog(PATIENCE)
                still = [watchdog.hangs(os.getpid(), worker.native_id or 0) for worker in self._workers]
                if all(still):  # who is done does not run, either
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

    def fork(self, work: Callable[[Processes, int], None]) -> Processes | None:
        """As many processes as the pool has threads, to do `work(processes, number)` together; they end with the pool.

        None where the system gives none.
        """
        try:
            processes = Processes(self.threads, work)
        except (OSError, ImportError):  # no fork, or none that is safe; no semaphores; a limit
            return None
        self._forked.append(processes)
        return processes

    def close(self) -> None:
        """End the threads and the processes; the pool cannot be used afterwards. One that hangs is left behind."""
        for processes in self._forked:
            processes.close()
        for inbox in self._inboxes:
            inbox.put(None)
        for worker in self._workers if not self._hanging else ():
            worker.join()
        self._inboxes, self._workers = [], []

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @staticmethod
    def _serve(number: int, inbox: SimpleQueue[_Job | None]) -> None:
        while (job := inbox.get()) is not None:
            job.work(number)
            job.done.put(None)
            del job  # an idle worker holds on to nothing


def _doing(workers: Sequence[threading.Thread]) -> str:
    """Where in this package the first thread is that does anything, as a message goes on: " in f (a/b.py:12)"."""
    frames = sys._current_frames()
    for worker in workers:
        frame = frames.get(worker.ident or 0)
        while frame is not None and (path := Path(frame.f_code.co_filename)) != Path(__file__):
            if _PACKAGE in path.parents:
                return f" in {frame.f_code.co_qualname} ({path.relative_to(_PACKAGE)}:{frame.f_lineno})"
            frame = frame.f_back
    return ""


class _Job:
    """One call of `run`: the indices still to be taken, and what went wrong."""

    def __init__(self, count: int, task: Task) -> None:
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
