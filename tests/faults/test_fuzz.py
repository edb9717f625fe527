"""A fuzzer that sees which lines it reaches finds no file that is neither read nor refused in order.

Replay: python -m tests.faults.fuzz KIND FOLDER; what it has found before lies in FOLDER/corpus.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.fuzz import TARGETS
from tests.support.campaign import Campaign, counts

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("kind", TARGETS)
def test_the_seeds_of_the_fuzzer_are_read(tmp_path: Path, kind: str) -> None:
    seeds, target = TARGETS[kind](tmp_path)
    for seed in seeds:
        target(seed)


@counts(None, None, 300)
@pytest.mark.parametrize("kind", TARGETS)
def test_what_a_fuzzer_makes_up_is_read_or_refused(tmp_path: Path, campaign: Campaign, kind: str, count: int) -> None:
    """For so many seconds."""
    pytest.importorskip("atheris", reason="needs pip install 'cnntrain[fuzz]'")
    command = [sys.executable, "-m", "tests.faults.fuzz", kind, str(tmp_path), f"-max_total_time={count}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    campaign.tell(f"{kind}: {ended.stderr.splitlines()[-1]}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
