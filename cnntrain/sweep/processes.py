"""Processes of this machine train the cells of a sweep, several at once.

They belong to a process group of their own, which Ctrl-C in a terminal does not reach: the scheduler sends them a
signal to part by, they save, and it waits for them. Where this process ends before them, the system sends it (Linux); a
sweep that is started while they are still saving leaves those cells for the end.
"""

from __future__ import annotations

import functools
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence

from cnntrain.core import launcher
from cnntrain.core.signals import PARTING, SAVING, end_with
from cnntrain.sweep import child
from cnntrain.sweep.executor import Ended
from cnntrain.sweep.standing import Standing

TICK = 0.25  # seconds between two looks
_PIECE = 2**16


class LocalExecutor:
    """An executor: up to `most` processes at a time, which share the threads."""

    def __init__(self, threads: int, most: int) -> None:
        self._threads, self._most = threads, most
        self._under_way: dict[subprocess.Popen[bytes], Standing] = {}
        self._said: dict[subprocess.Popen[bytes], bytes] = {}
        self._selector = selectors.DefaultSelector()

    @property
    def running(self) -> Collection[Standing]:
        """The cells under way."""
        return self._under_way.values()

    @property
    def free(self) -> int:
        """How many further processes may begin now."""
        return self._most - len(self._under_way)

    def begin(self, standing: Standing, waiting: int) -> bool:
        """Begin a cell, with its share of the threads that are left.

        False where the system allows no further process (ulimit -u, pids.max): it waits until another has ended.
        """
        left = self._threads - sum(one.threads for one in self.running)
        standing.threads = max(left // min(self.free, waiting), 1)
        try:
            process = begin([*standing.words, "--threads", str(standing.threads), "--quiet"])
        except BlockingIOError:
            if not self._under_way:
                raise
            return False
        self._under_way[process], self._said[process] = standing, b""
        assert process.stderr is not None
        self._selector.register(process.stderr, selectors.EVENT_READ, process)
        return True

    def look(self) -> list[Ended]:
        """Wait a moment for output of the processes; return the cells that have ended."""
        ended = []
        for key, _ in self._selector.select(TICK):
            piece = os.read(key.fd, _PIECE)
            self._said[key.data] += piece
            if not piece:  # it has closed its stderr: it has ended, or nearly so
                self._selector.unregister(key.fileobj)
                ended.append(self._end(key.data))
        return ended

    def _end(self, process: subprocess.Popen[bytes]) -> Ended:
        code = exit_code(process)
        assert process.stderr is not None
        process.stderr.close()
        return Ended(self._under_way.pop(process), code, self._said.pop(process).decode(errors="replace"))

    def send(self, number: signal.Signals) -> None:
        """Send all of them a signal."""
        for process in self._under_way:
            process.send_signal(number)

    def close(self) -> None:
        """Wait for whatever is left, after a failure of our own."""
        self.send(PARTING)
        while self._under_way:
            self.look()
        self._selector.close()


def begin(words: Sequence[str], here: str | None = None) -> subprocess.Popen[bytes]:
    """Begin a cnntrain with these words in the working directory `here`, as a process whose stderr can be read."""
    return subprocess.Popen(
        child.command(words),
        cwd=here,
        env=launcher.without(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        process_group=0,
        preexec_fn=functools.partial(_prepare, os.getpid()),
    )


def exit_code(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a process as a shell gives it: 128 plus the number of the signal that ended it."""
    code = process.wait()
    return code if code >= 0 else 128 - code


def _prepare(parent: int) -> None:
    """In a new process, before it becomes cnntrain: have the system ask it to part when the parent dies.

    It heeds that, and TERM, also where whoever started the sweep had them ignored or blocked. The wishes to part and to
    save are held back until a session is there to grant them.
    """
    for number in (signal.SIGTERM, PARTING):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    signal.pthread_sigmask(signal.SIG_BLOCK, {SAVING, PARTING})
    if sys.platform == "linux":
        end_with(parent, PARTING)
