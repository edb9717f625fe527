"""Processes take the steps of training side by side: copies of this one, each with its own Python interpreter.

Threads share one interpreter, and queue for it whenever two NumPy operations end at about the same time; processes
meet only where a step has them wait for each other. They are forked once everything is in place, so that they have the
network and the data without a copy, and what they write for each other lies in shared memory (`arrays.shared`).
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from cnntrain.core import machine
from cnntrain.core.arrays import shared
from cnntrain.core.culprits import packed, unpacked
from cnntrain.core.errors import DataError, LostWorkerError, OutOfMemoryError, StorageError
from cnntrain.core.signals import HEEDED, end_with, in_subinterpreter
from cnntrain.core.storage import AGAIN
from cnntrain.core.watchdog import Watchdog, bark
from cnntrain.engine.team import Together
from cnntrain.reading.stored import DESCRIPTORS

if TYPE_CHECKING:
    from multiprocessing.synchronize import Semaphore

SPINS = 200, 4000  # times a token is looked for before sleeping, at least and at most: 0.1 to 2 ms
WORTH = 1e-3  # seconds: instead of a shorter sleep, looking on would have been better; waking up takes a tenth of that
PATIENCE = 0.5  # seconds between looks at whether the others live
_TEXT = 8192  # bytes of what is told of an error
_EXPECTED = (MemoryError, OutOfMemoryError, StorageError, DataError)  # what a worker may meet that is no bug
_NUMBERS = 8  # the most that are told at a time, their count included

Work = Callable[["Processes", list[float]], object]


class Processes(Together):
    """This process, of rank 0, and its copies, which wait for numbers and do `work(processes, numbers)`.

    All of them go through the same `each` calls in the same order. Raises OSError where the system gives none.
    """

    def __init__(self, size: int, work: Work) -> None:
        if sys.platform != "linux":
            raise OSError("processes are forked on Linux only: elsewhere the libraries under NumPy may not survive it")
        if in_subinterpreter():
            raise OSError("Python cannot fork in a subinterpreter")
        from multiprocessing import get_context

        context = get_context("fork")
        self.threads, self.rank = size, 0
        self._spins, most = SPINS
        crowded = size > machine.threads()  # then whoever is waited for may need this very processor
        self._most_spins = self._spins if crowded else most
        self._tokens = [context.Semaphore(0) for _ in range(size)]  # their operations order memory, too
        self._numbers = shared(_NUMBERS, np.float64)
        self._failed = shared(3, np.int64)  # the rank that failed, the length of what it says, which of _EXPECTED
        self._text = shared(_TEXT, np.uint8)
        self._parent = os.getpid()
        self._children: list[int] = []
        gc.freeze()  # a collection in a child would write to, and so copy, every page with an object
        try:
            for rank in range(1, size):
                self._children.append(self._fork(rank, work))
        except OSError:
            self.close()
            raise
        finally:
            gc.unfreeze()

    def tell(self, *numbers: float) -> None:
        """Have the others do their work with these numbers, while the caller does it too."""
        self._numbers[: len(numbers) + 1] = len(numbers), *numbers
        self._release()

    def each(self, task: Callable[[int], None]) -> None:
        """Call task(rank), and return when every process has done so.

        Raises MemoryError where another had too little, LostWorkerError where one has ended, StorageError where one
        hangs; StorageError, DataError or OutOfMemoryError where another met that, RuntimeError with its words, and its
        traceback for a cause, where it met anything else.
        """
        task(self.rank)
        self._release()
        for _ in range(self.threads - 1):
            self._take()
        if self._failed[0]:
            self._give_up()

    def alone(self, task: Callable[[], None]) -> None:
        """Call task() in the process of rank 0, while the others wait for it."""
        self.each(lambda rank: None if rank else task())

    def agree(self, flags: tuple[int, ...]) -> tuple[int, ...]:
        """The flags: there is one rank."""
        return flags

    @property
    def crew(self) -> Processes:
        """See Team."""
        return self

    def close(self) -> None:
        """End the others; they have nothing to lose."""
        if os.getpid() != self._parent:
            return  # a fork made elsewhere, which does not own them
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        for child in self._children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)
        self._children = []

    def _release(self) -> None:
        for rank, token in enumerate(self._tokens):
            if rank != self.rank:
                token.release()

    def _take(self) -> None:
        """Wait for a token of another process: look for it for as long as has paid off lately, then sleep."""
        token = self._tokens[self.rank]
        for _ in range(self._spins):
            if token.acquire(False):
                return
        slept = time.monotonic()
        self._sleep(token)
        paid = time.monotonic() - slept < WORTH
        self._spins = min(2 * self._spins, self._most_spins) if paid else max(self._spins // 2, SPINS[0])

    def _sleep(self, token: Semaphore) -> None:
        watchdog = Watchdog(PATIENCE)
        while not token.acquire(True, PATIENCE):
            if self.rank:
                if os.getppid() != self._parent:
                    os._exit(1)
            else:
                self._look(watchdog)

    def _look(self, watchdog: Watchdog) -> None:
        """Raise LostWorkerError where a child has ended, StorageError where one hangs; this one only waits."""
        for child in self._children:
            if watchdog.hangs(child, child):
                bark(f"worker process {child}")
            how = _ended(child)
            if how:
                self._children.remove(child)
                raise LostWorkerError(
                    f"worker process {child} was ended{how}, as a system does that is short of memory. "
                    f"If it was memory, use fewer threads (-j); {AGAIN}"
                )

    def _give_up(self) -> None:
        """Act on the failure of a process: the parent raises its error, the others wait to be ended."""
        if self.rank:
            self._wait_for_the_end()
        rank, length, expected = self._failed.tolist()
        said = bytes(self._text[:length])
        if expected:
            raise _EXPECTED[expected - 1](said.decode(errors="replace") or f"worker process {rank} got no memory")
        raise unpacked(said, f"worker process {rank}")

    def _fork(self, rank: int, work: Work) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of other threads: those there are hold no locks
            child = os.fork()
        if child:
            return child
        try:
            self.rank, self._children = rank, []
            self._settle()
            self._serve(work)
        finally:
            os._exit(1)

    def _settle(self) -> None:
        """Let go of what belongs to the parent: its signals, which concern the whole job, its lock and its files."""
        for number in HEEDED:
            signal.signal(number, signal.SIG_IGN)
        end_with(self._parent)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        first = 3
        for kept in sorted(DESCRIPTORS):
            os.closerange(first, kept)
            first = kept + 1
        os.closerange(first, os.sysconf("SC_OPEN_MAX"))

    def _serve(self, work: Work) -> NoReturn:
        while True:
            self._take()
            try:
                work(self, self._numbers[1 : 1 + int(self._numbers[0])].tolist())
            except BaseException as error:
                expected = next((number for number, kind in enumerate(_EXPECTED, 1) if isinstance(error, kind)), 0)
                said = str(error).encode(errors="replace")[-_TEXT:] if expected else packed(error, _TEXT)
                self._text[: len(said)] = np.frombuffer(said, np.uint8)
                self._failed[:] = self.rank, len(said), expected
                self._release()
                self._wait_for_the_end()

    def _wait_for_the_end(self) -> NoReturn:
        while os.getppid() == self._parent:
            self._tokens[self.rank].acquire(True, PATIENCE)
        os._exit(1)


def _ended(child: int) -> str:
    """How a child has ended, to follow "was ended"; empty while it lives."""
    try:
        ended, status = os.waitpid(child, os.WNOHANG)
    except ChildProcessError:  # SIGCHLD is ignored: the system has kept nothing of it
        return " by somebody"
    code = os.waitstatus_to_exitcode(status)
    return "" if not ended else f" by signal {-code}" if code < 0 else f" with exit code {code}"
