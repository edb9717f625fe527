"""The machine: the processors and the memory it has, and how much of them this process may use."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_CONTAINER = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_STATUS, _MEMINFO = Path("/proc/self/status"), Path("/proc/meminfo")


def threads(asked: int | None = None) -> int:
    """The number of worker threads: the number asked for, or else the number of processors this process may use."""
    if asked:
        return asked
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def available() -> int:
    """Bytes of physical memory of this machine, or of a limit set for this process where that is less.

    Limits are `ulimit -v` and that of a container.
    """
    import resource

    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    limits = [total if limit == resource.RLIM_INFINITY else limit, *(_number(path) or total for path in _CONTAINER)]
    return min(total, *limits)


def held() -> int:
    """Bytes of physical memory this process has at the moment; where the system does not tell, the most it has had."""
    return _kilobytes(_STATUS, "VmRSS:") or peak()


def peak() -> int:
    """The most bytes of physical memory this process has had."""
    import resource

    # The other figure is in bytes on macOS, and on Linux begins with that of the process that started this one.
    return _kilobytes(_STATUS, "VmHWM:") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def free() -> int:
    """Bytes this process could still get, beside those it holds: free memory, within its limits."""
    within = max(available() - held(), 0)
    return min(within, _kilobytes(_MEMINFO, "MemAvailable:") or within)


def _kilobytes(path: Path, field: str) -> int:
    """A field of a file like /proc/meminfo, in bytes; 0 where there is none."""
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


def _number(path: Path) -> int | None:
    """The number a file holds; None where there is no file, or "max" in it."""
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return None


def human(size: float) -> str:
    """A number of bytes for people: "12.4 MB"."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
