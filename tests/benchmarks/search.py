"""What a search finds: TPE with successive halving beside random choices, after as many epochs altogether.

    python -m tests.benchmarks.search FOLDER [--seeds 0 1 2 3 4]

The problem is the quickstart network with six keys to choose, on 1,500 of its digits, judged by 1,500 others. The
search asks for 27 trials of 18 epochs, of which it goes on with one in three after 2 and 6; random choices get as many
trials of 18 epochs as come to no fewer epochs than the search has taken. Everything else is the same, the seed of
weights and batches included. One trial runs at a time, on one thread, so that the figures can be had again.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EPOCHS, TRIALS = 18, 27
KEYS = {
    "optimizer.lr": "{low: 1e-3, high: 1, log: true}",
    "optimizer.momentum": "{low: 0, high: 0.99}",
    "optimizer.weight_decay": "{low: 1e-6, high: 1e-2, log: true}",
    "model.layers.drop.rate": "{low: 0, high: 0.5}",
    "model.layers.4.filters": "{low: 8, high: 48, integer: true}",
    "train.batch_size": "[16, 32, 64]",
}
HALVING = "prune: {first: 2ep, keep: 1/3}"
IDX = f"{{type: idx, root: {ROOT}/data/mnist-mini, shape: [28, 28], classes: 10}}"
SOURCE = f"{{type: subset, fraction: 0.5, source: {IDX}}}"


def found(folder: Path, name: str, sampler: str, seed: int, count: int, prune: str = "") -> tuple[float, int]:
    """The best validation loss of a search, which is run or gone on with, and the epochs that it has trained."""
    keys = "\n".join(f"    {key}: {choice}" for key, choice in KEYS.items())
    text = (
        f"config: {ROOT}/configs/quickstart.yaml\n"
        f"set:\n  train.epochs: {EPOCHS}\n  checkpoint.best.monitor: val/loss\n  data.val: 0.5\n"
        f"  data.source: {SOURCE}\n"
        f"search:\n  count: {count}\n  sampler: {sampler}\n  seed: {seed}\n  {prune}\n  keys:\n{keys}\n"
    )
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{seed}.yaml"
    file.write_text(text)
    words = ["sweep", str(file), "-o", str(folder / file.stem), "-p", "1", "-j", "1", "--json", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "cnntrain", *words], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    document: dict[str, Any] = json.loads(done.stdout)
    (best,) = (one for one in document["search"]["trials"] if one["number"] == document["search"]["best"])
    return float(best["value"]), sum(cell["epoch"] or 0 for cell in document["cells"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Search with each seed, and print a table."""
    parser = argparse.ArgumentParser(description="TPE with successive halving beside random choices.")
    parser.add_argument("folder", type=Path, help="of all runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[*range(5)])
    options = parser.parse_args(arguments)
    values: dict[str, list[float]] = {"tpe": [], "random": []}
    print("| seed | TPE and halving | epochs | random | epochs |\n|---|---|---|---|---|")
    for seed in options.seeds:
        best, epochs = found(options.folder, "tpe", "tpe", seed, TRIALS, HALVING)
        chance, others = found(options.folder, "random", "random", seed, math.ceil(epochs / EPOCHS))
        values["tpe"].append(best)
        values["random"].append(chance)
        print(f"| {seed} | {best:.4f} | {epochs} | {chance:.4f} | {others} |", flush=True)
    if len(options.seeds) > 1:
        said = [f"{statistics.mean(row):.4f} ± {statistics.stdev(row):.4f}" for row in values.values()]
        print(f"| mean ± deviation | {said[0]} | | {said[1]} | |")


if __name__ == "__main__":
    main()
