"""How long `fit` takes from the command line to the end of the first step: imports, data, building, planning, the step.

`python -m tests.benchmarks.first_step [NETWORK]` needs cnntrain alone, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.networks import NETWORKS
from tests.benchmarks.own import write_experiment

BATCH, SAMPLES = 64, 2048


def seconds(config: Path, run: Path) -> float:
    """From the start of a process to the row of its first step."""
    command = ["-m", "cnntrain", "fit", str(config), "-o", str(run), "-j", "2", "-q", "-s", "train.log_every=1"]
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command])
    try:
        while process.poll() is None:
            if (rows := run / "metrics.jsonl").exists() and '"step"' in rows.read_text():
                return time.perf_counter() - began
            time.sleep(0.002)
    finally:
        process.kill()
        process.wait()
    raise RuntimeError("fit ended before its first step")


def main() -> None:
    """Print the median and the extremes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", choices=NETWORKS, default="resnet20")
    parser.add_argument("--times", type=int, default=11)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_experiment(arguments.network, BATCH, SAMPLES, Path(folder))
        found = [seconds(Path(folder) / "experiment.yaml", Path(folder) / f"run{i}") for i in range(arguments.times)]
    print(f"{arguments.network}: {statistics.median(found):.2f} s ({min(found):.2f} to {max(found):.2f})")


if __name__ == "__main__":
    main()
