"""A launcher has started this process as one of several: mpirun, mpiexec or srun. Most often there is none.

It speaks through environment variables, which every process that a rank starts inherits as well.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO, cast

_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")  # how many processes it has started
_RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "PMIX_RANK")  # which of them this is
_LOCAL = ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "MV2_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID")
_OURS = ("OMPI_", "PMI_", "PMIX_", "PRTE_", "MV2_COMM_", "MPI_LOCAL")

NOTICES = "OMPI_MCA_mpi_ft_enable"  # Open MPI's fault tolerance: of the launcher, which sets it, and of the library


class _Nowhere(io.TextIOBase):
    """A file that discards what is printed."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        """Discard it."""
        return len(text)


_turn: list[Any] = []  # a socket whose name says that this process speaks for all
_streams: tuple[TextIO, TextIO] = (sys.stdout, sys.stderr)  # before `silence`


def _number(names: tuple[str, ...], environment: Mapping[str, str]) -> int | None:
    values = [environment[name] for name in names if environment.get(name, "").isdecimal()]
    return int(values[0]) if values else None


def size(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes were started together, as far as the environment tells: 1 without a launcher."""
    if _number(_RANKS, environment) is None:
        return 1
    found = _number(_SIZES, environment)  # PMIx has none, but Slurm has
    return (_number(("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"), environment) or 1) if found is None else found


def rank(environment: Mapping[str, str] = os.environ) -> int:
    """Which of them this is, from 0."""
    return _number(_RANKS, environment) or 0 if size(environment) > 1 else 0


def first_on_its_machine() -> bool:
    """Whether this is the first of them on its machine."""
    return not _number(_LOCAL, os.environ)


def process() -> int:
    """The launcher's process on this machine: the first ancestor of this one that is not in its process group."""
    found = os.getppid()
    with contextlib.suppress(OSError, ValueError, IndexError):
        while found and os.getpgid(found) == os.getpgrp():
            found = int(Path(f"/proc/{found}/stat").read_text().rpartition(")")[2].split()[1])
    return found


def notices() -> bool:
    """Whether it tells the ranks that one of them was killed, and lets them go on: Open MPI's `--with-ft ulfm`."""
    return os.environ.get(NOTICES, "").lower() in ("1", "true", "yes")


def speaks_first() -> bool:
    """Whether this process is the first that this launcher has started here to ask, among those that are alive."""
    import socket

    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0cnntrain-{process()}")  # which has no file, and ends with the process
    except OSError:
        return False
    _turn.append(name)
    return True


def without(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """An environment for a program that a rank starts and that is no rank itself."""
    return {name: value for name, value in environment.items() if not name.startswith(_OURS)}


def silence() -> None:
    """Have this process print nothing: the first one speaks for all."""
    global _streams
    _streams = (sys.stdout, sys.stderr)
    sys.stdout = sys.stderr = cast(TextIO, _Nowhere())


def speak() -> None:
    """Undo `silence`."""
    sys.stdout, sys.stderr = _streams
