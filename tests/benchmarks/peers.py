"""One framework at work on one reference network: a process that takes as many steps as it is told to.

`python -m tests.benchmarks.peers PEER NETWORK BATCH [--inference] [--threads N]` prints "ready", then for every line
with a number takes one step and then that many, and prints the seconds they took; an empty line ends it, and it prints
its peak memory in bytes.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import process
from tests.benchmarks.networks import NETWORKS

PEERS = {  # peer -> the package it needs
    "cnntrain": "cnntrain",
    "cnntrain-1": "cnntrain",  # on one thread
    "torch-eager": "torch",
    "torch-channels-last": "torch",
    "torch-compile": "torch",
    "tensorflow-function": "tensorflow",
    "tensorflow-xla": "tensorflow",
    "onnxruntime": "onnxruntime",  # inference alone, of what cnntrain exports
}
CEILING = "gemm"  # beside them: plain products in NumPy
THREADS = 2  # unless told otherwise


def step_of(peer: str, network: str, batch: int, inference: bool, threads: int = THREADS) -> Callable[[], object]:
    """A step of this peer. Each imports its framework here, and no other."""
    framework, _, mode = peer.partition("-")
    if peer == CEILING:
        from tests.benchmarks import own

        return own.products_of(threads)
    if framework == "torch":
        from tests.benchmarks import in_torch

        return in_torch.step_of(network, batch, threads, inference, mode)
    if framework == "tensorflow":
        from tests.benchmarks import in_tensorflow

        return in_tensorflow.step_of(network, batch, threads, inference, mode)
    if framework == "onnxruntime":
        from tests.benchmarks import in_onnxruntime

        return in_onnxruntime.step_of(network, batch, threads)
    from tests.benchmarks import own

    return own.step_of(network, batch, int(mode or threads), inference)


def peak_bytes() -> int:
    """The most memory this process had, and what its children have for themselves.

    `ru_maxrss` would on Linux count the process that started this one, too.
    """
    if not Path("/proc/self/status").exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    me = os.getpid()
    return 1024 * process.kilobytes(me, "status", "VmHWM") + process.of_children(me)


def main() -> None:
    """Serve steps until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=[*PEERS, CEILING])
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("batch", type=int)
    parser.add_argument("--inference", action="store_true")
    parser.add_argument("--threads", type=int, default=THREADS)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    step = step_of(arguments.peer, arguments.network, arguments.batch, arguments.inference, arguments.threads)
    for _ in range(5):
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        if not line.strip():
            break
        count = int(line)
        step()  # brings this process's data back into the caches
        start = time.perf_counter()
        for _ in range(count):
            step()
        print(time.perf_counter() - start, flush=True)
    print(peak_bytes(), flush=True)


if __name__ == "__main__":
    main()
