"""Timing measures where the time of a training step goes, node by node, and predicts how long a run will take."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from cnntrain.config.schema import Experiment
from cnntrain.data.loader import Samples, arrays_of
from cnntrain.engine.engine import Engine
from cnntrain.engine.plan import Call, Plan
from cnntrain.engine.pool import Pool
from cnntrain.engine.vitals import Vitals
from cnntrain.network.graph import BATCH
from cnntrain.parts.schedules.base import Horizon
from cnntrain.rundir import checkpoint
from cnntrain.training.job import Job

WARM_UP = 2  # steps that are not counted: they take memory and fill caches
_BACKWARD = ("recompute", "fill_back", "partial_back", "backward")


class Trial:
    """Training that is thrown away: the steps that `fit` would take, and what it does at the end of an epoch."""

    def __init__(self, job: Job, pool: Pool) -> None:
        self.job = job
        self._stepper = job.stepper(pool)
        self._stepper.initialize()
        self.engine = self._stepper.engine
        self._numbers = itertools.count()

    def warm_up(self) -> None:
        """Take the first steps, which allocate memory and fill caches."""
        for _ in range(WARM_UP):
            self.step()

    def step(self) -> tuple[int, float]:
        """Take one step without changing the weights, so that many cannot diverge; returns its samples and seconds."""
        start = time.perf_counter()
        taken = self._stepper.step(next(self._numbers), lr=0.0)
        return self.engine.tally.samples(taken.tally), time.perf_counter() - start

    def image_seconds(self, steps: int, least: float = 0.0) -> float:
        """Seconds a training image takes, measured over `steps` steps or `least` seconds, whichever is longer."""
        images, seconds, taken = 0, 0.0, 0
        while taken < steps or seconds < least:
            more, spent = self.step()
            images, seconds, taken = images + more, seconds + spent, taken + 1
        return seconds / images

    def closing_seconds(self) -> float:
        """Seconds of the end of an epoch: validation, measured on a part of the split, and a look at the rectifiers."""
        data = self.job.data
        vitals = Vitals(self.engine, Samples(data.train, data.train_indices, data.eval_transforms))
        seconds = _least_seconds(vitals.dead_relu)
        if data.val is None:
            return seconds
        part = data.val_indices[: 16 * self.engine.shard]
        samples = Samples(data.val, part, data.eval_transforms)
        validation = _least_seconds(lambda: self.engine.evaluate(samples)) * len(data.val_indices) / len(part)
        return seconds + validation * (2 if self._stepper.average else 1)

    def saving_seconds(self) -> float:
        """Seconds of making a checkpoint, apart from writing it to the disk."""
        arrays = {f"param/{name}": view for name, view in self.engine.graph.layout.views(self.engine.params).items()}
        arrays |= {f"slot/{name}": slot for name, slot in self._stepper.updater.slots.items()}
        arrays |= arrays_of(self.job.data.eval_transforms)
        return _least_seconds(lambda: checkpoint.pack({}, arrays))


def _least_seconds(call: Callable[[], object]) -> float:
    """The least seconds of a call, which is made three times, since the first may allocate memory."""
    found = []
    for _ in range(3):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def pace(trial: Trial, steps: int, least: float = 0.0) -> dict[str, Any]:
    """How long steps, epochs and the run will take, from some steps after a warm-up; writing to the disk left out."""
    image, closing, saving = trial.image_seconds(steps, least), trial.closing_seconds(), trial.saving_seconds()
    loader, horizon, experiment = trial.job.loader, trial.job.horizon, trial.job.loaded.experiment
    epochs = math.ceil(horizon.total_steps / loader.steps_per_epoch)
    saves = max(saves_in(experiment, horizon), epochs)  # every epoch may be the best so far
    return {
        "step_seconds": image * experiment.train.batch_size * experiment.train.accumulate,
        "images_per_second": 1 / image,
        "steps_per_epoch": loader.steps_per_epoch,
        "steps": horizon.total_steps,
        "epochs": epochs,
        "save_seconds": saving,
        "epoch_seconds": image * len(loader.indices) + closing + saving * saves / epochs,
        "run_seconds": image * loader.samples_before(horizon.total_steps) + epochs * closing + saves * saving,
    }


def saves_in(experiment: Experiment, horizon: Horizon) -> int:
    """How often a run saves because `checkpoint.every` has passed."""
    return horizon.total_steps // max(horizon.steps(experiment.checkpoint.every), 1)


def measure(job: Job, threads: int, steps: int) -> dict[str, Any]:
    """What `cnntrain time --json` prints. Takes steps of training that are thrown away; writes nothing.

    Seconds of a node are those of all workers added up, so they sum to more than a step takes by the clock.
    """
    train = job.loaded.experiment.train
    with Pool(threads) as pool:
        trial = Trial(job, pool)
        trial.warm_up()
        found = pace(trial, steps)
        calls: list[tuple[Call, float]] = []
        trial.engine.watch = lambda call, taken: calls.append((call, taken))
        for _ in range(steps):
            trial.step()
        nodes = _nodes(trial.engine, calls, steps, train.batch_size * train.accumulate)
    return {"nodes": nodes, "threads": threads, **found}


def _nodes(engine: Engine, calls: list[tuple[Call, float]], steps: int, samples: int) -> list[dict[str, Any]]:
    """A row for each node, and one for loss and metrics; seconds are those of a step."""
    graph, plan = engine.graph, engine.plans[True]
    spent: dict[tuple[int, str], float] = {}
    for call, seconds in calls:
        what = "backward" if call.do in _BACKWARD else "loss" if call.do == "loss" else "forward"
        spent[call.node, what] = spent.get((call.node, what), 0.0) + seconds / steps
    total = sum(spent.values())
    rows = []
    for index, (node, flops) in enumerate(zip(graph.nodes, step_flops(plan), strict=True)):
        forward, backward = spent.get((index, "forward"), 0.0), spent.get((index, "backward"), 0.0)
        busy = forward + backward
        inputs = graph.input_shapes(index)
        rows.append(
            {
                "name": node.name,
                "type": node.layer.name_in_config,
                "algorithm": node.layer.algorithm_for(*inputs),
                "forward_seconds": forward,
                "backward_seconds": backward,
                "share": busy / total,
                "gflops_per_second": flops * samples / busy / 1e9 if busy else 0.0,
                "kept_bytes": _kept(engine, index) * samples,
            }
        )
    loss = sum(seconds for (_, what), seconds in spent.items() if what == "loss")
    return [*rows, {"name": "loss", "type": "loss and metrics", "forward_seconds": loss, "share": loss / total}]


def step_flops(plan: Plan) -> tuple[int, ...]:
    """Floating-point operations of each node for one sample, in every pass of the plan.

    A layer's gradients of its input and of its parameters, where they are wanted, each count as much as its forward,
    as they do for every layer that multiplies matrices. Algorithms that need fewer count the same.
    """
    graph = plan.graph
    passes = [
        1 + any(plan.wants_gradient(source) for source in node.inputs) + node.trained if plan.training and wanted else 1
        for node, wanted in zip(graph.nodes, plan.wants, strict=True)
    ]
    return tuple(flops * count for flops, count in zip(graph.flops(), passes, strict=True))


def _kept(engine: Engine, index: int) -> int:
    """Bytes per sample that stay in memory from a node's forward to its backward: values read again, buffers kept."""
    graph, plan = engine.graph, engine.plans[True]
    if not plan.wants[index]:
        return 0
    node, item = graph.nodes[index], engine.dtype.itemsize
    size = math.prod(node.shape) * item if "y" in node.layer.keeps else 0
    if "x" in node.layer.keeps:
        size += sum(math.prod(graph.shape(source)) * item for source in node.inputs if source != BATCH)
    kept = plan.workspace(index, 1).kept
    return size + sum(math.prod(shape) * int(np.dtype(dtype).itemsize) for shape, dtype in kept.values())
