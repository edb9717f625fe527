"""A reader says how files are read: how many at a time, where their contents are cached, and who is told."""

from __future__ import annotations

import functools
import itertools
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from cnntrain.core.threads import start
from cnntrain.reading.attended import waited, wanted_until

CACHE = Path("runs/.cache")  # where decoded files are kept, in the working directory as runs are

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_AHEAD = 4  # files for each thread that are read before anybody asks for them


def _nothing(*_: object) -> None:
    """Tell nobody."""


def once(warn: Callable[[str], None]) -> Callable[[str], None]:
    """Tell somebody of each thing once: some data is read twice, at another size or for another purpose."""
    said: set[str] = set()

    def tell(text: str) -> None:
        if text not in said:
            said.add(text)
            warn(text)

    return tell


@dataclass(frozen=True)
class Reader:
    """What a dataset is given to read with. Nothing here changes what is read."""

    threads: int = 1
    cache: Path | None = None  # the folder for decoded files; without one they are held in memory
    memory: int | None = None  # the most bytes to hold in memory; any number where it is not given
    say: Callable[[str], None] = _nothing
    warn: Callable[[str], None] = _nothing

    def map(self, function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Generator[_Result, None, None]:
        """function(item) of every item, in order, computed by the threads a little ahead of the consumer.

        If the system gives fewer threads, those do it; if it gives none, this one does, as each result is taken.
        Raises StorageError where one of them hangs, and leaves it behind.
        """
        inbox: SimpleQueue[tuple[Future[_Result], _Item] | None] = SimpleQueue()
        over = threading.Event()
        carriers: dict[Future[_Result], threading.Thread] = {}

        def serve() -> None:
            with wanted_until(over):
                while (job := inbox.get()) is not None:
                    carriers[job[0]] = threading.current_thread()
                    _carry_out(function, *job)

        def submit(item: _Item) -> Future[_Result]:
            future: Future[_Result] = Future()
            inbox.put((future, item))
            return future

        names = [f"cnntrain-read-{number}" for number in range(self.threads)]
        threads = start([threading.Thread(target=serve, name=name, daemon=True) for name in names])
        if not threads:
            yield from map(function, items)
            return
        waiting: deque[Future[_Result]] = deque()
        remaining = iter(items)
        future: Future[_Result] | None = None
        try:
            for item in itertools.islice(remaining, len(threads) * _AHEAD):
                waiting.append(submit(item))
            while waiting:
                future = waiting.popleft()
                result = waited(future, functools.partial(carriers.get, future))
                carriers.pop(future, None)
                yield result
                waiting.extend(submit(item) for item in itertools.islice(remaining, 1))
        finally:
            over.set()
            for unwanted in waiting:
                unwanted.cancel()
            for _ in threads:
                inbox.put(None)
            hanging = carriers.get(future) if future and not future.done() else None
            for thread in threads:
                if hanging is None:
                    thread.join()


def _carry_out(function: Callable[[_Item], _Result], future: Future[_Result], item: _Item) -> None:
    """Compute what a future waits for, unless nobody waits any more."""
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(function(item))
        except BaseException as error:
            future.set_exception(error)


ALONE = Reader()
