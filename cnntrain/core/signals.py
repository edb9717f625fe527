"""Signals that a run heeds: some ask it to stop, one asks it to save and go on."""

from __future__ import annotations

import os
import signal

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAVING = signal.SIGUSR1
HEEDED = (*STOPPING, SAVING)
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG of prctl(2)


def end_with(parent: int) -> None:
    """Have the system kill this process when its parent ends, or do it now if that has ended. Linux only."""
    import ctypes

    ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
