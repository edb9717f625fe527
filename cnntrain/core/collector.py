"""The collector finds garbage that refers to itself, by looking at every object again once there are a quarter more.

Lists of some hundred thousand files grow by millions of objects, none of which is garbage: a fifth of the time it took
to start a training on them went there.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def resting() -> Iterator[None]:
    """Within it, or a function decorated with `resting()`, nothing is collected; other garbage is freed as ever."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
