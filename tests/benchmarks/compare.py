"""Steps of cnntrain against those of PyTorch and TensorFlow, network by network, alternating within one run.

`python -m tests.benchmarks.compare` needs the extra `bench`; a framework that is not installed is left out, with a
note. Every peer is a process of its own with two threads, or as many as `--threads` says, on as many processors. ONNX
Runtime takes part in inference, on what cnntrain exports; `--inference --batch 1` is one picture at a time. In each
alternation every peer takes about a seventh of a second of steps, one after the other, while the others are stopped, so
that what else the machine does meets all of them. Shown are medians over the alternations. A ratio is that of an
alternation, a peer's time over cnntrain's: above 1, cnntrain is faster; its spread is from the least to the largest. Of
PyTorch and of TensorFlow the mode with the least median counts. The GEMM ceiling is the speed of large products on as
many threads of NumPy, measured in the same alternations; a share above 1 means an algorithm that needs fewer products
than the definition has. The ratio to the peer `cnntrain-1`, which is left out unless it is asked for, says what the
other threads gain.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cnntrain.core import blas
from tests.benchmarks import own
from tests.benchmarks.networks import NETWORKS
from tests.benchmarks.peers import CEILING, PEERS, THREADS

TURN = 0.15  # seconds of steps a peer takes at a time
BATCHES = {"vgg_small": (64, 16, 256), "resnet20": (64, 16, 256), "resnet18": (16, 32), "mobilenet_v2": (16, 32)}
SLOW_TO_START = ("torch-compile", "tensorflow-function", "tensorflow-xla")  # left out with --quick


class Worker:
    """A peer's process; it is stopped but for its turns."""

    def __init__(self, peer: str, network: str, batch: int, inference: bool, threads: int) -> None:
        """Start it and wait until it is ready: two that spin at the same time could wait for each other for long."""
        command = [sys.executable, "-m", "tests.benchmarks.peers", peer, network, str(batch)]
        command += ["--threads", str(threads)]
        # cnntrain.core.blas has told the libraries of this process, by variables, to use one thread; not the peers'.
        environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  (it lives on with the process)
        self._process = subprocess.Popen(
            command + (["--inference"] if inference else []),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=environment,
        )
        self.steps = 1
        if self._read() != "ready":
            self._said.seek(0)
            raise SystemExit(f"{peer} did not start:\n{self._said.read()}")
        self._process.send_signal(signal.SIGSTOP)

    def calibrate(self) -> None:
        """Choose how many steps a turn has."""
        self.steps = max(1, round(TURN / self.turn()))

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _seconds(self, steps: int) -> float:
        self._write(str(steps))
        return float(self._read()) / steps

    def turn(self) -> float:
        """Take some steps; the seconds each took."""
        self._process.send_signal(signal.SIGCONT)
        seconds = self._seconds(self.steps)
        self._process.send_signal(signal.SIGSTOP)
        return seconds

    def stop(self) -> int:
        """End the process; the most bytes of memory it had."""
        self._process.send_signal(signal.SIGCONT)
        self._write("")
        peak = int(self._read())
        self._process.wait()
        return peak


@dataclass(frozen=True)
class Row:
    """What was measured of one network, batch size and kind of step."""

    network: str
    batch: int
    inference: bool
    gflop: float  # of a step, by the definition of every layer
    seconds: dict[str, list[float]]  # of a step: peer -> one for each alternation
    peak_bytes: dict[str, int]
    threads: int = THREADS

    def median(self, peer: str) -> float:
        """Seconds of a step."""
        return statistics.median(self.seconds[peer])

    def best(self, *frameworks: str) -> str | None:
        """The fastest peer of these frameworks; None where none took part."""
        peers = [peer for peer in self.seconds if peer.partition("-")[0] in frameworks]
        return min(peers, key=self.median, default=None)

    def ratios(self, peer: str) -> list[float]:
        """How many times as fast as this peer cnntrain was, for each alternation."""
        return [other / mine for other, mine in zip(self.seconds[peer], self.seconds["cnntrain"], strict=True)]

    @property
    def ceiling(self) -> float:
        """GFLOP/s of large products on as many threads."""
        return self.threads * 2 * own.GEMM**3 / self.median(CEILING) / 1e9

    def lines(self) -> list[str]:
        """The row for people: a head and a line for each peer."""
        kind = "inference" if self.inference else "training step"
        lines = [
            f"{self.network}, {kind}, batch {self.batch}: {self.gflop:.2f} GFLOP, ceiling {self.ceiling:.0f} GFLOP/s"
        ]
        for peer in self.seconds:
            if peer == CEILING:
                continue
            median, ratios = self.median(peer), self.ratios(peer)
            spread = f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            lines.append(
                f"  {peer:<20} {1000 * median:8.2f} ms {self.batch / median:8.0f} images/s  "
                f"{self.gflop / median / self.ceiling:5.0%} of the ceiling  {self.peak_bytes[peer] / 1e6:5.0f} MB  "
                + ("" if peer == "cnntrain" else spread)
            )
        return lines


def measure(
    network: str, batch: int, inference: bool, peers: Sequence[str], alternations: int, threads: int = THREADS
) -> Row:
    """Alternate between the peers on one network."""
    workers = {peer: Worker(peer, network, batch, inference, threads) for peer in (*peers, CEILING)}
    for worker in workers.values():
        worker.calibrate()
    seconds: dict[str, list[float]] = {peer: [] for peer in workers}
    for _ in range(alternations):
        for peer, worker in workers.items():
            seconds[peer].append(worker.turn())
    peaks = {peer: worker.stop() for peer, worker in workers.items()}
    return Row(network, batch, inference, own.gflop_of(network, batch, inference), seconds, peaks, threads)


def means(rows: Sequence[Row]) -> dict[str, float]:
    """The geometric mean of the median ratios to PyTorch, to TensorFlow and to the better of them."""
    found = {}
    for label, frameworks in (
        ("PyTorch", ("torch",)),
        ("TensorFlow", ("tensorflow",)),
        ("the better of both", ("torch", "tensorflow")),
        ("ONNX Runtime", ("onnxruntime",)),
    ):
        best = [(row, row.best(*frameworks)) for row in rows]
        ratios = [statistics.median(row.ratios(peer)) for row, peer in best if peer]
        if ratios:
            found[label] = statistics.geometric_mean(ratios)
    return found


def document(rows: Sequence[Row]) -> dict[str, Any]:
    """What --json prints."""
    return {"rows": [asdict(row) for row in rows], "geometric_means": means(rows)}


def _installed(peers: Sequence[str]) -> list[str]:
    missing = sorted({PEERS[peer] for peer in peers if importlib.util.find_spec(PEERS[peer]) is None})
    for package in missing:
        print(f"{package} is not installed: left out (pip install 'cnntrain[bench]')", file=sys.stderr)
    return [peer for peer in peers if PEERS[peer] not in missing]


def main() -> None:
    """Compare the networks named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NETWORK")
    parser.add_argument("--batch", type=int, nargs="+", help="by default 64, and for some networks others")
    parser.add_argument("--inference", action="store_true", help="the outputs of a batch, not a training step")
    others = [peer for peer in PEERS if not peer.startswith("cnntrain")]
    parser.add_argument("--peers", nargs="+", choices=["cnntrain-1", *others], default=others)
    parser.add_argument("--alternations", type=int, default=20)
    parser.add_argument("--threads", type=int, default=THREADS, help="of every peer")
    parser.add_argument("--quick", action="store_true", help="5 alternations, without the peers that start slowly")
    parser.add_argument("--json", action="store_true", help="print one JSON document with every time taken")
    arguments = parser.parse_args()
    asked = [peer for peer in arguments.peers if not (arguments.quick and peer in SLOW_TO_START)]
    peers = _installed([peer for peer in asked if arguments.inference or peer != "onnxruntime"])
    rows = []
    print(f"BLAS kernel: {blas.kernel()}", file=sys.stderr if arguments.json else sys.stdout)
    for network in arguments.only:
        usual = BATCHES.get(network, (64,))
        for batch in arguments.batch or (usual[:1] if arguments.quick else usual):
            rows.append(
                measure(
                    network,
                    batch,
                    arguments.inference,
                    ["cnntrain", *peers],
                    5 if arguments.quick else arguments.alternations,
                    arguments.threads,
                )
            )
            print("\n".join(rows[-1].lines()), file=sys.stderr if arguments.json else sys.stdout, flush=True)
    if arguments.json:
        json.dump(document(rows), sys.stdout)
    else:
        for label, mean in means(rows).items():
            print(f"geometric mean of the ratios to {label}: {mean:.2f}")


if __name__ == "__main__":
    main()
