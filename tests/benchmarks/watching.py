"""What `fit --watch` costs a training: python -m tests.benchmarks.watching [PAIRS] [KEY=VALUE...].

The quickstart is trained with and without, in turns, each time in a process of its own on one thread. Compared is the
processor time of its steps and validations; how much of that the live file took is measured by itself, too, since
turns on a busy machine differ by more. The page is served by another process, whose work for one look is told.
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
from cnntrain.training.live import Live
from cnntrain.training.trainer import Trainer

def timed(kind, name):
    method = getattr(kind, name)
    def inside(*arguments):
        began = time.process_time()
        method(*arguments)
        spent[name] = spent.get(name, 0.0) + time.process_time() - began
    setattr(kind, name, inside)

spent = {}
for kind, name in ((Trainer, "fit"), (Live, "write"), (Live, "judged")):
    timed(kind, name)
run, kind, *sets = sys.argv[1:]
values = {key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in sets)}
cnntrain.fit("configs/quickstart.yaml", set=values, run_dir=run, live=kind == "live", threads=1)
print([spent["fit"], spent.get("write", 0.0) + spent.get("judged", 0.0)])
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
print([(time.process_time() - began) / int(sys.argv[2])])
"""


def measured(code: str, *arguments: str) -> list[float]:
    """The numbers that a program prints."""
    command = [sys.executable, "-c", code, *arguments]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [float(number) for number in json.loads(told)]


def main() -> None:
    """Print every pair, and the median of their ratios."""
    pairs, *sets = sys.argv[1:] or ["8"]
    ratios, shares = [], []
    with tempfile.TemporaryDirectory() as folder:
        for pair in range(int(pairs)):
            order = ("live", "without") if pair % 2 else ("without", "live")
            spent = {kind: measured(TRAIN, f"{folder}/{pair}-{kind}", kind, *sets) for kind in order}
            (plain, _), (watched, writing) = spent["without"], spent["live"]
            ratios.append(watched / plain)
            shares.append(writing / watched)
            print(
                f"{plain:.2f} s, watched {watched:.2f} s: {ratios[-1]:.4f}; for the page {shares[-1]:.2%}", flush=True
            )
        (look,) = measured(LOOK, f"{folder}/0-live", f"{LOOKS}")
    print(f"median {statistics.median(ratios):.4f}, {min(ratios):.4f} to {max(ratios):.4f}")
    print(f"for the page {min(shares):.2%} to {max(shares):.2%}; a look {1000 * look:.1f} ms")


if __name__ == "__main__":
    main()
