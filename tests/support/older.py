"""Checkpoints as version 0.1.0 wrote them: its runs are resumed, verified and inspected by every later version."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnntrain.network.tally import TALLIES
from cnntrain.rundir.checkpoint import read, save

# the second metric keeps the matrix whose sums the first keeps
COUNTED = ("train.metrics=[f1, confusion]", "checkpoint.best.monitor=val/f1")
_OTHERS = 3  # numbers of a tally before the states of metrics


def as_of_0_1_0(path: Path) -> None:
    """Write a checkpoint of a run with the metrics COUNTED again: without `numerics`, and f1 as a whole matrix, too."""
    found = read(path)
    k = len(found.meta["classes"])
    arrays = dict(found.arrays)
    for name in TALLIES:
        head, _, matrix = np.split(arrays[name], [_OTHERS, _OTHERS + 3 * k])
        assert len(matrix) == k * k
        arrays[name] = np.concatenate([head, matrix, matrix])
    environment = {key: value for key, value in found.meta["environment"].items() if key != "numerics"}
    save(path, found.meta | {"environment": environment}, arrays)
