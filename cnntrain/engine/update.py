"""The updater walks the flat vectors in blocks and lets the optimizer change each, on all workers."""

from __future__ import annotations

import math

from cnntrain.arrays import Array, Layout, Span, aligned
from cnntrain.engine.pool import Pool
from cnntrain.errors import DivergedError
from cnntrain.optimizers.base import Block, Optimizer

# isort: split
import numpy as np

BLOCK = 16384  # values: 64 KB of float32, so that parameters, gradient, slots and scratch of a block stay in cache


class Updater:
    """An optimizer with its slots, for the trained parameters of one layout."""

    def __init__(self, optimizer: Optimizer, layout: Layout, pool: Pool, params: Array, grads: Array) -> None:
        self.optimizer, self.pool = optimizer, pool
        self._params, self._grads = params, grads
        self.slots = {name: aligned(layout.size, params.dtype) for name in optimizer.slot_names()}
        optimizer.start({name: slot[: layout.trained] for name, slot in self.slots.items()})
        self._blocks: list[tuple[Span, slice]] = [
            (span, slice(start, min(start + BLOCK, span.stop)))
            for span in layout.spans
            for start in range(span.start, span.stop, BLOCK)
        ]
        self._scratch = [(aligned(BLOCK, params.dtype), aligned(BLOCK, params.dtype)) for _ in range(pool.threads)]
        self._squares = np.zeros(len(self._blocks))

    def apply(self, lr: float, step: int, clip_norm: float | None = None) -> float:
        """Take step number `step` (from 0) with this learning rate; return the Euclidean norm of the gradient.

        A norm above `clip_norm` is scaled down to it. Raises DivergedError, before any parameter changes, where the
        gradient is not finite.
        """
        norm = self._norm()
        if not math.isfinite(norm):
            raise DivergedError(f"the gradient became {norm} at step {step}")
        factor = clip_norm / norm if clip_norm and norm > clip_norm else 1.0

        def update(worker: int, index: int) -> None:
            span, where = self._blocks[index]
            count = where.stop - where.start
            grads = self._grads[where]
            if factor != 1.0:
                grads *= factor
            block = Block(
                p=self._params[where],
                g=grads,
                slots={name: slot[where] for name, slot in self.slots.items()},
                lr=lr * span.lr_mult,
                step=step + 1,
                scratch=(self._scratch[worker][0][:count], self._scratch[worker][1][:count]),
                role=span.role,
            )
            self.optimizer.step(block)

        self.pool.run(len(self._blocks), update)
        return norm

    def _norm(self) -> float:
        """The norm from sums of squares of blocks, added in float64 in the order of the blocks."""

        def square(_worker: int, index: int) -> None:
            grads = self._grads[self._blocks[index][1]]
            total = float(np.dot(grads, grads))
            if not math.isfinite(total):  # perhaps only float32 overflowed
                wide = grads.astype(np.float64)
                total = float(np.dot(wide, wide))
            self._squares[index] = total

        with np.errstate(over="ignore", invalid="ignore"):
            self.pool.run(len(self._blocks), square)
        return math.sqrt(math.fsum(self._squares)) if np.isfinite(self._squares).all() else math.nan
