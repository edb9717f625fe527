"""What `fit --watch` costs a training: python -m tests.benchmarks.watching [PAIRS] [KEY=VALUE...].

The quickstart is trained with and without, in turns, each time in a process of its own on one thread. Compared is the
processor time of that process, its start and end left out; the page is served by another process, whose work for one
look at the page is told beside it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
LOOKS = 50
TRAIN = """
import sys, time
import yaml
import cnntrain
from cnntrain.training.trainer import Trainer

def timed(trainer):
    began = time.process_time()
    fit(trainer)
    print(time.process_time() - began)

fit, Trainer.fit = Trainer.fit, timed
run, kind, *sets = sys.argv[1:]
values = {key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in sets)}
cnntrain.fit("configs/quickstart.yaml", set=values, run_dir=run, live=kind == "live", threads=1)
"""
LOOK = """
import sys, time
from pathlib import Path
from cnntrain.results.watch.view import Views
views, path = Views([Path(sys.argv[1])]), Path(sys.argv[1]) / "metrics.jsonl"
views.sections()
began = time.process_time()
for number in range(int(sys.argv[2])):
    path.touch()  # as if there were news, so that the files are read again
    views.sections()
print((time.process_time() - began) / int(sys.argv[2]))
"""


def measured(code: str, *arguments: str) -> float:
    """The number that a program prints."""
    command = [sys.executable, "-c", code, *arguments]
    return float(json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout))


def main() -> None:
    """Print every pair, and the median of their ratios."""
    pairs, *sets = sys.argv[1:] or ["8"]
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for pair in range(int(pairs)):
            order = ("live", "without") if pair % 2 else ("without", "live")
            seconds = {kind: measured(TRAIN, f"{folder}/{pair}-{kind}", kind, *sets) for kind in order}
            ratios.append(seconds["live"] / seconds["without"])
            print(f"{seconds['without']:.2f} s, watched {seconds['live']:.2f} s: {ratios[-1]:.4f}", flush=True)
        look = measured(LOOK, f"{folder}/0-live", f"{LOOKS}")
    print(
        f"median {statistics.median(ratios):.4f}, {min(ratios):.4f} to {max(ratios):.4f}; a look {1000 * look:.1f} ms"
    )


if __name__ == "__main__":
    main()
