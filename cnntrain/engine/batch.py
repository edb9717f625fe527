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
        """As how many samples the network sees each one, one after the other; its outputs are their mean.

        That is in evaluation; in training it is 1.
        """
        ...

    def __len__(self) -> int: ...

    def fill(self, start: int, stop: int, x: Array) -> tuple[Array, Array]:
        """Write samples start to stop into x, all views of each, preprocessed; return their targets and weights.

        In an evaluation it may raise AbandonedError.
        """
        ...
