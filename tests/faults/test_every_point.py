"""Whichever operation on files fails, or is the last before a kill: going on ends with the same bits.

A point that broke is named; `python -m tests.faults.points start|resume FOLDER "NUMBER MODE"` brings it again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.campaign import Campaign

ROOT = Path(__file__).parent.parent.parent
FEW = 120  # the normal run checks one point in so many
PARTS = 4


@pytest.mark.parametrize("scenario", ["start", "resume"])
@pytest.mark.parametrize(
    "part", ["few", *(pytest.param(f"{part}/{PARTS}", marks=pytest.mark.faults) for part in range(PARTS))]
)
def test_every_fault_at_every_operation(scenario: str, part: str, tmp_path: Path, campaign: Campaign) -> None:
    choice = f"{campaign.seed % FEW}/{FEW}" if part == "few" else part
    command = [sys.executable, "-m", "tests.faults.points", scenario, str(tmp_path), choice]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    campaign.tell(f"every point {choice}: {ended.stdout.strip()}")
    assert ended.returncode == 0, ended.stderr
    counted = json.loads(ended.stdout)
    assert counted["bad"] == 0
    assert counted["operations"] > 150
    assert counted["points"] > 2 * counted["operations"] / (FEW if part == "few" else PARTS)
