"""Interrupts turn signals into wishes that the training loop grants between two steps.

SIGINT, SIGTERM and SIGHUP ask it to finish the step, save and stop; a second one leaves at once without saving.
SIGUSR1 asks it to save and go on. Nothing is ever saved from inside a handler. A signal that was ignored when the
process started, as nohup and shells do for background jobs, stays ignored.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """While entered, collects signals; outside the main thread it collects none."""

    def __init__(self) -> None:
        self.stop: signal.Signals | None = None  # which signal asked to stop
        self.save = False  # whether a save was asked for
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (*STOPPING, signal.SIGUSR1):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGUSR1:
            self.save = True
        elif self.stop is None:
            self.stop = signal.Signals(number)
        else:
            os._exit(128 + number)
