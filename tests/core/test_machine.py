"""The machine: how many processors and how much memory this process may use, and how sizes are told."""

from __future__ import annotations

import os
import resource

import numpy as np
import pytest

from cnntrain.core import machine


def test_a_limit_of_the_process_counts_where_it_is_less_than_the_machine(monkeypatch):
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit, expected in ((resource.RLIM_INFINITY, total), (10**9, min(10**9, total)), (2**60, total)):
        monkeypatch.setattr(resource, "getrlimit", lambda which, limit=limit: (limit, limit))
        assert machine.available() == expected


def test_so_does_the_limit_of_a_container(monkeypatch, tmp_path):
    without = machine.available()
    unlimited, limited = tmp_path / "memory.max", tmp_path / "limit_in_bytes"
    unlimited.write_text("max\n")
    limited.write_text("1000000\n")
    monkeypatch.setattr(machine, "_CONTAINER", (unlimited, tmp_path / "none"))
    assert machine.available() == without
    monkeypatch.setattr(machine, "_CONTAINER", (unlimited, limited))
    assert machine.available() == 1_000_000
    assert machine.free() == 0  # this process has more than that already


def test_what_a_process_holds_grows_and_what_is_free_is_within_the_machine():
    before = machine.held()
    block = np.ones(50_000_000, np.uint8)
    assert machine.held() > before + 40e6
    assert machine.peak() >= machine.held() > block.nbytes
    assert 0 < machine.free() < machine.available()


def test_threads_are_those_asked_for_or_those_this_process_may_use(monkeypatch):
    assert machine.threads(3) == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5}, raising=False)
    assert machine.threads() == machine.threads(None) == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.threads() == 1


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (12_400_000, "12.4 MB"),
        (3.21e9, "3.2 GB"),
        (4e12, "4.0 TB"),
        (8_000_056_000_000_000, "8,000.1 TB"),
    ],
)
def test_sizes_are_told_in_thousands(size, text):
    assert machine.human(size) == text
