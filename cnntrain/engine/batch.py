"""A batch gives the engine samples, a stretch at a time, written where the engine wants them."""

from __future__ import annotations

from typing import Protocol

from cnntrain.core.arrays import Array


class AbandonedError(Exception):
    """An evaluation was abandoned before its end: a batch hands out no more."""


class Batch(Protocol):
    """Samples the engine can ask for, from any worker, a stretch at a time."""

    @property
    def views(self) -> int:
        """How many samples of the network's each one is seen as, one after the other, its outputs their mean.

        In evaluation; in training 1.
        """
        ...

    def __len__(self) -> int: ...

    def fill(self, start: int, stop: int, x: Array) -> tuple[Array, Array]:
        """Write samples start to stop into x, all views of each, preprocessed; return their targets and weights.

        In an evaluation it may raise AbandonedError.
        """
        ...
