"""Large arrays lie in huge pages where the system has any, are zeros, and are shared or not as they should be."""

from __future__ import annotations

import gc
import mmap
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from cnntrain.core import hugepages
from cnntrain.core.arrays import aligned, shared
from cnntrain.core.hugepages import HUGE, LEAST, private_bytes, shared_bytes

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is as the system gives it")


@pytest.mark.parametrize("make", [aligned, shared])
@pytest.mark.parametrize("size", [0, 1, LEAST - 1, LEAST, HUGE, HUGE + 1, 5 * HUGE - 3])
def test_every_array_is_zero_and_can_be_written(make, size):
    array = make(size, np.uint8)
    assert array.shape == (size,)
    assert not array.any()
    array[...] = 7
    assert array.sum(dtype=np.int64) == 7 * size
    assert array.ctypes.data % 64 == 0 or not size


@linux
@pytest.mark.parametrize("make", [private_bytes, shared_bytes])
def test_a_large_one_begins_on_the_boundary_of_a_huge_page(make):
    assert make(LEAST - 1) is None
    assert make(3 * HUGE + 5).ctypes.data % HUGE == 0


@linux
@pytest.mark.parametrize(("make", "seen"), [(shared, 9), (aligned, 0)])
def test_what_a_fork_writes_is_seen_where_it_is_shared(make, seen):
    array = make((2, HUGE), np.uint8)
    child = os.fork()
    if not child:
        array[1, 5] = 9
        os._exit(0)
    os.waitpid(child, 0)
    assert array[1, 5] == seen


@linux
@pytest.mark.parametrize("make", [aligned, shared])
def test_memory_is_given_back_with_the_last_view(make):
    """Its place in the address space with it."""

    def place() -> int:
        return int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE

    gc.collect()
    before = place()
    view = make(16 * HUGE, np.uint8)[HUGE:].reshape(-1, 2)[1:]
    gc.collect()
    assert place() - before >= 16 * HUGE
    view[...] = 1
    del view
    gc.collect()
    assert place() - before < 4 * HUGE


@linux
def test_untouched_memory_of_one_process_is_not_taken():
    def taken() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    before = taken()
    array = aligned(100 * HUGE, np.uint8)
    assert taken() - before < 20 * HUGE
    assert len(array)


@linux
@pytest.mark.parametrize("failing", ["advice", "place", "map"])
def test_a_system_without_them_gives_ordinary_memory(failing, monkeypatch):
    class Refusing(mmap.mmap):
        def madvise(self, *_):
            raise OSError(22, "Invalid argument")

    if failing == "advice":
        monkeypatch.setattr(hugepages.mmap, "mmap", Refusing)
    elif failing == "place":
        monkeypatch.setattr(hugepages, "_place", lambda _size: None)
    else:
        monkeypatch.setattr(hugepages, "_map", lambda: lambda *_: -1)
    for make in (aligned, shared):
        array = make(3 * HUGE, np.uint8)
        assert not array.any()
        array += 1
        assert array.all()
