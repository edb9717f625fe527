"""The memory a run needs is known before it is taken, and what cannot be had is refused at once."""

from __future__ import annotations

import re
import sys
import time
import tracemalloc

import numpy as np
import pytest

from cnntrain.core import hugepages
from cnntrain.core.arrays import aligned
from cnntrain.core.errors import ConfigError
from cnntrain.core.registry import make
from cnntrain.engine import engine as engine_module
from cnntrain.engine import memory, outer, rows, update
from cnntrain.engine.engine import Engine
from cnntrain.engine.plan import Plan
from cnntrain.engine.pool import Pool
from cnntrain.engine.update import BLOCK, Updater
from cnntrain.network.tally import Tally
from tests.support.experiments import run, write
from tests.support.networks import declared, engine_of, everything, graph_of, random_batch

SHAPE = (24, 24, 3)
CONVOLUTIONS = [
    declared("conv2d", filters=16, kernel_size=3, padding="same"),
    declared("batch_norm"),
    declared("relu"),
    declared("conv2d", filters=16, kernel_size=3, padding="same"),
    declared("flatten"),
    declared("dense", units=3),
]
UNITS = [declared("flatten"), declared("dense", units=700), declared("relu"), declared("dense", units=3)]


@pytest.mark.parametrize("layers", [CONVOLUTIONS, UNITS, everything()], ids=["convolutions", "units", "everything"])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_memory_needed_is_the_memory_taken(layers, threads, monkeypatch):
    """Of everything above 4 KB that two steps and a validation leave behind; many small things are Python's own."""
    monkeypatch.setattr(memory, "PROCESS", 0)
    for module in (engine_module, outer, rows, update):
        monkeypatch.setattr(module, "shared", aligned)  # for what is mapped into memory is not traced
    monkeypatch.setattr(hugepages, "LEAST", sys.maxsize)  # nor is this
    batch = random_batch(100, SHAPE)
    graph = graph_of(layers, SHAPE)
    with Pool(threads) as pool:
        tracemalloc.start()
        engine = engine_of(layers, pool, shape=SHAPE, shard=graph.shard)
        updater = Updater(make("optimizers", "adam"), graph.layout, pool, engine.params, engine.grads)
        for step in range(2):
            engine.step([batch], step)
            updater.apply(0.01, step)
        engine.evaluate(batch)
        taken = sum(trace.size for trace in tracemalloc.take_snapshot().traces if trace.size > 4096)
        tracemalloc.stop()
    needed = memory.needed(graph, threads, 100, slots=2)
    assert 0.6 * needed < taken < 1.05 * needed + 2**20


def test_parameters_gradient_slots_and_gradient_rows_are_counted():
    graph = graph_of(UNITS, SHAPE)
    vector = 4 * graph.layout.size
    activations = {
        training: Plan(graph, graph.shard, np.dtype("f4"), training).bytes(1, 1) for training in (True, False)
    }
    found = memory.needed(graph, 1, graph.shard, slots=3)
    scratch = 2 * 4 * min(BLOCK, graph.layout.size)
    features, units = graph.nodes[1].params["weight"].shape  # no row has it: its gradient is made of x and dy
    row = vector - 4 * features * units + 4 * graph.shard * (features + units)
    panels = 4 * features * units  # in which validation has the weight
    assert found == activations[True] + vector * (2 + 3) + row + scratch + panels
    two = memory.needed(graph, 2, graph.shard, slots=3)
    assert two - found > memory.PROCESS + scratch
    assert memory.needed(graph, 1, graph.shard, slots=0, training=False) == activations[False] + vector


def test_what_validation_makes_of_the_weights_is_counted_beside_what_training_does():
    graph = graph_of(CONVOLUTIONS, SHAPE)
    plans = [Plan(graph, graph.shard, np.dtype("f4"), training) for training in (False, True)]
    vector = 4 * graph.layout.size
    assert plans[0].held_bytes > 4096
    rest = 5 * vector + 4 * rows.row_values(rows.buckets_of(plans[1]), 1) + 2 * 4 * min(BLOCK, graph.layout.size)
    rest += 4 * (3 * 3 * 3 * 16 + 16)  # and the convolution that takes over the batch norm behind it
    assert memory.needed(graph, 1, graph.shard, slots=3) == plans[1].bytes(1, 1) + plans[0].held_bytes + rest


def test_more_of_anything_needs_more():
    graph = graph_of(CONVOLUTIONS, SHAPE)
    least = memory.needed(graph, 1, 32, slots=0)
    assert memory.needed(graph, 2, 32, slots=0) > least
    assert memory.needed(graph, 1, 320, slots=0) > least  # batch norm holds the activations of every shard
    assert memory.needed(graph, 1, 32, slots=2) == least + 2 * 4 * graph.layout.size
    assert memory.needed(graph, 1, 32, slots=0, training=False) < least


HUGE = """\
data: {source: {type: synthetic, size: 8, samples: 20}}
model:
  layers:
    - {type: conv2d, filters: 1000000, kernel_size: 1}
    - {type: conv2d, filters: 1000000, kernel_size: 1}
    - global_avg_pool
    - {type: dense, units: auto}
train: {epochs: 1, batch_size: 10}
"""


def test_a_network_of_a_million_million_parameters_is_refused_before_anything_is_allocated(tmp_path):
    config = write(tmp_path, HUGE)
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(ConfigError) as raised:
        run(config, tmp_path / "run", threads=2)
    seconds = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert raised.value.exit_code == 2
    (problem,) = raised.value.problems
    assert (problem.where.line, problem.where.column) == (3, 3)
    assert re.fullmatch(
        r"training needs [\d.]+ TB of memory for 1,000,007,000,004 parameters at batch size 10, "
        r"but this machine has [\d.]+ [GT]B: make the network or the batch smaller",
        problem.message,
    )
    assert peak < 20e6
    assert seconds < 5
    assert not (tmp_path / "run").exists()


def test_a_huge_batch_is_refused_too(tmp_path):
    text = HUGE.replace("1000000", "16").replace("- global", "- batch_norm\n    - global").replace("10}", "2000000000}")
    with pytest.raises(
        ConfigError, match=r"training needs [\d.]+ TB of memory for 404 parameters at batch size 2000000000"
    ):
        run(write(tmp_path, text), tmp_path / "run", threads=2)


def tallied(*metrics: str, classes: int = 500) -> Tally:
    return Tally(make("losses", "cross_entropy"), [make("metrics", name) for name in metrics], classes)


def test_evaluation_takes_no_more_memory_for_more_samples():
    """And folds what shards count as they come: 500 classes are 2 MB of a confusion matrix a shard."""
    shape, layers = (1, 1, 4), [declared("flatten"), declared("dense", units=500)]
    peaks = []
    with Pool(2) as pool:
        for samples in (256, 4096):
            engine = Engine(graph_of(layers, shape), tallied("f1", "mcc", "confusion"), pool, shard=8)
            batch = random_batch(samples, shape, classes=500)
            engine.evaluate(batch)
            tracemalloc.start()
            engine.evaluate(batch)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    matrix = 500 * 500 * 8
    assert peaks[1] < peaks[0] + 8 * matrix  # trees on both sides of a shard that is late are four levels higher
    assert peaks[1] < 20 * matrix  # there are 512 shards


def test_tallies_are_counted():
    graph = graph_of(UNITS, SHAPE)
    none = memory.needed(graph, 2, 64, slots=1)
    small, large = (memory.needed(graph, 2, 64, slots=1, tally=tallied(name).size) for name in ("f1", "confusion"))
    assert none < small < none + 2e6
    shards = -(-64 // graph.shard)
    assert large - none > (shards + 4) * 500 * 500 * 8
    only = memory.needed(graph, 2, graph.shard, 0, training=False, tally=tallied("confusion").size)
    assert only - memory.needed(graph, 2, graph.shard, 0, training=False) == 18 * tallied("confusion").size * 8


def test_a_metric_that_counts_a_matrix_of_very_many_classes_is_refused_before_it_starts(tmp_path):
    classes = 60_000  # 29 GB a matrix
    pixels, labels = np.zeros((classes, 1, 1, 1), np.uint8), np.arange(classes)
    np.savez(tmp_path / "many.npz", x_train=pixels, y_train=labels)
    text = f"""\
data: {{source: {{type: npz, path: {tmp_path}/many.npz}}}}
model: {{layers: [flatten, {{type: dense, units: auto}}]}}
train: {{epochs: 1, batch_size: 64, metrics: [accuracy, f1, confusion]}}
"""
    with pytest.raises(ConfigError) as raised:
        run(write(tmp_path, text), tmp_path / "run", threads=2)
    (problem,) = raised.value.problems
    assert problem.where.line == 3
    assert re.search(r"[\d.]+ [GT]B of it for what metrics count of 60,000 outputs, most in confusion", problem.message)
    assert problem.message.endswith("Leave confusion out")
