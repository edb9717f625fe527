"""Processes that share a run directory, a name or a checkpoint never spoil it for each other.

Replay: FAULTS_SEED=N pytest -m faults tests/faults/test_races.py, or `python -m tests.faults.races` for one kind; who
comes first is up to the machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.campaign import Campaign, rounds

ROOT = Path(__file__).parent.parent.parent
COUNTS = {"one": (1, 30), "names": (4, 100), "readers": (10, 500), "owner": (1, 20)}  # in the normal run, and promised


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        *(pytest.param(kind, few, id=f"{kind}-few") for kind, (few, _) in COUNTS.items()),
        *(pytest.param(kind, rounds(many), marks=pytest.mark.faults, id=kind) for kind, (_, many) in COUNTS.items()),
    ],
)
def test_whoever_comes_first(tmp_path: Path, campaign: Campaign, kind: str, count: int) -> None:
    command = [sys.executable, "-m", "tests.faults.races", kind, str(tmp_path), str(count), str(campaign.seed)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    campaign.tell(str(found))
    assert next(iter(found.values())) == count
