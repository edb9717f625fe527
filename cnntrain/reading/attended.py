"""Attended reading: a thread's work with files is waited for, and given up where a file system never answers."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

from cnntrain.core import files
from cnntrain.core.directories import make_directory
from cnntrain.core.threads import start
from cnntrain.core.watchdog import Watchdog, bark
from cnntrain.reading.input_files import being_read

PATIENCE = 0.5  # seconds between two looks at a thread that is waited for

_WRITING = {function.__code__ for function in (files.write_atomic, files.write_named, make_directory)}

_T = TypeVar("_T")

_waiting: set[int] = set()  # the threads that wait here for another
_here = threading.local()  # of a thread that reads: `over`, whether what it reads is still wanted


@contextlib.contextmanager
def wanted_until(over: threading.Event) -> Iterator[None]:
    """Within, what this thread reads is wanted until `over` is set."""
    _here.over = over
    try:
        yield
    finally:
        _here.over = None


def still_wanted() -> None:
    """Raise RuntimeError where nobody waits for what this thread reads any more; slow readers call it now and then."""
    over: threading.Event | None = getattr(_here, "over", None)
    if over is not None and over.is_set():
        raise RuntimeError("nobody waits for it")


def attended(function: Callable[[], _T]) -> _T:
    """function(), in a thread of its own, so that a read which never ends does not hold up the caller.

    Raises StorageError naming the file where that thread hangs. Where the caller is interrupted, the thread is told
    that nobody waits any more, and given a few seconds to end.
    """
    future: Future[_T] = Future()
    over, context = threading.Event(), copy_context()

    def work() -> None:
        with wanted_until(over):
            try:
                future.set_result(context.run(function))
            except BaseException as error:
                future.set_exception(error)

    threads = start([threading.Thread(target=work, name="cnntrain-attended", daemon=True)])
    if not threads:
        return function()
    try:
        return waited(future, lambda: threads[0])
    except BaseException:
        over.set()
        if not future.done():
            threads[0].join(PATIENCE * 10)
        raise


def waited(future: Future[_T], carrier: Callable[[], threading.Thread | None]) -> _T:
    """The result of a future that the carrier, once there is one, is to fulfil. Raises StorageError where it hangs."""
    still_wanted()
    watchdog = None
    _waiting.add(threading.get_ident())
    try:
        while True:
            try:
                return future.result(PATIENCE)
            except TimeoutError:
                if future.done():
                    return future.result()  # fulfilled just now, or failed by an error of its own, such as ETIMEDOUT
                still_wanted()
                watchdog = watchdog or Watchdog(PATIENCE)
                thread = carrier()
                if thread is not None and watchdog.hangs(os.getpid(), thread.native_id or 0) and not _may(thread):
                    bark("reading", read_by(thread))
    finally:
        _waiting.discard(threading.get_ident())


def _may(thread: threading.Thread) -> bool:
    """Whether a thread may stand still, as one that waits for another may: that one is watched from there.

    So may one that is writing: making gigabytes durable can take a slow disk minutes, and nothing is wrong.
    """
    if thread.ident in _waiting:
        return True
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_code in _WRITING:
            return True
        frame = frame.f_back
    return False


def read_by(thread: threading.Thread) -> str:
    """The file that a thread is reading, as the middle of a message: " at /data/a.png"; empty where it reads none."""
    path = being_read(thread.ident or 0)
    return "" if path is None else f" at {path}"
