"""The collector finds garbage that refers to itself, by looking at every object again once there are a quarter more.

Lists of some hundred thousand files grow by millions of objects, none of which is garbage: of the time that it takes to
start a training on them, a fifth went there.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def resting() -> Iterator[None]:
    """Within, or in a function decorated with `resting()`, nothing is collected; other garbage goes as ever."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
