"""A whole process as it is measured from outside: seconds by the clock and of the processors, and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """What a process took, those it started included."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


PERIOD = 0.1  # seconds between looks at the memory of a process


def run(*arguments: str, cwd: Path | None = None) -> Usage:
    """Run `python arguments` to its end. Raises SystemExit where it fails.

    What starts it should be small: on Linux a process begins with the peak of the one that started it.
    """
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, cwd=cwd)
    assert process.stdout is not None
    held, ended = [0], threading.Event()
    watch = threading.Thread(target=_watch, args=(process.pid, held, ended))
    watch.start()
    output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    ended.set()
    watch.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with exit code {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Usage(seconds, used.ru_utime + used.ru_stime, max(used.ru_maxrss * unit, *held), output)


def _watch(process: int, held: list[int], ended: threading.Event) -> None:
    """Keep the most memory that a process and its children have had together in held[0]; on Linux."""
    while not ended.wait(PERIOD):
        held[0] = max(held[0], kilobytes(process, "smaps_rollup", "Rss:") * 1024 + of_children(process))


def of_children(process: int) -> int:
    """Bytes of memory that the children of a process have for themselves."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return 0
    return 1024 * sum(kilobytes(int(child), "smaps_rollup", "Private_") for child in children)


def kilobytes(process: int, file: str, field: str) -> int:
    """The sum of the fields of a file in /proc that begin so; 0 where it cannot be read."""
    try:
        lines = Path(f"/proc/{process}/{file}").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(field))
