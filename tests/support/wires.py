"""Ranks without MPI: each is a thread, and what they send each other lies in queues."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.errors import LostWorkerError
from cnntrain.engine.ranks import Ranks

T = TypeVar("T")


class _Receipt:
    """An array that is filled once something is there for it."""

    def __init__(self, array: Array, queue: SimpleQueue[bytes], line: deque[_Receipt]) -> None:
        self._array, self._queue, self._line = array, queue, line
        line.append(self)

    def done(self) -> bool:
        while self in self._line and self._line[0] is not self:  # what comes is for those that were asked for earlier
            if not self._line[0].done():
                return False
        if self not in self._line:
            return True
        try:
            data = self._queue.get_nowait()
        except Empty:
            return False
        self._line.popleft()
        flat = self._array.reshape(-1).view(np.uint8)
        assert len(data) == len(flat), "two ranks do not agree on what one sends the other"
        flat[:] = np.frombuffer(data, np.uint8)
        return True


class _Sent:
    def done(self) -> bool:
        return True


class QueueWire:
    """What one thread has of the wire between them."""

    def __init__(self, rank: int, size: int, shared: dict[Any, Any]) -> None:
        self.rank, self.size, self._shared = rank, size, shared
        self.bytes = self.messages = 0  # sent
        self._lines: dict[int, deque[_Receipt]] = {}

    def send(self, array: Array, peer: int) -> _Sent:
        assert array.flags.c_contiguous
        self.bytes, self.messages = self.bytes + array.nbytes, self.messages + 1
        self._queue(self.rank, peer).put(array.tobytes())
        return _Sent()

    def receive(self, array: Array, peer: int) -> _Receipt:
        assert array.flags.c_contiguous
        return _Receipt(array, self._queue(peer, self.rank), self._lines.setdefault(peer, deque()))

    def look(self) -> None:
        if "failed" in self._shared:
            raise LostWorkerError(str(self._shared["failed"]))

    def attend(self, at_work: bool) -> None:
        pass

    def fail(self, error: BaseException) -> None:
        self._shared.setdefault("failed", f"{type(error).__name__}: {error}")

    def _queue(self, sender: int, receiver: int) -> SimpleQueue[bytes]:
        return self._shared.setdefault((sender, receiver), SimpleQueue())  # atomic


def on_ranks(size: int, work: Callable[[Ranks], T]) -> list[T]:
    """work(ranks) on so many ranks at a time: what it gives on each. Raises what the first rank that failed raises."""
    shared: dict[Any, Any] = {}
    results: list[Any] = [None] * size
    errors: list[BaseException | None] = [None] * size

    def run(rank: int) -> None:
        ranks = Ranks(QueueWire(rank, size, shared))
        try:
            with ranks.failing_together():
                results[rank] = work(ranks)
        except BaseException as error:
            errors[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        if error is not None and not isinstance(error, LostWorkerError):
            raise error
    return results
