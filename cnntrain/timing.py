"""Timing measures where the time of a training step goes, node by node, and predicts how long a run will take."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from typing import Any

from cnntrain import build
from cnntrain.engine.engine import Engine
from cnntrain.engine.plan import Call, Plan
from cnntrain.engine.pool import Pool
from cnntrain.engine.update import Updater
from cnntrain.graph import BATCH
from cnntrain.loader import Samples
from cnntrain.trainer import Job

# isort: split
import numpy as np

WARM_UP = 2  # steps that are not counted: they take memory and fill caches
_BACKWARD = ("partial_back", "backward")


def measure(job: Job, threads: int, steps: int) -> dict[str, Any]:
    """What `cnntrain time --json` prints. Takes steps of training that are thrown away; writes nothing.

    Seconds of a node are those of all workers added up, so they sum to more than a step takes by the clock.
    """
    experiment, graph = job.loaded.experiment, job.network.graph
    loader = build.loader(experiment, job.data)
    optimizer = build.optimizer(experiment)
    with Pool(threads) as pool:
        engine = Engine(graph, job.network.tally, pool, seed=experiment.seed)
        build.initialize(graph, experiment.init, experiment.seed, engine.params)
        updater = Updater(optimizer, graph.layout, pool, engine.params, engine.grads)
        numbers = itertools.count()

        def step() -> float:
            """One step without a change of the weights, so that many of them cannot diverge."""
            start, number = time.perf_counter(), next(numbers)
            engine.step(loader.step(number), number)
            updater.apply(0.0, number, experiment.train.clip_norm)
            return time.perf_counter() - start

        for _ in range(WARM_UP):
            step()
        seconds = statistics.median(step() for _ in range(steps))
        calls: list[tuple[Call, float]] = []
        engine.watch = lambda call, taken: calls.append((call, taken))
        for _ in range(steps):
            step()
        engine.watch = None
        validation = _validation_seconds(job, engine)
    epoch = seconds * loader.steps_per_epoch + validation
    horizon = build.horizon(experiment, loader.steps_per_epoch)
    nodes = _nodes(engine, calls, steps, experiment.train.batch_size * experiment.train.accumulate)
    return {
        "nodes": nodes,
        "threads": threads,
        "step_seconds": seconds,
        "images_per_second": experiment.train.batch_size * experiment.train.accumulate / seconds,
        "epoch_seconds": epoch,
        "run_seconds": epoch * horizon.total_steps / loader.steps_per_epoch,
    }


def _validation_seconds(job: Job, engine: Engine) -> float:
    """What validating takes, from a part of the split."""
    if job.data.val is None:
        return 0.0
    part = job.data.val_indices[: 16 * engine.shard]
    times = []
    for _ in range(3):
        start = time.perf_counter()
        engine.evaluate(Samples(job.data.val, part, job.data.eval_transforms))
        times.append(time.perf_counter() - start)
    return min(times) * len(job.data.val_indices) / len(part)


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

    A layer's gradients in its input and in its parameters, where they are wanted, each count as much as its forward,
    as they do for every layer that multiplies matrices. Algorithms that need fewer count as those that do not.
    """
    graph = plan.graph
    passes = [
        1 + any(plan.wants_gradient(source) for source in node.inputs) + node.trained if plan.training and wanted else 1
        for node, wanted in zip(graph.nodes, plan.wants, strict=True)
    ]
    return tuple(flops * count for flops, count in zip(graph.flops(), passes, strict=True))


def _kept(engine: Engine, index: int) -> int:
    """Bytes a sample leaves in memory from a node's forward to its backward: what it reads again, what it asked for."""
    graph, plan = engine.graph, engine.plans[True]
    if not plan.wants[index]:
        return 0
    node, item = graph.nodes[index], engine.dtype.itemsize
    size = math.prod(node.shape) * item if "y" in node.layer.keeps else 0
    if "x" in node.layer.keeps:
        size += sum(math.prod(graph.shape(source)) * item for source in node.inputs if source != BATCH)
    kept = plan.workspace(index, 1).kept
    return size + sum(math.prod(shape) * int(np.dtype(dtype).itemsize) for shape, dtype in kept.values())
