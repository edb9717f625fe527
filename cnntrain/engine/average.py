"""Averaged weights are one more flat vector, which follows the parameters and can stand in for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from cnntrain.core.arrays import Array, aligned
from cnntrain.engine.batch import Batch
from cnntrain.engine.engine import Engine
from cnntrain.network.graph import node_of
from cnntrain.parts.averages.base import Average

BLOCK = 16384  # values at a time, so that they stay in cache


class Averaged:
    """An average at work on an engine's parameters. `vector`, `count`, how often it moved, and `stale` are its state.

    `stale` is the step after which it moved to weights whose running statistics are still to be measured; else 0. Until
    then those in `vector` are the network's own, so that nothing depends on when they are measured, or how often.
    """

    def __init__(self, part: Average, engine: Engine) -> None:
        self.part, self.engine = part, engine
        self.vector = aligned(engine.graph.layout.size, engine.params.dtype)
        self.count = self.stale = 0
        measured = [entry for entry in engine.graph.layout.entries.values() if entry.param.role == "statistic"]
        self._measured = measured if part.remeasures else []
        self._held = aligned(engine.graph.layout.size, engine.params.dtype)

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is found before a save
    def follow(self, step: int, total_steps: int, steps_per_epoch: int) -> None:
        """Move to the parameters as they are after this many steps."""
        share = self.part.share(step, self.count, total_steps, steps_per_epoch)
        if not share:
            return
        self.count += 1
        for start in range(0, self.vector.size, BLOCK):
            average, params = (vector[start : start + BLOCK] for vector in (self.vector, self.engine.params))
            if share == 1:
                np.copyto(average, params)
                continue
            change = self._held[: average.size]
            np.subtract(params, average, out=change)
            change *= share
            average += change
        for entry in self._measured:
            own, now = (self.engine.graph.layout.view(vector, entry) for vector in (self.vector, self.engine.params))
            own[...], self.stale = now, step

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the average stand in for the parameters; what is changed meanwhile is kept, unless it fails."""
        params = self.engine.params
        np.copyto(self._held, params)
        np.copyto(params, self.vector)
        try:
            yield
            np.copyto(self.vector, params)
        finally:
            np.copyto(params, self._held)

    def remeasure(self, steps: Sequence[tuple[int, Sequence[Batch]]]) -> None:
        """Replace the average's running statistics by their mean over these training steps, each with its number.

        An update of statistics s by a batch that has x is s' = (1 - m) s + m x. From s = 0 it gives m x, and from
        another s, which must be as large as m x for the difference to be exact, it tells m, without asking any layer
        how it keeps its statistics. One that does not move, m = 0, stays; so do those of nodes that are frozen in any
        of the steps, which normalize by them.
        """
        with self.in_place():
            self._measure(steps)
        self.stale = 0

    def _measure(self, steps: Sequence[tuple[int, Sequence[Batch]]]) -> None:
        layout = self.engine.graph.layout
        frozen = frozenset[str]().union(*(self.engine.frozen_in(number) for number, _ in steps))
        statistics = [entry for entry in layout.entries.values() if entry.param.role == "statistic"]
        views = [layout.view(self.engine.params, entry) for entry in statistics if node_of(entry) not in frozen]
        if not views:
            return
        others = [layout.view(self.engine.params, entry) for entry in statistics if node_of(entry) in frozen]
        kept = [(view, view.copy()) for view in others]
        before, zeros = [view.copy() for view in views], [np.zeros(view.shape) for view in views]
        with self.engine.other_weights():
            first = [view.astype(np.float64) for view in self._after(zeros, views, kept, steps[0])]
            starts = [np.exp2(np.ceil(np.log2(np.maximum(np.abs(m_x), 1)))) for m_x in first]
            moved = self._after(starts, views, kept, steps[0])
            rates = [1 - (view - m_x) / start for view, m_x, start in zip(moved, first, starts, strict=True)]
            sums = first
            for step in steps[1:]:
                for total, view in zip(sums, self._after(zeros, views, kept, step), strict=True):
                    total += view
        for view, old, total, rate in zip(views, before, sums, rates, strict=True):
            moves = rate > 1e-6
            view[...] = np.where(moves, total / len(steps) / np.where(moves, rate, 1), old)

    def _after(
        self,
        starts: Sequence[Array],
        views: Sequence[Array],
        kept: Sequence[tuple[Array, Array]],
        step: tuple[int, Sequence[Batch]],
    ) -> Sequence[Array]:
        """The statistics after one step that began with these; it leaves those that are kept with their values."""
        for view, start in zip(views, starts, strict=True):
            view[...] = start
        number, batches = step
        self.engine.step(batches, number)
        for view, value in kept:
            view[...] = value
        return views
