"""Whichever operation on files fails, or is the last before a kill: going on ends with the same bits.

A point that broke is named; `python -m tests.faults.points start|resume FOLDER "NUMBER MODE"` brings it again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.campaign import SHARE, Campaign

ROOT = Path(__file__).parent.parent.parent
FEW = 120  # the normal run checks one point in so many
PARTS = 4


@pytest.mark.parametrize("scenario", ["start", "resume"])
@pytest.mark.parametrize(
    "part", ["few", *(pytest.param(f"{part}/{PARTS}", marks=pytest.mark.faults) for part in range(PARTS))]
)
def test_every_fault_at_every_operation(scenario: str, part: str, tmp_path: Path, campaign: Campaign) -> None:
    every = FEW if part == "few" else PARTS * max(1, round(1 / SHARE))  # one point in so many
    first = campaign.seed % FEW if part == "few" else int(part[0]) + PARTS * (campaign.seed % (every // PARTS))
    choice = f"{first}/{every}"
    command = [sys.executable, "-m", "tests.faults.points", scenario, str(tmp_path), choice]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    campaign.tell(f"every point {choice}: {ended.stdout.strip()}")
    assert ended.returncode == 0, ended.stderr
    counted = json.loads(ended.stdout)
    assert counted["bad"] == 0
    assert counted["operations"] > 150
    assert counted["points"] > 2 * counted["operations"] / every
