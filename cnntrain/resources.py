"""Resources: the processors and the memory this machine has, and what a run needs of them."""

from __future__ import annotations

import os

from cnntrain.engine.plan import Plan
from cnntrain.graph import Graph

# isort: split
import numpy as np


def threads(asked: int | None = None) -> int:
    """The number of worker threads: what was asked for, else the processors this process may use."""
    if asked:
        return asked
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def available() -> int:
    """Bytes of physical memory of this machine, or of the limit set for this process (ulimit -v) where that is less."""
    import resource

    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return total if limit == resource.RLIM_INFINITY else min(total, limit)


def needed(graph: Graph, threads: int, batch_size: int, slots: int, training: bool = True) -> int:
    """Bytes for parameters, gradient and slots, for activations, and for the gradient rows being added up."""
    shard = graph.shard
    shards = -(-batch_size // shard)
    item = np.dtype(np.float32).itemsize
    vectors = 2 + slots if training else 1
    rows = threads + shards.bit_length() if training else 0
    activations = Plan(graph, shard, np.dtype(np.float32), training).bytes(threads, shards)
    return graph.layout.size * item * (vectors + rows) + activations


def human(size: float) -> str:
    """A number of bytes for people: "12.4 MB"."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
