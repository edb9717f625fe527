"""A program is a plan bound to memory: it runs the batches of a step through the plan's segments, shard by shard.

In training each worker has a share of the shards, and workers wait for each other after every segment; in evaluation
they take shards as they come.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array, TreeSum, aligned, shared
from cnntrain.core.random import stream
from cnntrain.engine.batch import AbandonedError, Batch
from cnntrain.engine.frames import PlannedFrames
from cnntrain.engine.outer import outer_gradients
from cnntrain.engine.plan import Call, Plan
from cnntrain.engine.pool import Pool
from cnntrain.engine.roster import Roster, ShardRange
from cnntrain.engine.rows import Bucket, GradientRow, buckets_of, prepare
from cnntrain.engine.team import Leg, Parcel, Team
from cnntrain.network.tally import Tally
from cnntrain.ops.calls import Calls, run
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
        roster: Roster,
        held: Array,
        first: int = 0,
        settled: bool = False,
        grads: Array | None = None,
    ) -> None:
        """`memory` holds each worker's own and its scratch, `params` the parameters of each node by name; `roster` says
        what share of the shards is for these workers. The gradient of a step goes to `grads`; in evaluation it is None.

        `held` is the memory of all workers for what is made of the parameters; where these are `settled`, so that they
        never change, what is made for one batch serves the next. `first` is the number that the first node has in the
        whole network, by which random streams are addressed.
        """
        self._first, self._held, self._settled = first, held, settled
        self._portions: dict[int, list[list[tuple[Call, Calls]]]] = {}  # of what is held, by worker and segment
        self._filled = False  # whether all of it is there to stay
        self.plan, self.training, self.tally, self.seed = plan, plan.training, tally, seed
        self._memory, self._params, self.roster = memory, params, roster
        alone = self.training and not roster.peers  # gradients travel to other ranks as sums of whole rows
        self.outers = {outer.node: outer for outer in (outer_gradients(plan) if alone else ())}
        self.buckets = buckets_of(self.plan, self.outers)
        self._bucket_of = {i: bucket for bucket in self.buckets for i in bucket.nodes}
        self._prepared = 0  # for how many shards of a batch there is memory
        self._waiting = (0, 0)  # the first shard of the last batch, and how many it has: what `collect` has to gather
        self._gathered: list[Bucket] = []  # those that need not wait for the end of the batch
        self._grads: Any = grads
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
        scored: bool = True,
    ) -> tuple[Array, list[tuple[int, Array]]]:
        """Run the batches of a step; returns the tally and the coupled nodes' totals, batch by batch.

        `collect` is given the outputs of each shard; the workers call `watch` with the seconds each call took. Unless
        outputs are `scored`, which takes evaluation only, the tally is that of no samples.
        """
        tree = TreeSum()
        first = 0
        totals: list[tuple[int, Array]] = []
        for left, batch in zip(reversed(range(len(batches))), batches, strict=True):
            self._forget()
            running = _Running(self, batch, step, first, team, tree, collect, watch, scored)
            more = left > 0
            complete: list[Bucket] = []
            for number, segment in enumerate(self.plan.segments):
                running.fill(number)
                running.segment(number, complete, more)
                self._gathered += complete
                complete = [bucket for bucket in self.buckets if bucket.last == number]
                if team.far and self.training:
                    self._send(team, complete, first, running.count, more)
                    complete = []
                last = segment[-1]
                if last.do in ("partial", "partial_back"):
                    running.totals[last.node] = running.total(number)
                    if last.do == "partial":
                        totals.append((last.node, running.totals[last.node]))
            if self.training:  # by several processes, so that none has what it would fold as it comes
                team.add(tree, self.tallies[: running.count], first, running.count)
            elif scored:
                team.complete(tree, running.count, self.tally.size)
            if self.training and more:
                self._gather(team, first, running.count, more)
            first += running.count
        if self.training:
            self._waiting = (first - running.count, running.count)
        self._forget()  # gives memory back; a batch forgets first, too: the one before may have failed
        self._filled = self._settled
        return tree.total() if scored else self.tally.zeros(), totals

    def _forget(self) -> None:
        """Forget what the shards of a batch share."""
        for of_node in self._batch if not self._settled else ():
            of_node.clear()

    def _send(self, team: Team, buckets: Sequence[Bucket], first: int, count: int, more: bool) -> None:
        """Send off what the shards of this rank add up to in these buckets, while the batch goes on."""
        shares = self.roster.shares(count)

        def gather(worker: int) -> None:
            for bucket in buckets:
                bucket.gather(worker, first, shares, more)

        if buckets:
            team.each(gather)
            team.send(lambda: _parcels(buckets, lambda bucket: bucket.outgoing(first, count)))
            self._gathered += buckets

    def gather_early(self, bucket: Bucket, worker: int, first: int, shares: Sequence[ShardRange], more: bool) -> None:
        """Add up what the workers of the only rank handed in to a bucket, so that its rows are free."""
        bucket.gather(worker, first, shares, more)
        if not more:
            bucket.settle(worker, self._grads)

    def _gather(self, team: Team, first: int, count: int, more: bool, *further: Leg) -> None:
        """Add up, bucket by bucket, what the workers of all ranks handed in of a batch; then take further legs."""
        shares, left = self.roster.shares(count), [b for b in self.buckets if b not in self._gathered]
        self._gathered = []

        def gather(worker: int) -> None:
            for bucket in left:
                bucket.gather(worker, first, shares, more)
            for outer in self.outers.values() if more else ():
                outer.add(worker, first, count)

        def add_arrived(worker: int) -> None:
            for bucket in self.buckets:
                bucket.add_arrived(worker, first, count)

        outgoing = functools.partial(_parcels, left, lambda bucket: bucket.outgoing(first, count))
        team.relay((gather, outgoing), (add_arrived, None), *further)

    def collect(self, team: Team, factor: float) -> None:
        """Write factor times the sum of the gradients of all shards into the gradient of the step."""
        grads = self._grads

        def collect(worker: int) -> None:
            with np.errstate(all="ignore"):
                for bucket in self.buckets:
                    bucket.collect(worker, grads, factor)
                for outer in self.outers.values():
                    outer.collect(worker, *self._waiting, grads, factor)

        def collect_arrived(worker: int) -> None:
            with np.errstate(all="ignore"):
                for bucket in self.buckets:
                    bucket.collect_arrived(worker, grads, factor)

        sums = functools.partial(_parcels, self.buckets, Bucket.sums)
        self._gather(team, *self._waiting, False, (collect, sums), (collect_arrived, None))

    def reset(self) -> None:
        """Forget the gradients of a step that failed."""
        self._gathered = []
        for bucket in self.buckets:
            bucket.reset()
        for outer in self.outers.values():
            outer.reset()

    def prepare(self, shards: int) -> bool:
        """Make sure there is memory for batches of `shards` shards; returns whether there was less."""
        if shards <= self._prepared:
            return False
        self._prepared = shards
        self._frames.clear()  # they hold on to the rows of gradients that there were
        if self.plan.shard_bytes:
            self._shards.extend(aligned((shards - len(self._shards), self.plan.shard_bytes), np.uint8))
        if self.training:
            prepare(self.buckets, self.roster, shards, self.plan.dtype)
            for outer in self.outers.values():
                outer.prepare(self.roster, shards)
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
                self.plan, n, self._memory[worker], shard, self._held, self._params, self._batch, streams
            )
        return self._frames[key]

    @property
    def workers(self) -> int:
        """How many workers it has memory for."""
        return len(self._memory)

    def to_fill(self, number: int) -> bool:
        """Whether a segment needs something made of the parameters."""
        return bool(self.plan.to_fill[number]) and not self._filled

    def portions(self, number: int, worker: int, frames: Callable[[], PlannedFrames]) -> list[tuple[Call, Calls]]:
        """The worker's part of what is made of the parameters for a segment, by node; `frames` are any of its own."""
        if worker not in self._portions:
            own, nodes = frames(), self.plan.graph.nodes
            self._portions[worker] = [
                [
                    (Call("fill" if do == "forward" else "fill_back", i), portion)
                    for i, do in to_fill
                    for portion in nodes[i].layer.fill_calls(own.of[i], do)
                ][worker :: self.workers]
                for to_fill in self.plan.to_fill
            ]
        return self._portions[worker][number]

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
            frames.of[i].dp = held[id(bucket)].views.get(i, {})

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
        scored: bool,
    ) -> None:
        self.program, self.batch, self.step, self.first, self.scored = program, batch, step, first, scored
        self.team, self.tree, self.collect, self.watch = team, tree, collect, watch
        self.views = batch.views
        self.size = program.plan.shard // self.views
        self.count = -(-len(batch) // self.size)
        self.shares = program.roster.shares(self.count)
        self.totals: dict[int, Array] = {}
        self._rows: list[dict[int, GradientRow]] = [{} for _ in range(self.count)] if program.training else []
        self._targets: list[tuple[Array, Array]] = [_NONE] * self.count
        program.prepare(self.count)

    def segment(self, number: int, complete: Sequence[Bucket], more: bool) -> None:
        """Run one segment over all shards; in evaluation workers take them as they come.

        `complete` are the buckets to which the segment before was the last to write, `more`: another batch follows.
        """
        if self.program.training:

            def share(worker: int) -> None:
                start, stop = self.shares[worker]
                with np.errstate(all="ignore"):  # the caller of the step checks whether the loss is finite
                    for bucket in complete:
                        self.program.gather_early(bucket, worker, self.first, self.shares, more)
                    for slot in range(start, stop):
                        self._shard(number, worker, slot, slot - start)
                    if self.program.plan.ahead[number + 1]:
                        self._fill(number + 1, worker)

            self.team.each(share)
        else:
            start = self.shares[0][0]

            def task(worker: int, position: int) -> None:
                with np.errstate(all="ignore"):
                    self._shard(number, worker, start + position, position)

            crew = self.team.crew
            assert isinstance(crew, Pool)
            abandoned = False
            try:
                crew.run(self.shares[-1][1] - start, task)
            except AbandonedError:
                abandoned = True
            if self.team.agree((abandoned,))[0]:
                raise AbandonedError

    def fill(self, number: int) -> None:
        """Make what a segment needs of the parameters, unless it was made ahead; all workers wait until it is there."""
        if not self.program.to_fill(number) or self.program.plan.ahead[number]:
            return
        if self.program.workers < self.team.threads:  # a few samples are for one of them alone
            self._fill(number, 0)
        else:
            self.team.each(functools.partial(self._fill, number))

    def _fill(self, number: int, worker: int) -> None:
        first = min(self.shares[worker][0], self.count - 1)  # the worker may have no shard
        with np.errstate(all="ignore"):
            for call, calls in self.program.portions(number, worker, functools.partial(self._frames, worker, first)):
                began = time.perf_counter()
                run(calls)
                if self.watch is not None:
                    self.watch(call, time.perf_counter() - began)

    def _frames(self, worker: int, slot: int) -> PlannedFrames:
        rows = self._real(slot) * self.views if self.program.training else self.program.plan.shard
        return self.program.frames(worker, slot, rows)

    def _real(self, slot: int) -> int:
        """The samples of a shard, without those that fill it up."""
        return min(self.size, len(self.batch) - slot * self.size)

    def total(self, number: int) -> Array:
        """The sum over all shards of the partial results that this segment ended with."""
        tree = TreeSum()
        self.team.add(tree, self.program.partials[number % 2, : self.count], 0, self.count)
        total = tree.total()
        return total[: int(total[-1]) // self.count]

    def _shard(self, number: int, worker: int, slot: int, position: int) -> None:
        """`position` is the shard's place in the worker's share."""
        program, frames = self.program, self._frames(worker, slot)
        start, real = slot * self.size, self._real(slot)
        rows = real * self.views
        program.at(worker, self.step, self.first + slot)
        if number == 0:
            self._targets[slot] = self.batch.fill(start, start + real, frames.x[:rows])
            frames.x[rows:] = frames.x[rows - 1]  # evaluation: a row's bits depend on the row count of its product
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
        elif call.do == "recompute":
            layer.forward(frame)
        elif call.do == "backward":
            frame.total = self.totals.get(call.node)
            layer.backward(frame)
            if call.node in self.program.outers:
                self.program.outers[call.node].keep(slot, frame)
            for into, extra in frames.additions[call.node]:
                np.add(into, extra, out=into)
        else:
            assert isinstance(layer, Coupled)
            partial = layer.partial if call.do == "partial" else layer.partial_back
            vector = partial(frame)
            into = self.program.partials[number % 2, slot]  # the other half may still be read by a slower worker
            into[: len(vector)] = vector
            into[len(vector) : -1] = 0
            into[-1] = len(vector)  # its sum over shards tells the length to a rank that has no shard

    def _score(self, frames: PlannedFrames, slot: int, real: int) -> None:
        """Loss, its gradient and the metrics of one shard; filled-up rows do not count."""
        outputs = frames.outputs[: real * self.views]
        if self.views > 1:
            outputs = outputs.reshape(real, self.views, *outputs.shape[1:]).mean(axis=1)
        targets, weights = self._targets[slot]
        self._targets[slot] = _NONE
        if self.collect is not None:
            self.collect(slot * self.size, outputs, targets)
        if not self.scored:
            return
        losses = frames.losses[:real]
        tally = self.program.tally
        tally.loss(outputs, targets, weights, losses, frames.d_outputs)
        vector = tally.of(outputs, targets, weights, losses)
        if self.program.training:
            self.program.tallies[slot] = vector
        else:
            self.tree.add(self.first + slot, vector)


def _parcels(buckets: Sequence[Bucket], of: Callable[[Bucket], Iterable[Parcel]]) -> list[Parcel]:
    return [parcel for bucket in buckets for parcel in of(bucket)]
