"""Mutated checkpoints are refused in one line or read as they were; forged ones are measured by their own config.

Replay with the printed seed: FAULTS_SEED=N pytest -m faults tests/faults/test_mutated_checkpoints.py, or a single kind
with `python -m tests.faults.mutations`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cnntrain.cli import main
from tests.faults.mutations import Forger, mutate, outcome
from tests.support.campaign import Campaign, counts

ROOT = Path(__file__).parent.parent.parent
MOST_MEMORY = 100_000_000  # bytes, the interpreter with NumPy included


def _campaign(kind: str, finished: Path, count: int, seed: int) -> dict[str, int]:
    """Run `tests.faults.mutations` in a process of its own; what it counted."""
    last = finished / "checkpoints" / "last.npz"
    command = [sys.executable, "-m", "tests.faults.mutations", kind, str(last), str(count), str(seed)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    counted: dict[str, int] = json.loads(ended.stdout)
    return counted


@counts(300, 20_000, 200_000)
def test_damage_is_refused_or_harmless(finished: Path, campaign: Campaign, count: int) -> None:
    found = _campaign("raw", finished, count, campaign.seed)
    campaign.tell(f"{count} mutations: {found}")
    assert found["refused"] > 0.9 * count
    assert found["peak"] < MOST_MEMORY


@counts(200, 20_000, 200_000, parts=4)
def test_forgeries_are_refused_or_judged_by_their_config(finished: Path, campaign: Campaign, count: int) -> None:
    """With right digests: a fuzzer that leaves those alone only ever tests them."""
    found = _campaign("forged", finished, count, campaign.seed)
    campaign.tell(f"{count} mutations: {found}")
    assert min(found[way] for way in ("refused", "other network", "fits")) > 0.1 * count  # every way is taken
    assert found["peak"] < MOST_MEMORY


@counts(10, 100)
def test_a_command_ends_with_4_and_one_line(
    finished: Path, tmp_path: Path, campaign: Campaign, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = finished / "checkpoints" / "last.npz"
    whole, forger, victim = sound.read_bytes(), Forger(sound.read_bytes(), sound), tmp_path / "bad.npz"
    refused = 0
    while refused < count:
        victim.write_bytes(mutate(campaign.rng, whole) if refused % 2 else forger.forge(campaign.rng))
        if outcome(victim) is not None:
            continue
        refused += 1
        capsys.readouterr()
        code = main(["eval", str(victim)])
        shown = capsys.readouterr()
        assert (code, shown.out) == (4, ""), shown
        assert shown.err.startswith(f"cnntrain: error: {victim} ")
        assert shown.err.count("\n") == 1
    campaign.tell(f"{count} refused by eval")
