"""A forecast says how long the cells of a sweep will take, from a few training steps that are discarded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cnntrain.checks.timing import measure
from cnntrain.config.dump import plain
from cnntrain.sweep.cells import Cell, Sweep
from cnntrain.training.job import prepare

_STEPS = 5  # steps to measure, twice
_SLEEPING = ("name", "seed", "init", "schedule", "momentum_schedule", "checkpoint", "warnings")  # cost no time


def forecast(sweep: Sweep, threads: int, processes: int) -> list[float]:
    """Seconds each cell will take on its share of the threads. Cells that do the same work are measured once.

    Raises ConfigError or DataError where a cell could not be trained.
    """
    share = max(threads // max(min(processes, len(sweep.cells)), 1), 1)
    known: dict[str, float] = {}
    seconds = []
    for cell in sweep.cells:
        work = _work(cell)
        if work not in known:
            job = prepare(sweep.configs, sweep.overrides(cell), share)
            known[work] = measure(job, share, _STEPS)["run_seconds"]
        seconds.append(known[work])
    return seconds


def _work(cell: Cell) -> str:
    """The part of a config that decides how long a cell takes; the optimizer's numbers do not."""
    document: dict[str, Any] = plain(cell.loaded.experiment)
    optimizer = document["optimizer"]
    document["optimizer"] = {key: value for key, value in optimizer.items() if not isinstance(value, float)}
    return json.dumps({key: value for key, value in document.items() if key not in _SLEEPING}, sort_keys=True)


def altogether(seconds: Sequence[float], processes: int) -> float:
    """Seconds until the last of the cells ends, started in order on so many processes."""
    ends = [0.0] * processes
    for length in seconds:
        ends[ends.index(min(ends))] += length
    return max(ends)
