"""The engine takes the gradient of a batch, evaluates and predicts, shard by shard on a pool of workers.

A batch is cut into shards of the graph's fixed size. Every shard is computed by the same operations on the same
shapes whichever worker computes it, and results are added up in the order of `TreeSum`; so the number of workers
changes when things happen, never what comes out.

In a step of training each worker has a share of the shards, and workers wait for each other after every segment.
Workers are threads or, where an engine knows how another process gets the batches of a step, processes: these go
through the same calls, each with its own share, and leave what the others need in shared memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array, aligned, shared
from cnntrain.core.errors import DivergedError
from cnntrain.engine.batch import Batch
from cnntrain.engine.plan import Plan, plan_of
from cnntrain.engine.pool import Pool
from cnntrain.engine.processes import Processes
from cnntrain.engine.program import CallWatch, Collect, Program
from cnntrain.engine.team import Team
from cnntrain.network.graph import Graph
from cnntrain.network.tally import Tally
from cnntrain.parts.layers.base import Coupled


class Engine:
    """One graph at work: its parameters, their gradient, and the memory it computes in."""

    def __init__(
        self,
        graph: Graph,
        tally: Tally,
        pool: Pool,
        *,
        seed: int = 0,
        dtype: Any = np.float32,
        shard: int | None = None,
    ) -> None:
        """`shard` overrides the graph's shard size, for tests. Raises MemoryError where there is too little."""
        pool.reserve()
        self.graph, self.tally, self.pool, self.seed = graph, tally, pool, seed
        self.dtype = np.dtype(dtype)
        self.shard = shard or graph.shard
        self.watch: CallWatch | None = None  # told, by the workers, the seconds each call took
        self.source: Callable[[int], Sequence[Batch]] | None = None  # the batches of a step, in any process
        self.params = shared(graph.layout.size, self.dtype)
        self.grads = shared(graph.layout.size, self.dtype)
        self._views = graph.layout.views(self.params)
        self._job = pool.register(self._serve)

    @functools.cached_property
    def _training(self) -> Program:
        return self._program(training=True)

    @functools.cached_property
    def _evaluation(self) -> Program:
        return self._program(training=False)

    def _program(self, training: bool) -> Program:
        params = [self.node_params(index) for index in range(len(self.graph.nodes))]
        return Program(self.plans[training], self.tally, self.memory, params, self.seed, self.pool.roster)

    @functools.cached_property
    def plans(self) -> dict[bool, Plan]:
        """The plans for training and for evaluation."""
        return {training: plan_of(self.graph, self.shard, self.dtype, training) for training in (True, False)}

    @functools.cached_property
    def memory(self) -> list[tuple[Array, Array]]:
        """Each worker's memory and scratch, shared by training and evaluation, which never run at the same time."""
        own = max(plan.worker_bytes for plan in self.plans.values())
        scratch = max(plan.scratch_bytes for plan in self.plans.values())
        return [(aligned(own, np.uint8), aligned(scratch, np.uint8)) for _ in range(self.pool.threads)]

    @property
    def workers_here(self) -> int:
        """How many of the workers that take a step are threads of this process."""
        return self.pool.threads if self.pool.team(self._job) is self.pool else 1

    def node_params(self, index: int) -> dict[str, Array]:
        """The parameters of a node, by name."""
        node = self.graph.nodes[index]
        return {name: self._views[f"{node.name}.{name}"] for name in node.params}

    def step(self, batches: Sequence[Batch], step: int) -> Array:
        """Take the gradient of the mean loss over the batches of one step into `grads`; return the step's tally.

        Running statistics are updated. Raises DivergedError, before anything is updated, where the loss is not finite.
        """
        team = self._team(max(-(-len(batch) // self.shard) for batch in batches))
        try:
            vector, totals = self.pool.lead(team, self._job, (step,), lambda team: self._take(batches, step, team))
        except BaseException:
            self._training.reset()
            raise
        loss = self.tally.mean_loss(vector)
        if not np.isfinite(loss):
            raise DivergedError(f"the loss became {loss} at step {step}")
        for index, total in totals:
            layer = self.graph.nodes[index].layer
            assert isinstance(layer, Coupled)
            layer.update_statistics(total, self.node_params(index))
        return vector

    def _take(self, batches: Sequence[Batch], step: int, crew: Team) -> tuple[Array, list[tuple[int, Array]]]:
        """The work of all workers in a step, together: tally, totals of coupled nodes, gradient of a finite loss."""
        program, team = self._training, self.pool.ranked(crew)
        vector, totals = program.run(batches, step, team, watch=self.watch)
        if np.isfinite(self.tally.mean_loss(vector)):
            program.collect(team, self.grads, 1.0 / self.tally.normalizer(vector))
        else:
            program.reset()
        return vector, totals

    def _team(self, shards: int) -> Team:
        """The team for a step with batches of so many shards: threads or, where possible, processes."""
        if self._training.prepare(shards):
            self.pool.end_processes()  # they would not have the memory just taken
        if self.source is None or self.watch is not None or self.pool.threads == 1:
            return self.pool
        if self.pool.team(self._job) is self.pool:
            self.pool.fork()
        return self.pool.team(self._job)

    def _serve(self, team: Processes, step: float) -> None:
        """Take a step in a process other than the leading one."""
        assert self.source is not None
        self._take(self.source(int(step)), int(step), team)

    def evaluate(self, batch: Batch, collect: Collect | None = None) -> Array:
        """The tally of all samples, in evaluation mode; `collect` is given the outputs of each shard on the way.

        Where several ranks train, it is given those of this rank's shards: `share` what it makes of them. `batch` may
        raise AbandonedError; then all ranks do.
        """
        vector, _ = self._evaluation.run([batch], 0, self.pool.ranked(self.pool), collect, self.watch)
        return vector

    def share(self, rows: Array) -> Array:
        """Something of every sample that was evaluated, (n, ...), of which each rank has that of its own: all of it."""
        count, roster = -(-len(rows) // self.shard), self.pool.roster
        ranges = [[min(slot * self.shard, len(rows)) for slot in roster.range(count, rank)] for rank in roster.ranks]
        return self.pool.ranks.share(rows, [(start, stop) for start, stop in ranges])

    def outputs(self, batch: Batch) -> Array:
        """The network's outputs for all samples, (n, *output_shape), in evaluation mode."""
        result = np.empty((len(batch), *self.graph.output_shape), self.dtype)

        def collect(start: int, outputs: Array, _targets: Array) -> None:
            result[start : start + len(outputs)] = outputs

        self._evaluation.run([batch], 0, self.pool, collect, self.watch)
        return result
