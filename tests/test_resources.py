"""Resources: the memory a run needs is known before it is taken, and what cannot be is refused at once."""

from __future__ import annotations

import os
import re
import resource
import time
import tracemalloc

import numpy as np
import pytest

from cnntrain import resources
from cnntrain.core.arrays import aligned
from cnntrain.core.errors import ConfigError
from cnntrain.core.registry import make
from cnntrain.engine import engine as engine_module
from cnntrain.engine import rows, update
from cnntrain.engine.plan import Plan
from cnntrain.engine.pool import Pool
from cnntrain.engine.update import BLOCK, Updater
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
    """Of everything above 4 KB that two steps leave behind; many small things are Python's own."""
    monkeypatch.setattr(resources, "PROCESS", 0)
    for module in (engine_module, rows, update):
        monkeypatch.setattr(module, "shared", aligned)  # for what is mapped into memory is not traced
    batch = random_batch(100, SHAPE)
    graph = graph_of(layers, SHAPE)
    with Pool(threads) as pool:
        tracemalloc.start()
        engine = engine_of(layers, pool, shape=SHAPE, shard=graph.shard)
        updater = Updater(make("optimizers", "adam"), graph.layout, pool, engine.params, engine.grads)
        for step in range(2):
            engine.step([batch], step)
            updater.apply(0.01, step)
        taken = sum(trace.size for trace in tracemalloc.take_snapshot().traces if trace.size > 4096)
        tracemalloc.stop()
    needed = resources.needed(graph, threads, 100, slots=2)
    assert 0.6 * needed < taken < 1.05 * needed + 2**20


def test_parameters_gradient_slots_and_gradient_rows_are_counted():
    graph = graph_of(UNITS, SHAPE)
    vector = 4 * graph.layout.size
    activations = {
        training: Plan(graph, graph.shard, np.dtype("f4"), training).bytes(1, 1) for training in (True, False)
    }
    found = resources.needed(graph, 1, graph.shard, slots=3)
    scratch = 2 * 4 * min(BLOCK, graph.layout.size)
    assert found == activations[True] + vector * (2 + 3 + 1) + scratch  # a single row
    two = resources.needed(graph, 2, graph.shard, slots=3)
    assert two - found > resources.PROCESS + vector + scratch
    assert resources.needed(graph, 1, graph.shard, slots=0, training=False) == activations[False] + vector


def test_more_of_anything_needs_more():
    graph = graph_of(CONVOLUTIONS, SHAPE)
    least = resources.needed(graph, 1, 32, slots=0)
    assert resources.needed(graph, 2, 32, slots=0) > least
    assert resources.needed(graph, 1, 320, slots=0) > least  # batch norm holds the activations of every shard
    assert resources.needed(graph, 1, 32, slots=2) == least + 2 * 4 * graph.layout.size
    assert resources.needed(graph, 1, 32, slots=0, training=False) < least


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
        r"this machine has [\d.]+ [GT]B: make the network or the batch smaller",
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


def test_a_limit_of_the_process_counts_where_it_is_less_than_the_machine(monkeypatch):
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit, expected in ((resource.RLIM_INFINITY, total), (10**9, min(10**9, total)), (2**60, total)):
        monkeypatch.setattr(resource, "getrlimit", lambda which, limit=limit: (limit, limit))
        assert resources.available() == expected


def test_so_does_the_limit_of_a_container(monkeypatch, tmp_path):
    without = resources.available()
    unlimited, limited = tmp_path / "memory.max", tmp_path / "limit_in_bytes"
    unlimited.write_text("max\n")
    limited.write_text("1000000\n")
    monkeypatch.setattr(resources, "_CONTAINER", (unlimited, tmp_path / "none"))
    assert resources.available() == without
    monkeypatch.setattr(resources, "_CONTAINER", (unlimited, limited))
    assert resources.available() == 1_000_000
    assert resources.free() == 0  # this process has more than that already


def test_what_a_process_holds_grows_and_what_is_free_is_within_the_machine():
    before = resources.held()
    block = np.ones(50_000_000, np.uint8)
    assert resources.held() > before + 40e6
    assert resources.peak() >= resources.held() > block.nbytes
    assert 0 < resources.free() < resources.available()


def test_threads_are_those_asked_for_or_those_this_process_may_use(monkeypatch):
    assert resources.threads(3) == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5}, raising=False)
    assert resources.threads() == resources.threads(None) == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert resources.threads() == 1


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (12_400_000, "12.4 MB"),
        (3.21e9, "3.2 GB"),
        (4e12, "4.0 TB"),
        (8_000_056_000_000_000, "8,000.1 TB"),
    ],
)
def test_sizes_are_told_in_thousands(size, text):
    assert resources.human(size) == text
