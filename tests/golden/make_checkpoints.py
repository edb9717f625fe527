"""A checkpoint of the present format, with what the network in it computes. Made once for each format, never again.

A released file can no longer be changed, so neither can these; a new format gets a folder of its own.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.engine.pool import Pool
from cnntrain.rundir.checkpoint import FORMAT
from cnntrain.rundir.json_files import read_rows
from cnntrain.trained.inference import Trained
from tests.support.experiments import TINY, run, write
from tests.support.networks import probabilities

CHECKPOINTS = Path(__file__).parent / "checkpoints"
STOPPED = "train.steps=20"  # of 30


def images() -> Array:
    """Four pictures (4, 8, 8, 1) that no random generator has a say in."""
    return (np.arange(4 * 64) * 37 % 256).astype(np.uint8).reshape(4, 8, 8, 1)


def computed(path: Path) -> dict[str, Any]:
    """What a checkpoint says of the pictures and of its validation split."""
    with Pool(1) as pool:
        trained = Trained(path, pool)
        measured = trained.evaluate("val")
        return {
            "probabilities": probabilities(trained, images()).tolist(),
            "val": {name: measured[name] for name in ("samples", "loss", "accuracy")},
        }


def main() -> None:
    """Make the files of the present format, unless they are there."""
    folder = CHECKPOINTS / f"format-{FORMAT}"
    if folder.exists():
        return
    with tempfile.TemporaryDirectory() as scratch:
        config, directory = write(Path(scratch), TINY), Path(scratch) / "run"
        run(config, directory, ("train.epochs=null", STOPPED), threads=1)
        folder.mkdir(parents=True)
        shutil.copy(directory / "checkpoints" / "last.npz", folder)
        shutil.copy(directory / "metrics.jsonl", folder)
        found = computed(folder / "last.npz")
        run(None, directory, ("train.steps=30",), resume=True, threads=1)
        found["resumed"] = read_rows(directory / "metrics.jsonl")[-2]
    (folder / "expected.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
