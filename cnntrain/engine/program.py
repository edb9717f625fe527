"""A program is a plan bound to memory: it runs the batches of a step through the plan's segments, shard by shard.

In training each worker has a share of the shards, and workers wait for each other after every segment; in evaluation
they take shards as they come.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array, TreeSum, aligned, shared, tree_sum
from cnntrain.core.random import stream
from cnntrain.engine.batch import Batch
from cnntrain.engine.frames import PlannedFrames
from cnntrain.engine.plan import Call, Plan
from cnntrain.engine.pool import Pool
from cnntrain.engine.rows import GradientRow, ShardRange, buckets_of
from cnntrain.engine.team import Team
from cnntrain.network.tally import Tally
from cnntrain.parts.layers.base import Coupled

CallWatch = Callable[[Call, float], None]
Collect = Callable[[int, Array, Array], None]  # (the first sample, outputs (n, ...), targets (n, ...)), by the workers


class Program:
    """A plan bound to memory: for each worker, shard and segment the calls to make."""

    def __init__(
        self,
        plan: Plan,
        tally: Tally,
        memory: Sequence[tuple[Array, Array]],
        params: Sequence[Mapping[str, Array]],
        seed: int,
        first: int = 0,
    ) -> None:
        """`memory` holds each worker's own and its scratch, `params` the parameters of each node by name.

        `first` is the number that the first node has in the whole network, by which random streams are addressed.
        """
        self._first = first
        self.plan, self.training, self.tally, self.seed = plan, plan.training, tally, seed
        self._memory, self._params = memory, params
        self.buckets = buckets_of(self.plan)
        self._bucket_of = {i: bucket for bucket in self.buckets for i in bucket.nodes}
        self._prepared = 0  # for how many shards of a batch there is memory
        self._waiting = (0, 0)  # the first shard of the last batch, and how many it has: what `collect` has to gather
        self._shards: list[Array] = []  # the memory of each shard, for what crosses barriers
        self._frames: dict[tuple[int, int, int], PlannedFrames] = {}
        self._batch: list[dict[str, Any]] = [{} for _ in self.plan.graph.nodes]  # what the shards of a batch share
        self._addresses = [(0, 0)] * len(memory)  # (step, shard) each worker is at, for random streams

    def run(
        self,
        batches: Sequence[Batch],
        step: int,
        team: Team,
        collect: Collect | None = None,
        watch: CallWatch | None = None,
    ) -> tuple[Array, list[tuple[int, Array]]]:
        """Run the batches of a step; returns the tally and the coupled nodes' totals, batch by batch.

        `collect` is given the outputs of each shard; the workers call `watch` with the seconds each call took.
        """
        tree = TreeSum()
        first = 0
        totals: list[tuple[int, Array]] = []
        for batch in batches:
            for of_node in self._batch:
                of_node.clear()
            running = _Running(self, batch, step, first, team, tree, collect, watch)
            for number, segment in enumerate(self.plan.segments):
                running.segment(number)
                last = segment[-1]
                if last.do in ("partial", "partial_back"):
                    running.totals[last.node] = running.total(number)
                    if last.do == "partial":
                        totals.append((last.node, running.totals[last.node]))
            if self.training:  # by several processes, so that none has what it would fold as it comes
                for slot in range(running.count):
                    tree.add(first + slot, self.tallies[slot].copy())
            if self.training and batch is not batches[-1]:
                self._gather(team, first, running.count, more=True)
            first += running.count
        if self.training:
            self._waiting = (first - running.count, running.count)
        return tree.total(), totals

    def _gather(self, team: Team, first: int, count: int, more: bool) -> None:
        shares = shares_of(count, team.threads)

        def gather(worker: int) -> None:
            for bucket in self.buckets:
                bucket.gather(worker, first, shares, more)

        team.each(gather)

    def collect(self, team: Team, grads: Array, factor: float) -> None:
        """Write factor times the sum of the gradients of all shards into `grads`."""
        first, count = self._waiting
        shares = shares_of(count, team.threads)

        def collect(worker: int) -> None:
            with np.errstate(all="ignore"):
                for bucket in self.buckets:
                    bucket.gather(worker, first, shares, more=False)
                    bucket.collect(worker, grads, factor)

        team.each(collect)

    def reset(self) -> None:
        """Forget the gradients of a step that failed."""
        for bucket in self.buckets:
            bucket.reset()

    def prepare(self, shards: int) -> bool:
        """Have memory for batches of so many shards; returns whether there was less."""
        if shards <= self._prepared:
            return False
        self._prepared = shards
        if self.plan.shard_bytes:
            self._shards += [aligned(self.plan.shard_bytes, np.uint8) for _ in range(shards - len(self._shards))]
        if self.training:
            workers = len(self._memory)
            for bucket in self.buckets:
                bucket.prepare(workers, -(-shards // workers))
            self.tallies = shared((shards, self.tally.size), np.float64)
            self.partials = shared((2, shards, self.plan.partial_size), np.float64)
        return True

    def frames(self, worker: int, slot: int, n: int) -> PlannedFrames:
        """The frames of all nodes for a worker, a shard of the batch and its number of samples."""
        key = (worker, slot if self.plan.shard_bytes else 0, n)
        if key not in self._frames:
            shard = self._shards[slot] if self.plan.shard_bytes else None
            streams = functools.partial(self._stream, worker)
            self._frames[key] = PlannedFrames(
                self.plan, n, self._memory[worker], shard, self._params, self._batch, streams
            )
        return self._frames[key]

    def at(self, worker: int, step: int, shard: int) -> None:
        """Note where a worker is, for the random streams of its frames."""
        self._addresses[worker] = (step, shard)

    def _stream(self, worker: int, node: int) -> np.random.Generator:
        """The random generator of (seed, step, shard, node)."""
        step, shard = self._addresses[worker]
        return stream(self.seed, "layer", step, shard, self._first + node)

    def gradient_rows(
        self, number: int, worker: int, position: int, frames: PlannedFrames, held: dict[int, GradientRow]
    ) -> None:
        """Give the nodes whose backward runs in this segment a row to write their gradients to."""
        for i in frames.trained_in(number):
            bucket = self._bucket_of[i]
            if id(bucket) not in held:
                held[id(bucket)] = bucket.take(worker, position)
            frames.of[i].dp = held[id(bucket)].views[i]

    def hand_in(self, number: int, worker: int, shard: int, held: dict[int, GradientRow]) -> None:
        """Pass on the rows that are complete with this segment."""
        for bucket in self.buckets:
            if bucket.last == number:
                bucket.hand_in(worker, shard, held.pop(id(bucket)))


_NONE = (np.empty(0), np.empty(0))  # targets and weights of a shard that is not under way


class _Running:
    """One batch on its way through the segments."""

    def __init__(
        self,
        program: Program,
        batch: Batch,
        step: int,
        first: int,
        team: Team,
        tree: TreeSum,
        collect: Collect | None,
        watch: CallWatch | None,
    ) -> None:
        self.program, self.batch, self.step, self.first = program, batch, step, first
        self.team, self.tree, self.collect, self.watch = team, tree, collect, watch
        self.size = program.plan.shard
        self.count = -(-len(batch) // self.size)
        self.shares = shares_of(self.count, team.threads)
        self.totals: dict[int, Array] = {}
        self._rows: list[dict[int, GradientRow]] = [{} for _ in range(self.count)] if program.training else []
        self._targets: list[tuple[Array, Array]] = [_NONE] * self.count
        program.prepare(self.count)

    def segment(self, number: int) -> None:
        """Run one segment over all shards; in evaluation workers take them as they come."""
        if self.program.training:

            def share(worker: int) -> None:
                start, stop = self.shares[worker]
                with np.errstate(all="ignore"):  # the caller of the step checks whether the loss is finite
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
        watch = self.watch
        for call in program.plan.segments[number]:
            if watch is None:
                self._call(number, call, frames, slot, real)
            else:
                began = time.perf_counter()
                self._call(number, call, frames, slot, real)
                watch(call, time.perf_counter() - began)
        if program.training:
            program.hand_in(number, worker, self.first + slot, self._rows[slot])

    def _call(self, number: int, call: Call, frames: PlannedFrames, slot: int, real: int) -> None:
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

    def _score(self, frames: PlannedFrames, slot: int, real: int) -> None:
        """Loss, its gradient and the metrics of one shard; filled-up rows do not count."""
        outputs = frames.of[-1].y[:real]
        targets, weights = self._targets[slot]
        self._targets[slot] = _NONE
        if self.collect is not None:
            self.collect(slot * self.size, outputs, targets)
        losses = frames.losses[:real]
        tally = self.program.tally
        tally.loss(outputs, targets, weights, losses, frames.of[-1].dy)
        vector = tally.of(outputs, targets, weights, losses)
        if self.program.training:
            self.program.tallies[slot] = vector
        else:
            self.tree.add(self.first + slot, vector)


def shares_of(count: int, workers: int) -> list[ShardRange]:
    """The shards from and to which each worker takes of so many: side by side, as even as can be, the first no less."""
    stops = [-(-count * worker // workers) for worker in range(workers + 1)]
    return list(itertools.pairwise(stops))
