"""A whole process as it is measured from outside: seconds by the clock and of the processors, and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """What a process took, those it started included; of memory the most that one of them had."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


def run(*arguments: str, cwd: Path | None = None) -> Usage:
    """Run `python arguments` to its end. Raises SystemExit where it fails.

    What starts it should be small: on Linux a process begins with the peak of the one that started it.
    """
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, cwd=cwd)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with exit code {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Usage(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * unit, output)
