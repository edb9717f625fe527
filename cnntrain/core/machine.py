"""The machine: the processors and the memory it has, and how much of them this process may use."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import platform
import sys
from pathlib import Path

from cnntrain.core.control_groups import limits
from cnntrain.core.errors import OutOfMemoryError

LIBRARIES = 110_000_000  # bytes of address space that NumPy, its BLAS and Pillow take when they are loaded
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_STATUS, _MEMINFO = Path("/proc/self/status"), Path("/proc/meminfo")


def threads(asked: int | None = None) -> int:
    """The number of worker threads: the number asked for, or else the number of processors this process may use.

    Those are the processors it is bound to, and no more than a container gives it time for, rounded up; where a
    container allows few processes, each worker needs two: a process and a thread.
    """
    if asked:
        return asked
    usable = getattr(os, "sched_getaffinity", None)
    bound = len(usable(0)) if usable else os.cpu_count() or 1
    allowed = limits()
    return int(max(min(bound, _whole(allowed.processors), allowed.processes / 2), 1))


def identity() -> str:
    """What tells this machine from others: its name and, since names may be shared, on Linux its latest start."""
    try:
        return f"{platform.node()} {_BOOT.read_text().strip()}"
    except OSError:
        return platform.node()


def _whole(number: float) -> float:
    return number if math.isinf(number) else math.ceil(number)


def available() -> int:
    """Bytes of physical memory of this machine, or of a limit set for this process where that is less.

    Limits are `ulimit -v` and those of its control groups.
    """
    import resource

    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return int(min(total, total if limit == resource.RLIM_INFINITY else limit, limits().memory))


def address_limit() -> str | None:
    """The limit on this process's address space in words, which is no shortage of memory; None where there is none."""
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    return f"this process may use {human(limit)} of address space (ulimit -v)"


def require_room() -> None:
    """Raise OutOfMemoryError where there is no address space for the libraries, whose own messages say less."""
    limit = address_limit()
    if limit is None:
        return
    try:
        mmap.mmap(-1, LIBRARIES).close()
    except OSError as error:
        raise OutOfMemoryError(
            f"{limit}, but NumPy alone takes {human(LIBRARIES)} besides Python. Raise the limit"
        ) from error


def held() -> int:
    """Bytes of physical memory this process has at the moment; where the system does not tell, the most it has had."""
    return _kilobytes(_STATUS, "VmRSS:") or peak()


def peak() -> int:
    """The most bytes of physical memory this process has had."""
    import resource

    # The other figure is in bytes on macOS alone, and on Linux begins with that of the process that started this one.
    unit = 1 if sys.platform == "darwin" else 1024
    return _kilobytes(_STATUS, "VmHWM:") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def free() -> int:
    """Bytes this process could still get, besides those it holds: free memory, within its limits."""
    within = int(min(max(available() - held(), 0), limits().free))
    return min(within, _kilobytes(_MEMINFO, "MemAvailable:") or within)


def _kilobytes(path: Path, field: str) -> int:
    """A field of a file like /proc/meminfo, in bytes; 0 where there is none."""
    with contextlib.suppress(OSError):
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


def human(size: float) -> str:
    """A number of bytes for people: "12.4 MB"."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
