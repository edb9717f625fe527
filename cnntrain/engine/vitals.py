"""Vitals tell the health of training: how far a step moves the weights, how many rectifiers have died."""

from __future__ import annotations

import math

import numpy as np

from cnntrain.core.arrays import Array, aligned
from cnntrain.engine.batch import Batch
from cnntrain.engine.engine import Engine
from cnntrain.engine.walk import Walk

SAMPLES = 64  # shown to a rectifier before it counts as dead


class Vitals:
    """The measurements of one engine. They cost little, and nothing at steps where they are not asked for."""

    def __init__(self, engine: Engine, batch: Batch) -> None:
        """Rectifiers are shown the first SAMPLES of `batch`."""
        self._engine, self._batch = engine, batch
        self._trained = slice(0, engine.graph.layout.trained)
        self._before = aligned(0, engine.params.dtype)
        self._rectifiers = {i for i, node in enumerate(engine.graph.nodes) if node.layer.rectifies}

    def remember(self) -> None:
        """Keep the weights as they are before a step."""
        self._before = self._engine.params[self._trained].copy()

    def update_ratio(self) -> float:
        """|w' - w| / |w|, of all trained weights since `remember`; NaN where they were all zero. Near 1e-3 is usual."""
        length = _length(self._before)
        change = np.subtract(self._engine.params[self._trained], self._before, out=self._before)
        return _length(change) / length if length else math.nan

    def dead_relu(self) -> float | None:
        """The share of the rectifiers' channels that are zero for every sample and pixel; None without rectifiers."""
        if not self._rectifiers:
            return None
        graph, walk = self._engine.graph, Walk(self._engine.graph, self._engine.params)
        alive = {i: np.zeros(graph.shape(i)[-1], bool) for i in self._rectifiers}
        total = min(SAMPLES, len(self._batch))
        for start in range(0, total, graph.shard):
            count = min(graph.shard, total - start)
            x = aligned((count * self._batch.views, *graph.input_shape), self._engine.dtype)
            self._batch.fill(start, start + count, x)
            for i, (frame,) in enumerate(walk.forward([x])):
                if i in alive:
                    alive[i] |= (frame.y > 0).reshape(-1, len(alive[i])).any(axis=0)
        every = np.concatenate([*alive.values()])
        return float(1 - every.mean())


def _length(vector: Array) -> float:
    """The Euclidean norm, in float64."""
    return math.sqrt(float(np.einsum("i,i->", vector, vector, dtype=np.float64)))
