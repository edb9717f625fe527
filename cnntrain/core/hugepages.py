"""A huge page is 2 MB of memory that a processor finds in one search, where pages of 4 KB take 512.

Arrays that processes share lie in pages of 4 KB unless the system is told otherwise, and operations on large ones then
spend most of their time on finding pages: in a virtual machine, where each search is two, they take three to five times
as long (tests/benchmarks/LOG.md). Since version 6.1 Linux moves pages into huge ones on request (madvise(2),
MADV_COLLAPSE), whatever the setting for shared memory. Where it does not, nothing but the speed changes.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import mmap
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

HUGE = 2 * 1024 * 1024  # bytes, and the boundary on which one begins
LEAST = HUGE // 2  # bytes for which one is worth taking, whole or at the end of an array
_COLLAPSE = 25  # MADV_COLLAPSE, which the module mmap does not name
_FIXED = 0x10  # MAP_FIXED, neither


def private_bytes(size: int) -> npt.NDArray[np.uint8] | None:
    """Zeroed bytes of this process, in huge pages where the system gives any, which take no memory until they are used.

    None where there is no such memory, or too few bytes to be worth it.
    """
    place = _place(size)
    if place is None:
        return None
    held, start = place
    with contextlib.suppress(OSError):  # a system without huge pages
        held.madvise(mmap.MADV_HUGEPAGE, start, _covered(size))
    return np.frombuffer(held, np.uint8, size, start)


def shared_bytes(size: int) -> npt.NDArray[np.uint8] | None:
    """Zeroed bytes in memory shared with processes forked later, in huge pages where the system gives any; or None."""
    place = _place(size)
    if place is None:
        return None
    held, start = place
    found = np.frombuffer(held, np.uint8, size, start)
    kind = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | _FIXED
    if _map()(found.ctypes.data, len(held) - start, mmap.PROT_READ | mmap.PROT_WRITE, kind, -1, 0) != found.ctypes.data:
        return None
    found[:: mmap.PAGESIZE] = 0  # only pages that exist can be moved
    with contextlib.suppress(OSError):  # an older kernel, or no 2 MB in one piece
        held.madvise(_COLLAPSE, start, _covered(size))
    return found


def _place(size: int) -> tuple[mmap.mmap, int] | None:
    """Room in the address space for so many bytes, and where in it they begin: on a boundary.

    It lasts as long as an array on it does.
    """
    if sys.platform != "linux" or size < LEAST:
        return None
    whole = -(-size // HUGE) * HUGE
    try:
        held = mmap.mmap(-1, whole + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:
        return None
    return held, -np.frombuffer(held, np.uint8, 1).ctypes.data % HUGE


def _covered(size: int) -> int:
    """The bytes of so many that huge pages are asked for: at most LEAST more than there are."""
    return (size + LEAST) // HUGE * HUGE


@functools.cache
def _map() -> Any:
    """mmap(2), which unlike Python's takes an address."""
    function = ctypes.CDLL(None).mmap
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    return function
