"""An executor trains the cells of a sweep: processes of this machine, or workers of a cluster.

What is trained, and when, is the scheduler's business; an executor begins a cell, tells how it ended, and passes
signals on.
"""

from __future__ import annotations

import signal
from collections.abc import Collection
from typing import NamedTuple, Protocol

from cnntrain.sweep.standing import Standing


class Ended(NamedTuple):
    """A cell that has ended, with its exit code; None where its worker was lost and the code is unknown."""

    standing: Standing
    code: int | None
    said: str  # on stderr


class Executor(Protocol):
    """Trains cells, each as the `cnntrain fit` a user would type."""

    @property
    def running(self) -> Collection[Standing]:
        """The cells under way."""

    @property
    def free(self) -> int:
        """How many further cells could begin now."""

    def begin(self, standing: Standing, waiting: int) -> bool:
        """Begin a cell, one of `waiting`, and set its `threads`; False if it cannot begin now."""

    def look(self) -> list[Ended]:
        """Wait a moment for something to happen; return the cells that have ended."""

    def send(self, number: signal.Signals) -> None:
        """Send all cells under way a signal."""

    def close(self) -> None:
        """Have whatever is left save and stop, and wait for it."""
