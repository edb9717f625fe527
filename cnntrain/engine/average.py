"""Averaged weights are one more flat vector, which follows the parameters and can stand in for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from cnntrain.core.arrays import Array, aligned
from cnntrain.engine.batch import Batch
from cnntrain.engine.engine import Engine
from cnntrain.parts.averages.base import Average

BLOCK = 16384  # values at a time, so that they stay in cache


class Averaged:
    """An average at work on an engine's parameters. `vector` and `count`, how often it moved, are its whole state."""

    def __init__(self, part: Average, engine: Engine) -> None:
        self.part, self.engine = part, engine
        self.vector = aligned(engine.graph.layout.size, engine.params.dtype)
        self.count = 0
        self._held = aligned(engine.graph.layout.size, engine.params.dtype)

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

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the average stand in for the parameters; statistics measured meanwhile are kept, unless it fails."""
        params = self.engine.params
        np.copyto(self._held, params)
        np.copyto(params, self.vector)
        try:
            yield
            np.copyto(self.vector, params)
        finally:
            np.copyto(params, self._held)

    def remeasure(self, steps: Sequence[tuple[int, Sequence[Batch]]]) -> None:
        """Replace the running statistics by their mean over these training steps, each with its number.

        An update of statistics s by a batch that has x is s' = (1 - m) s + m x. From s = 0 it gives m x, and from
        s = 1 it tells m, without asking any layer how it keeps its statistics. One that does not move, m = 0, stays.
        """
        layout = self.engine.graph.layout
        views = [layout.view(self.engine.params, e) for e in layout.entries.values() if e.param.role == "statistic"]
        if not views:
            return
        before = [view.copy() for view in views]
        ones = [m_x.copy() for m_x in self._after(1.0, views, steps[0])]
        sums = [np.zeros(view.shape) for view in views]
        for step in steps:
            found = self._after(0.0, views, step)
            if step is steps[0]:
                rates = [1 - (one.astype(np.float64) - zero) for one, zero in zip(ones, found, strict=True)]
            for total, view in zip(sums, found, strict=True):
                total += view
        for view, old, total, rate in zip(views, before, sums, rates, strict=True):
            moves = rate > 1e-6
            view[...] = np.where(moves, total / len(steps) / np.where(moves, rate, 1), old)

    def _after(self, start: float, views: Sequence[Array], step: tuple[int, Sequence[Batch]]) -> Sequence[Array]:
        """The statistics after one step that began with them all at `start`."""
        for view in views:
            view[...] = start
        number, batches = step
        self.engine.step(batches, number)
        return views
