"""Threads of this program are started here, as many as the system allows, with no signal in between."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator

from cnntrain.core.signals import HEEDED, can_be_handled


def start(threads: Iterable[threading.Thread]) -> list[threading.Thread]:
    """Start threads, in order, and return those that run: fewer where a limit is met (ulimit -u, pids.max, memory)."""
    running = []
    with _deferred_signals():
        for thread in threads:
            try:
                thread.start()
            except (RuntimeError, MemoryError):  # "can't start new thread", for whatever reason
                break
            running.append(thread)
    return running


@contextlib.contextmanager
def _deferred_signals() -> Iterator[None]:
    """Have signals that Python handles wait until the end: an error from a handler would leave a thread half begun.

    Blocking them would not do, for another thread may be given them, and the handler still runs in this one.
    """
    if not can_be_handled():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in HEEDED}
    handled = {number: handler for number, handler in before.items() if callable(handler)}
    for number in handled:
        signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
    for arrived in came:
        signal.raise_signal(arrived)
