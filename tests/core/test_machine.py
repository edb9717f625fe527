"""The machine: how many processors and how much memory this process may use, and how sizes are told."""

from __future__ import annotations

import math
import mmap
import os
import resource
import subprocess
import sys

import pytest

from cnntrain.core import machine
from cnntrain.core.control_groups import Limits
from tests.support.experiments import write


def test_a_limit_of_the_process_counts_where_it_is_less_than_the_machine(monkeypatch):
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit, expected in ((resource.RLIM_INFINITY, total), (10**9, min(10**9, total)), (2**60, total)):
        monkeypatch.setattr(resource, "getrlimit", lambda which, limit=limit: (limit, limit))
        assert machine.available() == expected


def test_so_does_the_limit_of_a_control_group(monkeypatch):
    monkeypatch.setattr(machine, "limits", Limits)
    assert machine.available() > 10**8
    monkeypatch.setattr(machine, "limits", lambda: Limits(memory=1_000_000.0))
    assert machine.available() == 1_000_000
    assert machine.free() == 0  # this process has more than that already
    monkeypatch.setattr(machine, "limits", lambda: Limits(memory=10.0**12, free=5_000.0))
    assert machine.free() == 5_000


@pytest.mark.parametrize(
    ("processors", "processes", "expected"),
    [
        (math.inf, math.inf, 16),
        (2.0, math.inf, 2),
        (1.5, math.inf, 2),
        (0.1, math.inf, 1),
        (64.0, math.inf, 16),
        (math.inf, 9.0, 4),
        (3.0, 100.0, 3),
        (math.inf, 0.0, 1),
    ],
)
def test_a_container_says_how_many_threads_have_time_and_room(monkeypatch, processors, processes, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    monkeypatch.setattr(machine, "limits", lambda: Limits(processors=processors, processes=processes))
    assert machine.threads() == expected
    assert machine.threads(12) == 12  # who asks knows


def test_there_is_room_for_the_libraries_or_one_line():
    program = "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)\n"
    program += "from cnntrain.cli import main; sys.exit(main(['check', 'none.yaml']))"
    for megabytes in (40, 60, 80, 100, 120):
        done = subprocess.run(
            [sys.executable, "-c", program, str(megabytes * 10**6)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 7, done.stderr
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, done.stderr
        assert "ulimit -v" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limit is not heeded")
def test_with_room_for_the_libraries_alone_check_ends_with_7_before_blas_ends_it(tmp_path):
    """Its first product of matrices is in the survey, and OpenBLAS ends a process in which it finds no room."""
    config = write(tmp_path)
    for megabytes in (185, 205):
        program = "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)\n"
        program += f"from cnntrain.cli import main; sys.exit(main(['check', {str(config)!r}, '-j', '2']))"
        done = subprocess.run(
            [sys.executable, "-c", program, str(megabytes * 10**6)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 7, done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert "ulimit -v" in done.stderr


def test_what_a_process_holds_grows_and_what_is_free_is_within_the_machine():
    before = machine.held()
    with mmap.mmap(-1, 50_000_000) as block:  # an array may be given what an earlier one left behind
        block.write(b"1" * len(block))
        assert machine.held() > before + 40e6
        assert machine.peak() >= machine.held() > len(block)
    assert 0 < machine.free() < machine.available()


def test_threads_are_those_asked_for_or_those_this_process_may_use(monkeypatch):
    assert machine.threads(3) == 3
    monkeypatch.setattr(machine, "limits", Limits)
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
