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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from cnntrain.core.arrays import Array, aligned, shared
from cnntrain.core.counts import counted
from cnntrain.core.errors import DivergedError
from cnntrain.core.machine import human
from cnntrain.engine.bands import Banded, Bands
from cnntrain.engine.batch import Batch
from cnntrain.engine.few import FewSamples
from cnntrain.engine.front import MOST, BehindFront, Front, KnownBatch, length, size_of
from cnntrain.engine.plan import Plan, plan_of
from cnntrain.engine.pool import Pool
from cnntrain.engine.processes import Processes
from cnntrain.engine.program import CallWatch, Collect, Program
from cnntrain.engine.team import Team
from cnntrain.network.folding import Folded
from cnntrain.network.freezing import Stretch
from cnntrain.network.graph import Graph, Node
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
        trained: Mapping[str, Stretch] | None = None,
    ) -> None:
        """`shard` overrides the graph's shard size, for tests. Raises MemoryError where there is too little.

        `trained` has the nodes that are trained in some steps only, each with these steps.
        """
        pool.reserve()
        self.graph, self.tally, self.pool, self.seed = graph, tally, pool, seed
        self.dtype = np.dtype(dtype)
        self.shard = shard or graph.shard
        self._trained = trained or {}
        self._held: frozenset[str] = frozenset()  # the nodes that are frozen in the step at hand
        self._in_training = graph  # the graph of that step: with them frozen, behind the front
        self._front: Front | None = None  # what stands before it, where that is computed once
        self._reuse: tuple[KnownBatch, Callable[[str], None]] | None = None
        self._entered = self._settled = self._renewed = False
        self.watch: CallWatch | None = None  # told, by the workers, the seconds each call took
        self.source: Callable[[int], Sequence[Batch]] | None = None  # the batches of a step, in any process
        self.params = shared(graph.layout.size, self.dtype)
        self.grads = shared(graph.layout.size, self.dtype)
        self._views, self._gradients = graph.layout.views(self.params), graph.layout.views(self.grads)
        self._job = pool.register(self._serve)

    @functools.cached_property
    def _training(self) -> Program:
        return self._program(self.plans[True])

    @functools.cached_property
    def _evaluation(self) -> Program:
        return self._program(self.plans[False])

    @functools.cached_property
    def _few(self) -> FewSamples:
        def smaller(shard: int, workers: int) -> Program | None:
            plan = plan_of(self._folded.graph, shard, self.dtype, training=False)
            own, scratch = self.memory[0]
            fits = plan.worker_bytes <= own.size and plan.scratch_bytes <= scratch.size
            return self._program(plan, self.memory[:workers]) if fits else None

        threads = self.pool.threads
        bands = Bands(self._folded.graph, threads) if self._settled and threads > 1 else None
        banded = None
        if bands and bands.worthwhile:
            arguments = bands, self.plans[False], self._made_of_params, self._folded.params
            banded = functools.partial(Banded, *arguments)
        return FewSamples(self._evaluation, smaller, banded, threads)

    @functools.cached_property
    def _folded(self) -> Folded:
        return Folded(self.graph, [self._params_of(node) for node in self.graph.nodes])

    def _renew(self) -> None:
        """Have evaluation use the parameters as they are."""
        if not self._renewed:
            with np.errstate(all="ignore"):
                self._folded.renew()
            self._renewed = self._settled

    def _program(self, plan: Plan, memory: list[tuple[Array, Array]] | None = None) -> Program:
        params = [self._params_of(node) for node in plan.graph.nodes] if plan.training else self._folded.params
        first = len(self.graph.nodes) - len(plan.graph.nodes) if plan.training else 0
        held = shared(plan.held_bytes, np.uint8) if plan.training else self._made_of_params
        settled, grads = (False, self.grads) if plan.training else (self._settled, None)
        memory, roster = memory or self.memory, self.pool.roster
        return Program(plan, self.tally, memory, params, self.seed, roster, held, first, settled, grads)

    @functools.cached_property
    def plans(self) -> dict[bool, Plan]:
        """The plans for training and for evaluation."""
        graphs = {True: self._in_training, False: self._folded.graph}
        return {training: plan_of(graph, self.shard, self.dtype, training) for training, graph in graphs.items()}

    @functools.cached_property
    def memory(self) -> list[tuple[Array, Array]]:
        """Each worker's memory and scratch, shared by training and evaluation, which never run at the same time."""
        own = max(plan.worker_bytes for plan in self.plans.values())
        scratch = max(plan.scratch_bytes for plan in self.plans.values())
        return [(aligned(own, np.uint8), aligned(scratch, np.uint8)) for _ in range(self.pool.threads)]

    @functools.cached_property
    def _made_of_params(self) -> Array:
        """Memory for what evaluation makes of the parameters, the same for shards of every size."""
        return aligned(self.plans[False].held_bytes, np.uint8)

    def settle(self) -> None:
        """Evaluate only from now on, with the parameters as they are: what is made of them is not made again."""
        self._settled = True
        self._unmake("_evaluation", "_few")  # they would make it again

    def _unmake(self, *made: str) -> None:
        """Have cached properties made anew when they are next asked for."""
        for name in made:
            self.__dict__.pop(name, None)

    @property
    def workers_here(self) -> int:
        """How many of the workers that take a step are threads of this process."""
        return self.pool.threads if self.pool.team(self._job) is self.pool else 1

    def node_params(self, index: int) -> dict[str, Array]:
        """The parameters of a node, by name."""
        return self._params_of(self.graph.nodes[index])

    def _params_of(self, node: Node) -> dict[str, Array]:
        return {name: self._views[f"{node.name}.{name}"] for name in node.params}

    def reuse(self, samples: KnownBatch, tell: Callable[[str], None]) -> None:
        """From now on compute what stands before the first trained layer once for all samples, and tell of it.

        `samples` is every sample that is trained on, once; a step's batches know theirs by the same numbers.
        """
        self._reuse, self._entered = (samples, tell), False

    def frozen_in(self, step: int) -> frozenset[str]:
        """The nodes that are frozen in a step, always or for a while."""
        return self._held_in(step).union(node.name for node in self.graph.nodes if node.options.freeze)

    def graph_in(self, step: int) -> Graph:
        """The whole graph as a step trains it."""
        held = self._held_in(step)
        return self.graph.frozen(held, self.graph.layout) if held else self.graph

    def _held_in(self, step: int) -> frozenset[str]:
        return frozenset(name for name, stretch in self._trained.items() if not stretch.has(step))

    def _enter(self, step: int) -> None:
        """Set up the graph of a step: what is frozen in it, and what stands before the first trained layer."""
        held = self._held_in(step)
        if self._entered and held == self._held:
            return
        self._hold(held)
        self._entered, self._front = True, None
        graph = self.graph_in(step)
        if self._reuse is not None and (count := length(graph)):
            samples, tell = self._reuse
            size = size_of(graph, count, len(samples), self.dtype)
            what = f"{counted(count, 'frozen layer')} at the front {'is' if count == 1 else 'are'} computed"
            if size > MOST:
                tell(f"{what} in every step: the outputs would take {human(size)}")
            else:
                tell(f"{what} once for all samples, since none is augmented: {human(size)}")
                before, graph = graph.cut(count)
                self._front = Front(before, self.params, samples, self.shard, self.pool)
        self._train(graph)

    def _hold(self, held: frozenset[str]) -> None:
        """Freeze these nodes for a while: nothing writes their gradients from now on."""
        for node in self.graph.nodes:
            if node.name in held - self._held:
                for name in node.params:
                    self._gradients[f"{node.name}.{name}"].fill(0)
        self._held = held

    def _train(self, graph: Graph) -> None:
        """Take steps of training with this graph from now on."""
        if graph is not self._in_training:
            self._in_training = graph
            self.pool.end_processes()  # they have the plan of the step before
            self._unmake("_training", "_evaluation", "_few", "_made_of_params", "plans", "memory")

    @contextmanager
    def other_weights(self) -> Iterator[None]:
        """Within it the weights are not those in training: no front with outputs of these is used, and none is made.

        Layers that are never trained have the same weights in both, so a front of them alone stays in use.
        """
        if not self._trained:
            yield
            return
        reuse, entered, front, held, graph = self._reuse, self._entered, self._front, self._held, self._in_training
        self._reuse, self._entered = None, entered and front is None
        try:
            yield
        finally:
            self._hold(held)
            self._reuse, self._entered, self._front = reuse, entered, front
            self._train(graph)

    def step(self, batches: Sequence[Batch], step: int) -> Array:
        """Take the gradient of the mean loss over the batches of one step into `grads`; return the step's tally.

        Running statistics are updated. Raises DivergedError, before anything is updated, where the loss is not finite;
        then `grads` holds nothing of use.
        """
        self._enter(step)
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
            node = self._in_training.nodes[index]
            assert isinstance(node.layer, Coupled)
            node.layer.update_statistics(total, self._params_of(node))
        return vector

    def _take(self, batches: Sequence[Batch], step: int, crew: Team) -> tuple[Array, list[tuple[int, Array]]]:
        """The work of all workers in a step, together: tally, totals of coupled nodes, gradient of a finite loss."""
        program, team, front = self._training, self.pool.ranked(crew), self._front
        if front is not None:
            batches = [BehindFront(cast(KnownBatch, batch), front) for batch in batches]
        vector, totals = program.run(batches, step, team, watch=self.watch)
        if np.isfinite(self.tally.mean_loss(vector)):
            program.collect(team, 1.0 / self.tally.normalizer(vector))
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

        Where several ranks train, it is given this rank's shards only: what it makes of them is for `share`. `batch`
        may raise AbandonedError; then all ranks do. Threads that evaluate at the same time take turns.
        """
        with self.pool.computing:
            self._renew()
            vector, _ = self._evaluation.run([batch], 0, self.pool.ranked(self.pool), collect, self.watch)
        return vector

    def share(self, rows: Array, views: int = 1) -> Array:
        """A row for every sample that was evaluated, (n, ...), of which each rank has those of its own: all of them.

        `views` is as how many a sample was seen.
        """
        size, roster = self.shard // views, self.pool.roster
        count = -(-len(rows) // size)
        ranges = [[min(slot * size, len(rows)) for slot in roster.range(count, rank)] for rank in roster.ranks]
        return self.pool.ranks.share(rows, [(start, stop) for start, stop in ranges])

    def outputs(self, batch: Batch) -> Array:
        """The network's outputs for all samples, (n, *output_shape), in evaluation mode; threads take turns."""
        result = np.empty((len(batch), *self.graph.output_shape), self.dtype)

        def collect(start: int, outputs: Array, _targets: Array) -> None:
            result[start : start + len(outputs)] = outputs

        with self.pool.computing:
            self._renew()
            if self.watch is None and self.pool.ranks.size == 1 and self._few.serves(batch):
                self._few.run(batch, self.pool, collect)
                return result
            self._evaluation.run([batch], 0, self.pool, collect, self.watch, scored=False)
        return self.share(result, batch.views)
