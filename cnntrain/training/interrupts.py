"""Interrupts turn signals, and time running out, into requests that the training loop honours between two steps.

SIGINT, SIGTERM and SIGHUP ask it to finish the step, save and stop; a second one leaves at once without saving, unless
it comes so soon that it repeats the first: `timeout`, service managers and terminals often send one to a process and to
its group. SIGUSR2 asks for the same as the first, however often, and is for a sweep and its runs: a program that has
imported us keeps it for itself. SIGUSR1 asks it to save and go on. Before there is a step to finish, the first one ends
the session with a StoppedError. Nothing is ever saved from inside a handler. A signal that was ignored when the process
started, as nohup and shells do for background jobs, stays ignored. But blocked signals are unblocked, and SIGCHLD is
heeded, however the daemon or job runner that started the process left them: otherwise nobody would learn how a child
ended.

Outside, SIGUSR1 and SIGUSR2 are blocked from the program's start: a session that is just beginning or ending has
nothing to save, and must not die of the request. What each signal does is a table in cli/README.md.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, ClassVar, NamedTuple

from cnntrain.core import shell
from cnntrain.core.errors import PausedError, StoppedError
from cnntrain.core.signals import PARTING, SAVING, can_be_handled, heeded

BURST = 0.5  # seconds after a signal in which others say no more than it


def saved_after(step: int, run: Path) -> str:
    """The end of a message about a session that has saved after this many steps."""
    return f"after step {step}, which is saved. Go on with: cnntrain fit --run-dir {shell.word(run)} --resume"


class Wishes(NamedTuple):
    """Requests to be granted between two steps, as numbers on which several processes can agree; 0 is none."""

    stop: int = 0  # the number of the signal
    save: int = 0
    late: int = 0  # time is up

    def grant(self, step: int, run: Path) -> None:
        """After this many steps, the last of them saved, raise StoppedError or PausedError if one was asked for."""
        how = saved_after(step, run)
        if self.stop:
            number = signal.Signals(self.stop)
            raise StoppedError(f"stopped by {number.name} {how}", number)
        if self.late:
            raise PausedError(f"paused by --max-time {how}")


class Interrupts:
    """While entered, collects signals; outside the main thread, and in a subinterpreter, it collects none.

    Entered within another, it is that one: the caller of a session holds its signals, and counts its time, for longer.
    """

    _held: ClassVar[Interrupts | None] = None  # by the main thread

    def __init__(self, seconds: float | None = None) -> None:
        """`seconds` from now on, time is up; None: never."""
        self._end = math.inf if seconds is None else time.monotonic() + seconds
        self.stop: signal.Signals | None = None  # which signal asked to stop
        self.save = False  # whether a save was asked for
        self._since = 0.0  # when it did
        self._at_once = False
        self._before: dict[signal.Signals, Any] = {}
        self._blocked: set[Any] | None = None

    def __enter__(self) -> Interrupts:
        if can_be_handled():
            if Interrupts._held is not None:
                return Interrupts._held
            Interrupts._held = self
            if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
                self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in heeded():
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
            self._blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, (*heeded(), signal.SIGCHLD))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if Interrupts._held is self:
            Interrupts._held = None
        if self._blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wishes(self, late: bool) -> Wishes:
        """The requests since the last call; `late` says whether time was up when it was checked."""
        save, self.save = self.save, False
        return Wishes(self.stop or 0, save, late)

    @property
    def time_is_up(self) -> bool:
        """Whether the wall-clock time that was granted has passed."""
        return time.monotonic() >= self._end

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Within it, a signal that asks to stop raises StoppedError where it arrives: there is nothing to finish.

        If it arrives in something that lets no error out, such as a finalizer, the error is raised at the end. None
        arrives outside the main thread, where this does nothing: hooks are the process's.
        """
        if not can_be_handled():
            yield
            return
        self._at_once, hook = True, sys.unraisablehook
        sys.unraisablehook = lambda lost: None if isinstance(lost.exc_value, StoppedError) else hook(lost)
        try:
            self._leave_if_asked()
            yield
            self._leave_if_asked()
        finally:
            self._at_once, sys.unraisablehook = False, hook

    def _leave_if_asked(self) -> None:
        if self._at_once and self.stop is not None:
            raise StoppedError(f"stopped by {self.stop.name} before training; nothing was changed", self.stop)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == SAVING:
            self.save = True
        elif self.stop is None:
            self.stop = signal.SIGTERM if number == PARTING else signal.Signals(number)
            self._since = time.monotonic()
            self._leave_if_asked()
        elif number != PARTING and time.monotonic() - self._since > BURST:
            os._exit(128 + number)
