"""The memory that a network takes in training or evaluation, besides its data, is predicted before any is allocated."""

from __future__ import annotations

import sys

import numpy as np

from cnntrain.engine.outer import is_outer
from cnntrain.engine.plan import plan_of
from cnntrain.engine.rows import buckets_of, depth, row_values
from cnntrain.engine.update import BLOCK
from cnntrain.network.folding import absorbed, without
from cnntrain.network.graph import Graph

_LEVELS = 16  # levels of the tree in which evaluation adds tallies that can wait at once: 65,536 shards
PROCESS = 16_000_000  # bytes of its own that a forked worker has besides what it computes in


def needed(graph: Graph, threads: int, batch_size: int, slots: int, training: bool = True, tally: int = 0) -> int:
    """Bytes for parameters, gradient and slots, activations, and the gradient rows and tallies being added up.

    `tally` is how many numbers loss and metrics take for a shard: few, unless a metric counts for each class.
    """
    shard = graph.shard
    shards = -(-batch_size // shard)
    dtype = np.dtype(np.float32)
    vectors = 2 + slots if training else 1
    large = {i: node for i, node in enumerate(graph.nodes) if training and is_outer(node)}
    left = shards * shard * sum(sum(node.sliced.shape) * node.rows for node in large.values() if node.sliced)
    evaluation = plan_of(without(graph), shard, dtype, False)
    plan = plan_of(graph, shard, dtype, True) if training else evaluation
    rows = threads * row_values(buckets_of(plan, large), -(-shards // threads))
    folded = sum(param.size for index in absorbed(graph).values() for param in graph.nodes[index].params.values())
    activations = plan.bytes(threads, shards)
    scratch = 2 * threads * min(BLOCK, graph.layout.size) if training else 0  # of the optimizer
    forked = threads - 1 if training and sys.platform == "linux" else 0  # then validation's threads have their own
    larger = [
        max(evaluation.worker_bytes - plan.worker_bytes, 0),
        max(evaluation.scratch_bytes - plan.scratch_bytes, 0),
    ]
    validation = evaluation.bytes(forked, 0) + (threads - forked) * sum(larger) if training else 0
    tallies = (_tallies(threads, shards if training else 0) if tally else 0) * tally * np.dtype(np.float64).itemsize
    values = graph.layout.size * vectors + rows + left + scratch + folded
    return values * dtype.itemsize + activations + forked * PROCESS + validation + tallies


def _tallies(threads: int, shards: int) -> int:
    """The most tallies there are at a time: a step's shards and the sums that so many processes take of them, or those
    of an evaluation; and in training what an epoch and an interval have seen, and a copy to be saved.
    """
    evaluation = threads + _LEVELS
    if not shards:
        return evaluation
    return shards + max(threads * (depth(shards) + 1), evaluation) + 4
