"""A keeper is what an MPI launcher sees in place of a rank: the rank is its child, and it ends when that has ended.

A launcher ends a job as soon as a process of it dies of a signal, in words of its own and with a code such as 137. The
keeper does not die of what its rank dies of. It says which rank was ended, and ends with the exit code of a lost
worker, which the launcher hands on. It is a fork from before NumPy and MPI are loaded, so it costs a few milliseconds.

Signals to a keeper are passed on to its rank, except those of the launcher or a terminal, which go to the whole process
group and so to both. There is no keeper where ranks hear of one that is gone (`mpirun --with-ft ulfm`), nor on systems
other than Linux, which cannot end a child with its parent.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
from typing import NoReturn

from cnntrain.core import launcher, terminal
from cnntrain.core.errors import LostWorkerError
from cnntrain.core.signals import HEEDED, end_with

_standing: list[int] = []  # the process of this rank's keeper
_ASKED = (*HEEDED, signal.SIGPIPE)  # a process may die of these without having been killed


def keep() -> None:
    """Return in a child, which is the rank from now on; this process stays behind as its keeper."""
    if launcher.notices() or sys.platform != "linux":
        return
    keeper = os.getpid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would hide how the rank ends
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, *HEEDED))
    rank = os.fork()
    if rank:
        _wait_for(rank)
    end_with(keeper)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.environ[launcher.NOTICES] = (
        "1"  # or a rank whose peer is gone ends the job, in Open MPI's words, before a keeper
    )
    _standing.append(keeper)


def stands() -> bool:
    """Whether this rank, and so every other, has a keeper, which reports that it was killed and has the job ended."""
    return bool(_standing)


def _wait_for(rank: int) -> NoReturn:
    """Pass signals on until the rank has ended, and end as it did, or as one that was lost."""
    theirs = (0, launcher.process())  # 0 for the system: somebody has typed Ctrl-C
    while True:
        came = signal.sigwaitinfo((signal.SIGCHLD, *HEEDED))
        ended, status = os.waitpid(rank, os.WNOHANG)
        if ended:
            os._exit(_outcome(os.waitstatus_to_exitcode(status)))
        if came.si_signo != signal.SIGCHLD and came.si_pid not in theirs:
            os.kill(rank, came.si_signo)


def _outcome(code: int) -> int:
    """The exit code for how the rank has ended: its own, or minus the number of a signal."""
    if code >= 0:
        return code
    number = -code
    if number in _ASKED:
        return 128 + number
    if launcher.speaks_first():
        name = next((known.name for known in signal.Signals if known == number), f"signal {number}")  # real-time: none
        starved = number == signal.SIGKILL
        how = "from outside, as a system does that is short of memory" if starved else f"by {name}"
        terminal.err(
            f"cnntrain: error: rank {launcher.rank()} on {platform.node()} was ended {how}. Run the command again, to "
            "go on with --resume"
        )
    return LostWorkerError.exit_code
