"""A forecast tells how much memory, disk and time a run will take, and refuses one that the machine cannot hold."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.checks.timing import Trial, pace, saves_in, step_flops
from cnntrain.config.load import Loaded
from cnntrain.core import machine, storage
from cnntrain.core.errors import OutOfMemoryError
from cnntrain.core.machine import human
from cnntrain.core.storage import require_space
from cnntrain.data.loader import arrays_of
from cnntrain.engine import memory
from cnntrain.engine.plan import plan_of
from cnntrain.engine.pool import Pool
from cnntrain.network import build
from cnntrain.network.build import Network
from cnntrain.network.graph import Graph
from cnntrain.training import film
from cnntrain.training.job import Job
from cnntrain.training.stepper import vectors

STEPS, SECONDS = 5, 1.0  # what is timed: this many steps, and more where they are short

_PER_ARRAY = 450  # bytes a checkpoint spends on an array besides its values and twice its name: headers and digest
_PER_ROW = 400  # bytes of a row of metrics.jsonl, and of the same row in metrics.csv
_META = 5_000  # of a checkpoint: config, position, environment
_REST = 15_000  # configs, environment, log and status


def forecast(job: Job, threads: int, run_dir: Path) -> dict[str, Any]:
    """The findings of `fit --dry-run` besides the figures of the network. Takes some steps that are thrown away.

    Memory and disk follow from shapes, before any of either is taken; time from the steps. Raises OutOfMemoryError or
    StorageError where memory or disk does not suffice.
    """
    network, train = job.network, job.loaded.experiment.train
    memory = check_memory(job.loaded, network, threads)
    disk = _disk(job, run_dir)
    with Pool(threads) as pool:
        trial = Trial(job, pool)
        trial.warm_up()
        time = pace(trial, STEPS, SECONDS)
    plan = plan_of(network.graph, network.graph.shard, np.dtype(np.float32), True)
    work = sum(step_flops(plan)) * train.batch_size * train.accumulate
    return {"step_flops": work} | memory | disk | time


def check_memory(loaded: Loaded, network: Network, threads: int) -> dict[str, Any]:
    """The most bytes this process will have, including what it holds already, such as the data; and what is free.

    Raises OutOfMemoryError where it is more than there is.
    """
    batch_size = loaded.experiment.train.batch_size
    needed = memory.needed(network.graph, threads, batch_size, vectors(loaded.experiment), tally=network.tally.size)
    needed += _largest_node(network.graph)
    held, free = machine.held(), machine.free()
    if needed > free:
        raise OutOfMemoryError(
            f"training needs {human(held + needed)} of memory, {human(held)} of it for data and program; only "
            f"{human(held + free)} is available now. Lower train.batch_size ({batch_size}), or make the network, the "
            "images or the data smaller"
        )
    return {"peak_bytes": max(held + needed, machine.peak()), "free_bytes": free}


def _largest_node(graph: Graph) -> int:
    """Bytes that examining the rectifiers takes, which walks one node after the other: input, output, workspace."""
    dtype, sizes = np.dtype(np.float32), []
    for i, node in enumerate(graph.nodes):
        inputs = graph.input_shapes(i)
        space = node.layer.workspace(*inputs, n=graph.shard * node.rows, dtype=dtype)
        buffers = [*space.kept.values(), *space.scratch.values(), *space.held_in(evaluation=True).values()]
        values = graph.shard * (math.prod(node.shape) + node.rows * sum(map(math.prod, inputs)))
        own = sum(math.prod(shape) * np.dtype(kind).itemsize for shape, kind in buffers)
        sizes.append(values * dtype.itemsize + own)
    return max(sizes)


def _disk(job: Job, run_dir: Path) -> dict[str, Any]:
    """The most bytes the run directory will take, and what is free there. Raises StorageError where it is less."""
    experiment = job.loaded.experiment
    loader, horizon = job.loader, job.horizon
    one = checkpoint_bytes(job)
    count = 3 + min(experiment.checkpoint.keep, saves_in(experiment, horizon))  # last, best, and one being written
    rows = horizon.total_steps // experiment.train.log_every + math.ceil(horizon.total_steps / loader.steps_per_epoch)
    needed = count * one + 2 * rows * _PER_ROW + 8 * len(job.data.val_indices) + _REST
    moments, filmed = film.size(job)
    needed += filmed
    place = next(path for path in (run_dir.absolute(), *run_dir.absolute().parents) if path.exists())
    require_space(place, needed, f"the run, {count} checkpoints of {human(one)} for the most part")
    found = {"checkpoint_bytes": one, "checkpoints": count, "film_moments": moments, "film_bytes": filmed}
    return found | {"disk_bytes": needed, "disk_free_bytes": storage.free(place)}


def checkpoint_bytes(job: Job) -> int:
    """Bytes of one checkpoint: parameters, the optimizer's slots, averages, what transforms measured, and texts."""
    experiment, layout = job.loaded.experiment, job.network.graph.layout
    kinds = 2 if experiment.train.average else 1
    slots = len(build.optimizer(experiment).state_names())
    size = _META + 2 * job.network.tally.size * np.dtype(np.float64).itemsize
    for entry in layout.entries.values():
        copies = kinds + slots * (entry.offset < layout.trained)
        size += copies * _array_bytes(entry.name, entry.param.size)
    return size + sum(_array_bytes(name, array.size) for name, array in arrays_of(job.data.eval_transforms).items())


def _array_bytes(name: str, values: int) -> int:
    """Bytes of one array in a checkpoint."""
    return values * np.dtype(np.float32).itemsize + _PER_ARRAY + 2 * len(name)
