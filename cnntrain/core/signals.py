"""Signals that a run heeds: some ask it to stop, one asks it to save and go on.

A sweep has a signal of its own to ask its runs to stop, which the system sends, too, where the sweep has died. For a
run may have been sent TERM already by whoever stopped the sweep, such as a service manager, and a second one means: at
once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAVING = signal.SIGUSR1
PARTING = signal.SIGUSR2
HEEDED = (*STOPPING, SAVING, PARTING)
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG of prctl(2)
_ours: list[int] = []  # this process, once it is ours


def take_over() -> None:
    """Say that this process is ours, and no program that has imported us: then sessions heed PARTING, too.

    SAVING and PARTING are blocked until there is one: before, nothing can be saved, and nobody must die of the request.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {SAVING, PARTING})
    _ours.append(os.getpid())


def can_be_handled() -> bool:
    """Whether handlers can be installed here: in the main thread, and no subinterpreter."""
    return threading.current_thread() is threading.main_thread() and not in_subinterpreter()


def in_subinterpreter() -> bool:
    """Whether the main thread, from which this is to be asked, runs an interpreter other than the process's own."""
    try:
        signal.signal(signal.SIGKILL, signal.SIG_DFL)  # which nobody may: but first Python looks at who asks
    except ValueError:
        return threading.current_thread() is threading.main_thread()
    except OSError:
        pass
    return False


def heeded() -> tuple[signal.Signals, ...]:
    """What a session heeds in this process. PARTING may mean something else to a program of which it is a part."""
    return HEEDED if _ours else tuple(number for number in HEEDED if number != PARTING)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Within it, what a terminal sends to all of its programs at once waits, and reaches this thread afterwards.

    It never reaches threads and processes that are started within, nor those that they start.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Have the system send this process a signal when its parent ends; leave now if that has ended. Linux only."""
    import ctypes

    ctypes.CDLL(None).prctl(_PARENT_DEATH, int(number))
    if os.getppid() != parent:
        os._exit(1)
