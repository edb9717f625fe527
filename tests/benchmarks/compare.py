"""A training step of cnntrain against PyTorch's, network by network, alternating within one run.

`python -m tests.benchmarks.compare [NETWORK ...]` needs the extra `bench`. Every peer is a process of its own with
two threads; in each round every peer takes about a quarter of a second of steps, one after the other, so that what
else the machine does meets all of them. Printed are medians over the rounds, and the median, least and largest ratio
of a round to the best mode of PyTorch (above 1: cnntrain is faster).
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import time

import numpy as np

from cnntrain import blas
from tests.benchmarks.networks import NETWORKS
from tests.benchmarks.peers import PEERS

PAUSE = 0.3  # seconds between two peers, for their threads to fall asleep


class Worker:
    """A peer's process."""

    def __init__(self, peer: str, network: str, batch: int, inference: bool) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.peers", peer, network, str(batch)]
        self._process = subprocess.Popen(
            command + (["--inference"] if inference else []),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._read() != "ready":
            raise SystemExit(f"{' '.join(command)} did not start")
        self.steps = max(1, round(0.25 / self.seconds(2)))

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def seconds(self, steps: int | None = None) -> float:
        """Seconds a step takes, over so many of them."""
        count = steps or self.steps
        self._write(str(count))
        return float(self._read()) / count

    def stop(self) -> float:
        """End the process; its peak memory in MB."""
        self._write("")
        peak = float(self._read()) / 1024
        self._process.wait()
        return peak


def gemm_ceiling() -> float:
    """GFLOP/s of one thread on a large product, for scale."""
    blas.pin()
    a = np.ones((1024, 1024), np.float32)
    best = math.inf
    for _ in range(10):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * 1024**3 / best / 1e9


def compare(network: str, batch: int, rounds: int, inference: bool, peers: list[str]) -> float:
    """Print a network's row; returns the median ratio to the best peer."""
    workers = {peer: Worker(peer, network, batch, inference) for peer in peers}
    times: dict[str, list[float]] = {peer: [] for peer in peers}
    for _ in range(rounds):
        for peer, worker in workers.items():
            time.sleep(PAUSE)
            times[peer].append(worker.seconds())
    peaks = {peer: worker.stop() for peer, worker in workers.items()}
    medians = {peer: statistics.median(values) for peer, values in times.items()}
    best = min((peer for peer in peers if peer != "cnntrain"), key=medians.__getitem__)
    ratios = [other / own for other, own in zip(times[best], times["cnntrain"], strict=True)]
    shown = "  ".join(f"{peer} {1000 * medians[peer]:.1f} ms {peaks[peer]:.0f} MB" for peer in peers)
    ratio = statistics.median(ratios)
    print(
        f"{network:<10} {batch:>4}  {shown}  {batch / medians['cnntrain']:.0f} images/s  "
        f"ratio to {best} {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        flush=True,
    )
    return ratio


def main() -> None:
    """Compare the networks named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(NETWORKS) + "; by default all")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--inference", action="store_true")
    parser.add_argument("--peers", nargs="+", choices=PEERS[1:], default=list(PEERS[1:]))
    arguments = parser.parse_args()
    unknown = [name for name in arguments.networks if name not in NETWORKS]
    if unknown:
        parser.error(f"no network {unknown[0]!r}; there are {', '.join(NETWORKS)}")
    print(f"one thread of NumPy multiplies at {gemm_ceiling():.0f} GFLOP/s")
    peers = ["cnntrain", *arguments.peers]
    ratios = [
        compare(name, arguments.batch, arguments.rounds, arguments.inference, peers)
        for name in arguments.networks or NETWORKS
    ]
    print(f"geometric mean of the ratios: {statistics.geometric_mean(ratios):.2f}")


if __name__ == "__main__":
    main()
