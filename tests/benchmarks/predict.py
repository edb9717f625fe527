"""Whether `fit --dry-run` tells the truth: its time and memory against those of the run, alternating.

`python -m tests.benchmarks.predict` needs cnntrain alone. For each reference network a dry run and a run of a few
seconds take turns. A ratio is predicted over measured; measured are the seconds of the whole process and its peak of
memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import process
from tests.benchmarks.networks import NETWORKS

ROOT = Path(__file__).parents[2]
RUN = 5.0  # seconds a run should last
SAMPLES = {"mlp": 40_000, "lenet": 8_000}  # of training, so that an epoch is not over in no time
WRITE = """\
import sys
from pathlib import Path
from tests.benchmarks import own
own.write_experiment(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
"""


def _cnntrain(*arguments: str) -> process.Usage:
    return process.run("-m", "cnntrain", *arguments, "-j", "2", cwd=ROOT)


def predict(network: str, batch: int, alternations: int, folder: Path) -> tuple[list[float], list[float]]:
    """For each alternation predicted over measured, of time and of memory."""
    process.run("-c", WRITE, network, str(batch), str(SAMPLES.get(network, 1024)), str(folder), cwd=ROOT)
    config = str(folder / "experiment.yaml")
    epochs = 1
    times, peaks = [], []
    for number in range(-1, alternations):  # the first tells how many epochs a run should have
        sets = ["-s", f"train.epochs={epochs}"]
        ahead = json.loads(_cnntrain("fit", config, *sets, "-n", "--json").output)
        if number < 0:
            epochs = max(1, round(RUN / ahead["epoch_seconds"]))
            continue
        taken = _cnntrain("fit", config, *sets, "-o", str(folder / f"run{number}"), "-q")
        times.append(ahead["run_seconds"] / taken.seconds)
        peaks.append(ahead["peak_bytes"] / taken.peak_bytes)
    return times, peaks


def _text(ratios: Sequence[float]) -> str:
    off = statistics.median(abs(ratio - 1) for ratio in ratios)
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), off by {off:.0%} in the median"


def main() -> None:
    """Compare the networks named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NETWORK")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--alternations", type=int, default=10)
    arguments = parser.parse_args()
    for network in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            times, peaks = predict(network, arguments.batch, arguments.alternations, Path(folder))
        print(f"{network:<10} time {_text(times)}; memory {_text(peaks)}", flush=True)


if __name__ == "__main__":
    main()
