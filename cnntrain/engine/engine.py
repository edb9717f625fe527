"""The engine takes the gradient of a batch, evaluates and predicts, shard by shard on a pool of workers.

A batch is cut into shards of the graph's fixed size. Every shard is computed by the same operations on the same
shapes whoever computes it, and results are added up in the order of `TreeSum`; so the number of workers changes
when things happen, never what comes out.

In a step of training each worker has a share of the shards, and workers wait for each other after every segment.
They are threads, or, where an engine knows how another process comes by the batches of a step, processes: these go
through the same calls, each with its own share, and leave for the others what these need in shared memory.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from cnntrain.arrays import Array, TreeSum, aligned, shared, tree_sum
from cnntrain.engine.plan import Call, Plan, carve, carve_all, plan_of
from cnntrain.engine.pool import Pool
from cnntrain.engine.processes import Processes
from cnntrain.engine.rows import Row, Share, groups_of
from cnntrain.engine.tally import Tally
from cnntrain.engine.team import Team
from cnntrain.errors import DivergedError
from cnntrain.graph import BATCH, Graph
from cnntrain.layers.base import Coupled, Frame
from cnntrain.random import stream


class Batch(Protocol):
    """Samples the engine can ask for, from any worker, a stretch at a time."""

    def __len__(self) -> int: ...

    def fill(self, start: int, stop: int, x: Array) -> tuple[Array, Array]:
        """Write samples start to stop into x, preprocessed, and return their targets and weights."""
        ...


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
        self.watch: Callable[[Call, float], None] | None = None  # told, by the workers, the seconds each call took
        self.source: Callable[[int], Sequence[Batch]] | None = None  # the batches of a step, in any process
        self.params = shared(graph.layout.size, self.dtype)
        self.grads = shared(graph.layout.size, self.dtype)
        self._views = graph.layout.views(self.params)
        self._job = pool.register(self._serve)

    @functools.cached_property
    def _training(self) -> _Program:
        return _Program(self, training=True)

    @functools.cached_property
    def _evaluation(self) -> _Program:
        return _Program(self, training=False)

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

    def _take(self, batches: Sequence[Batch], step: int, team: Team) -> tuple[Array, list[tuple[int, Array]]]:
        """What all workers do of a step, together: tally, totals of coupled nodes, and a finite loss's gradient."""
        program = self._training
        vector, totals = program.run(batches, step, team)
        if np.isfinite(self.tally.mean_loss(vector)):
            program.collect(team, 1.0 / self.tally.normalizer(vector))
        else:
            program.reset()
        return vector, totals

    def _team(self, shards: int) -> Team:
        """Who takes a step with batches of so many shards: threads, or where that is possible processes."""
        if self._training.prepare(shards):
            self.pool.end_processes()  # they would not have what has just been taken
        if self.source is None or self.watch is not None or self.pool.threads == 1:
            return self.pool
        if self.pool.team(self._job) is self.pool:
            self.pool.fork()
        return self.pool.team(self._job)

    def _serve(self, team: Processes, step: float) -> None:
        """Take a step in another process than the one that was asked for it."""
        assert self.source is not None
        self._take(self.source(int(step)), int(step), team)

    def evaluate(self, batch: Batch) -> Array:
        """The tally of all samples, in evaluation mode."""
        vector, _ = self._evaluation.run([batch], 0, self.pool)
        return vector

    def outputs(self, batch: Batch) -> Array:
        """The network's outputs for all samples, (n, *output_shape), in evaluation mode."""
        result = np.empty((len(batch), *self.graph.output_shape), self.dtype)
        self._evaluation.run([batch], 0, self.pool, collect=result)
        return result


class _Program:
    """A plan bound to memory: for each worker, shard and segment the calls to make."""

    def __init__(self, engine: Engine, training: bool) -> None:
        self.engine, self.training = engine, training
        self.plan = engine.plans[training]
        self.groups = groups_of(self.plan)
        self._group_of = {i: group for group in self.groups for i in group.nodes}
        self._prepared = 0  # for how many shards of a batch there is memory
        self._waiting = (0, 0)  # the first shard of the last batch, and how many it has: what `collect` has to gather
        self._shards: list[Array] = []  # the memory of each shard, for what crosses barriers
        self._frames: dict[tuple[int, int, int], _Frames] = {}
        self._batch: list[dict[str, Any]] = [{} for _ in self.plan.graph.nodes]  # what the shards of a batch share
        self._addresses = [(0, 0)] * engine.pool.threads  # (step, shard) each worker is at, for random streams

    def run(
        self, batches: Sequence[Batch], step: int, team: Team, collect: Array | None = None
    ) -> tuple[Array, list[tuple[int, Array]]]:
        """Run the batches of a step; returns the tally and the coupled nodes' totals, batch by batch."""
        tree = TreeSum()
        first = 0
        totals: list[tuple[int, Array]] = []
        for batch in batches:
            for of_node in self._batch:
                of_node.clear()
            running = _Running(self, batch, step, first, team, collect)
            for number, segment in enumerate(self.plan.segments):
                running.segment(number)
                last = segment[-1]
                if last.do in ("partial", "partial_back"):
                    running.totals[last.node] = running.total(number)
                    if last.do == "partial":
                        totals.append((last.node, running.totals[last.node]))
            for slot in range(running.count):
                tree.add(first + slot, running.tallies[slot].copy())
            if self.training and batch is not batches[-1]:
                self._gather(team, first, running.count, more=True)
            first += running.count
        if self.training:
            self._waiting = (first - running.count, running.count)
        return tree.total(), totals

    def _gather(self, team: Team, first: int, count: int, more: bool) -> None:
        shares = shares_of(count, team.threads)

        def gather(worker: int) -> None:
            for group in self.groups:
                group.gather(worker, first, shares, more)

        team.each(gather)

    def collect(self, team: Team, factor: float) -> None:
        """Write factor times the sum of the gradients of all shards into the engine's."""
        first, count = self._waiting
        shares = shares_of(count, team.threads)

        def collect(worker: int) -> None:
            with np.errstate(all="ignore"):
                for group in self.groups:
                    group.gather(worker, first, shares, more=False)
                    group.collect(worker, self.engine.grads, factor)

        team.each(collect)

    def reset(self) -> None:
        """Forget the gradients of a step that failed."""
        for group in self.groups:
            group.reset()

    def prepare(self, shards: int) -> bool:
        """Have memory for batches of so many shards; returns whether there was less."""
        if shards <= self._prepared:
            return False
        self._prepared = shards
        if self.plan.shard_bytes:
            self._shards += [aligned(self.plan.shard_bytes, np.uint8) for _ in range(shards - len(self._shards))]
        if self.training:
            workers = self.engine.pool.threads
            for group in self.groups:
                group.prepare(workers, -(-shards // workers))
            self.tallies = shared((shards, self.engine.tally.size), np.float64)
            self.partials = shared((2, shards, self.plan.partial_size), np.float64)
        return True

    def frames(self, worker: int, slot: int, n: int) -> _Frames:
        """The frames of all nodes for a worker, a shard of the batch and its number of samples."""
        key = (worker, slot if self.plan.shard_bytes else 0, n)
        if key not in self._frames:
            shard = self._shards[slot] if self.plan.shard_bytes else None
            self._frames[key] = _Frames(self, worker, shard, n)
        return self._frames[key]

    def shared(self, node: int) -> dict[str, Any]:
        """What the shards of the batch at work share of a node."""
        return self._batch[node]

    def at(self, worker: int, step: int, shard: int) -> None:
        """Note where a worker is, for the random streams of its frames."""
        self._addresses[worker] = (step, shard)

    def stream(self, worker: int, node: int) -> np.random.Generator:
        """The random generator of (seed, step, shard, node)."""
        step, shard = self._addresses[worker]
        return stream(self.engine.seed, "layer", step, shard, node)

    def gradient_rows(self, number: int, worker: int, position: int, frames: _Frames, held: dict[int, Row]) -> None:
        """Give the nodes whose backward runs in this segment a row to write their gradients to."""
        for i in frames.trained_in(number):
            group = self._group_of[i]
            if id(group) not in held:
                held[id(group)] = group.take(worker, position)
            frames.of[i].dp = held[id(group)].views[i]

    def hand_in(self, number: int, worker: int, shard: int, held: dict[int, Row]) -> None:
        """Pass on the rows that are complete with this segment."""
        for group in self.groups:
            if group.last == number:
                group.hand_in(worker, shard, held.pop(id(group)))


class _Running:
    """One batch on its way through the segments."""

    def __init__(
        self, program: _Program, batch: Batch, step: int, first: int, team: Team, collect: Array | None
    ) -> None:
        self.program, self.batch, self.step, self.first = program, batch, step, first
        self.team, self.collect = team, collect
        self.size = program.engine.shard
        self.count = -(-len(batch) // self.size)
        self.shares = shares_of(self.count, team.threads)
        self.totals: dict[int, Array] = {}
        self._rows: list[dict[int, Row]] = [{} for _ in range(self.count)] if program.training else []
        self._targets: list[tuple[Array, Array]] = [(np.empty(0), np.empty(0))] * self.count
        program.prepare(self.count)
        self.tallies = program.tallies if program.training else np.empty((self.count, program.engine.tally.size))

    def segment(self, number: int) -> None:
        """Run one segment over all shards; in evaluation workers take them as they come."""
        if self.program.training:

            def share(worker: int) -> None:
                start, stop = self.shares[worker]
                with np.errstate(all="ignore"):  # whoever asked for the step looks whether the loss is finite
                    for slot in range(start, stop):
                        self._shard(number, worker, slot, slot - start)

            self.team.each(share)
        else:
            assert isinstance(self.team, Pool)

            def task(worker: int, slot: int) -> None:
                with np.errstate(all="ignore"):
                    self._shard(number, worker, slot, slot)

            self.team.run(self.count, task)

    def total(self, number: int) -> Array:
        """The sum over all shards of the partial results that this segment ended with."""
        partials = self.program.partials[number % 2]
        length = int(partials[0, -1])
        return tree_sum(partials[slot, :length].copy() for slot in range(self.count))

    def _shard(self, number: int, worker: int, slot: int, position: int) -> None:
        """`position` is the shard's place in the worker's share."""
        program = self.program
        start = slot * self.size
        real = min(self.size, len(self.batch) - start)
        frames = program.frames(worker, slot, real if program.training else self.size)
        program.at(worker, self.step, self.first + slot)
        if number == 0:
            self._targets[slot] = self.batch.fill(start, start + real, frames.x[:real])
            frames.x[real:] = frames.x[real - 1]  # evaluation: a row's bits depend on the row count of its product
        if program.training:
            program.gradient_rows(number, worker, position, frames, self._rows[slot])
        watch = program.engine.watch
        for call in program.plan.segments[number]:
            if watch is None:
                self._call(number, call, frames, slot, real)
            else:
                began = time.perf_counter()
                self._call(number, call, frames, slot, real)
                watch(call, time.perf_counter() - began)
        if program.training:
            program.hand_in(number, worker, self.first + slot, self._rows[slot])

    def _call(self, number: int, call: Call, frames: _Frames, slot: int, real: int) -> None:
        layer, frame = self.program.plan.graph.nodes[call.node].layer, frames.of[call.node]
        if call.do == "loss":
            self._score(frames, slot, real)
        elif call.do == "forward":
            frame.total = self.totals.get(call.node)
            layer.forward(frame)
        elif call.do == "backward":
            frame.total = self.totals.get(call.node)
            layer.backward(frame)
            for into, extra in frames.additions[call.node]:
                np.add(into, extra, out=into)
        else:
            assert isinstance(layer, Coupled)
            partial = layer.partial if call.do == "partial" else layer.partial_back
            vector = partial(frame)
            into = self.program.partials[number % 2, slot]  # the other half may still be read by a slower worker
            into[: len(vector)] = vector
            into[-1] = len(vector)

    def _score(self, frames: _Frames, slot: int, real: int) -> None:
        """Loss, its gradient and the metrics of one shard; filled-up rows do not count."""
        outputs = frames.of[-1].y[:real]
        if self.collect is not None:
            start = slot * self.size
            self.collect[start : start + real] = outputs
        targets, weights = self._targets[slot]
        losses = frames.losses[:real]
        tally = self.program.engine.tally
        tally.loss(outputs, targets, weights, losses, frames.of[-1].dy)
        self.tallies[slot] = tally.of(outputs, targets, weights, losses)


def shares_of(count: int, workers: int) -> list[Share]:
    """The shards from and to which each worker takes of so many: side by side, as even as can be, the first no less."""
    stops = [-(-count * worker // workers) for worker in range(workers + 1)]
    return list(itertools.pairwise(stops))


class _Frames:
    """The frames of all nodes for shards of n samples in given memory. Made once, used every step."""

    def __init__(self, program: _Program, worker: int, shard: Array | None, n: int) -> None:
        """`shard` is the shard's memory, for buffers that cross barriers; None where none does."""
        engine, plan = program.engine, program.plan
        graph = plan.graph
        own, scratch = engine.memory[worker]

        def window(key: tuple[str, int, str], shape: tuple[int, ...], dtype: Any = None) -> Array:
            place = plan.places[key]
            memory = own if place.owner == "worker" or shard is None else shard
            return carve(memory, place.offset, shape, dtype or plan.dtype)

        def sample(what: str, i: int) -> Array:
            return window((what, i, ""), (n, *graph.shape(i)))

        self.x = sample("y", BATCH)
        self.losses = np.zeros(n, plan.dtype)
        self.of: list[Frame] = []
        self.additions: list[list[tuple[Array, Array]]] = []  # by node: (gradient so far, what to add to it)
        for i, node in enumerate(graph.nodes):
            workspace = plan.workspace(i, n)
            dxs: list[Array | None] = []
            additions: list[tuple[Array, Array]] = []
            for position, source in enumerate(node.inputs):
                wanted = plan.training and plan.wants[i] and plan.wants_gradient(source)
                if not wanted:
                    dxs.append(None)
                elif plan.needs_adding(i, position):
                    more = window(("more", i, str(position)), (n, *graph.shape(source)))
                    additions.append((sample("dy", source), more))
                    dxs.append(more)
                else:
                    dxs.append(sample("dy", source))
            self.additions.append(additions)
            self.of.append(
                Frame(
                    xs=tuple(sample("y", source) for source in node.inputs),
                    y=sample("y", i),
                    p=engine.node_params(i),
                    kept={name: window(("kept", i, name), *buffer) for name, buffer in workspace.kept.items()},
                    scratch=carve_all(scratch, workspace.scratch),
                    training=plan.training and not node.options.freeze,
                    rng=functools.partial(program.stream, worker, i),
                    dy=sample("dy", i) if plan.training and plan.wants[i] else None,
                    dxs=tuple(dxs),
                    batch=program.shared(i),
                )
            )
        self._trained = [
            [c.node for c in segment if c.do in ("partial_back", "backward") and graph.nodes[c.node].trained]
            for segment in plan.segments
        ]

    def trained_in(self, number: int) -> list[int]:
        """The nodes that may write parameter gradients in a segment."""
        return self._trained[number]
