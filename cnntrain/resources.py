"""Resources: the processors and the memory this machine has, and what a run needs of them."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import numpy as np

from cnntrain.engine.plan import plan_of
from cnntrain.engine.rows import depth
from cnntrain.engine.update import BLOCK
from cnntrain.network.graph import Graph

PROCESS = 16_000_000  # bytes of its own that a forked worker has beside what it computes in
_CONTAINER = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_STATUS, _MEMINFO = Path("/proc/self/status"), Path("/proc/meminfo")


def threads(asked: int | None = None) -> int:
    """The number of worker threads: what was asked for, else the processors this process may use."""
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
    """Bytes of physical memory this process has at the moment; where the system does not tell, the most it had."""
    return _kilobytes(_STATUS, "VmRSS:") or peak()


def peak() -> int:
    """The most bytes of physical memory this process had."""
    import resource

    # The other figure is in bytes on macOS, and on Linux begins with that of the process that started this one.
    return _kilobytes(_STATUS, "VmHWM:") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def free() -> int:
    """Bytes this process could have beside those it holds: what nobody uses, within its limits."""
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


def needed(graph: Graph, threads: int, batch_size: int, slots: int, training: bool = True) -> int:
    """Bytes for parameters, gradient and slots, for activations, and for the gradient rows being added up."""
    shard = graph.shard
    shards = -(-batch_size // shard)
    item = np.dtype(np.float32).itemsize
    vectors = 2 + slots if training else 1
    rows = threads * depth(-(-shards // threads)) if training else 0
    activations = plan_of(graph, shard, np.dtype(np.float32), training).bytes(threads, shards)
    scratch = 2 * threads * min(BLOCK, graph.layout.size) if training else 0  # of the optimizer
    forked = 0
    if training and threads > 1 and sys.platform == "linux":  # who validates are threads, with memory of their own
        forked = (threads - 1) * PROCESS + plan_of(graph, shard, np.dtype(np.float32), False).bytes(threads - 1, 0)
    return (graph.layout.size * (vectors + rows) + scratch) * item + activations + forked


def human(size: float) -> str:
    """A number of bytes for people: "12.4 MB"."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
