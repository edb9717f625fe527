"""A campaign asks one question of a fault many times over: how often, from which seed, and what it counted.

Every test of a campaign takes the fixture `campaign` and a `count`, given by `counts`: a few in the normal run, the
figures of the promise under `pytest -m faults`, more under `pytest -m soak`. The seed is printed at the end of the
session and, where a test fails, with its failure; the same draws are repeated by

    FAULTS_SEED=123456 pytest -m faults -k name_of_the_test

FAULTS_SHARE=0.1 runs a tenth of the promised rounds, in other places each time; FAULTS_SHARE=10 ten times as many.
"""

from __future__ import annotations

import os
import random
import re
import resource
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

SEED = "FAULTS_SEED"
SHARE = float(os.environ.get("FAULTS_SHARE", "1"))  # of the rounds that are promised


class Campaign:
    """The random numbers of one test, and what it has to tell at the end of the session."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        marked = any(request.node.get_closest_marker(name) for name in ("faults", "soak"))
        fixed = zlib.crc32(request.node.name.encode())  # the normal run draws the same every time: it guards the others
        given = os.environ.get(SEED)
        self.seed = int(given) if given else random.SystemRandom().randrange(10**6) if marked else fixed % 10**6
        part = re.search(r"\bfaults(\d+)\b", request.node.name)  # of one seed every part draws its own
        self.rng = random.Random(f"{self.seed}, part {part[1]}" if part else self.seed)
        self._properties = request.node.user_properties
        self.tell(f"seed {self.seed}")

    def tell(self, text: str) -> None:
        """Say something under the name of the test at the end of the session, whether it passes or not."""
        print(text)
        self._properties.append(("campaign", text))


def rounds(promised: int) -> int:
    """How many of the promised rounds a campaign runs: the share that is asked for, and at least one."""
    return max(1, round(promised * SHARE))


def counts(normal: int | None, faults: int | None, soak: int | None = None, parts: int = 1) -> pytest.MarkDecorator:
    """Parametrize `count`: so many in the normal run, under `-m faults` (shared out in parts), and under `-m soak`."""
    values: list[Any] = [] if normal is None else [pytest.param(normal, id="few")]
    if faults is not None:
        each = max(rounds(faults) // parts, normal or 1)
        values += [pytest.param(each, marks=pytest.mark.faults, id=f"faults{part or ''}") for part in range(parts)]
    if soak is not None:
        values.append(pytest.param(soak, marks=pytest.mark.soak, id="soak"))
    return pytest.mark.parametrize("count", values)


def peak_memory() -> int:
    """The most memory this process has held since it began, in bytes."""
    status = Path("/proc/self/status")  # because getrusage on Linux counts what the parent held before the exec, too
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
