"""A reader is how many files are read: how many at a time, where what they hold is kept, and who is told."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

CACHE = Path("runs/.cache")  # where decoded files are kept, in the working directory as runs are

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_AHEAD = 4  # files for each thread that are read before anybody asks for them


_here = threading.local()  # of a thread that reads: `over`, whether what it reads is still wanted


def still_wanted() -> None:
    """Raise RuntimeError where whoever asked this thread for a file has gone: to be called now and then by the slow."""
    over: threading.Event | None = getattr(_here, "over", None)
    if over is not None and over.is_set():
        raise RuntimeError("nobody waits for it")


def _nothing(*_: object) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Reader:
    """What a dataset is given to read with. Nothing here changes what is read."""

    threads: int = 1
    cache: Path | None = None  # the folder for decoded files; without one they are held in memory
    memory: int | None = None  # the most bytes to hold in memory; any number where it is not given
    say: Callable[[str], None] = _nothing
    warn: Callable[[str], None] = _nothing

    def map(self, function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Generator[_Result, None, None]:
        """function(item) of every item, in order, computed by the threads a little ahead of who takes them."""
        waiting: deque[Future[_Result]] = deque()
        remaining, over = iter(items), threading.Event()

        def wanted(item: _Item) -> _Result:
            _here.over = over
            return function(item)

        with ThreadPoolExecutor(self.threads, "cnntrain-read") as pool:
            try:
                for item in itertools.islice(remaining, self.threads * _AHEAD):
                    waiting.append(pool.submit(wanted, item))
                while waiting:
                    yield waiting.popleft().result()
                    waiting.extend(pool.submit(wanted, item) for item in itertools.islice(remaining, 1))
            finally:
                over.set()
                for future in waiting:
                    future.cancel()


ALONE = Reader()
