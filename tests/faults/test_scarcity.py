"""No space, no permission, a failing device: exit code 5, one line, and the run goes on once that is mended.

Replay: FAULTS_SEED=N pytest -m faults tests/faults/test_scarcity.py
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnntrain.core.errors import PausedError
from cnntrain.rundir import checkpoint
from tests.support.campaign import Campaign, counts
from tests.support.experiments import TINY, call, run, write
from tests.support.promises import evidence
from tests.support.traced import can, needs_strace

ROOT = Path(__file__).parent.parent.parent
NAMESPACE = ["unshare", "-rm"]  # a mount there concerns nobody else


needs_mounts = pytest.mark.skipif(
    not can(*NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"),
    reason="one cannot mount here, not even by unshare -rm",
)


def _scarce(kind: str, folder: Path, count: int, seed: int) -> dict[str, int]:
    """Run `tests.faults.scarce` in a process of its own; what it counted."""
    command = [] if kind == "limits" else NAMESPACE
    command = [*command, sys.executable, "-m", "tests.faults.scarce", kind, str(folder), str(count), str(seed)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    counted: dict[str, int] = json.loads(ended.stdout)
    return counted


@needs_mounts
@counts(4, 40, 400)
def test_a_full_disk_costs_nothing_but_time(tmp_path: Path, campaign: Campaign, count: int) -> None:
    found = _scarce("tmpfs", tmp_path, count, campaign.seed)
    campaign.tell(f"{count} fill levels: {found}")
    assert found["not begun"]
    assert found["stopped, resumable"]


@needs_mounts
@counts(None, 1)
def test_a_read_only_file_system_is_met_before_the_first_batch(tmp_path: Path, campaign: Campaign, count: int) -> None:
    assert _scarce("readonly", tmp_path, count, campaign.seed) == {"not begun": 1}


@counts(1, 20, 200)
def test_limits_permissions_and_a_directory_that_goes_away(tmp_path: Path, campaign: Campaign, count: int) -> None:
    found = _scarce("limits", tmp_path, count, campaign.seed)
    campaign.tell(f"{2 * count + 1} faults: {found}")
    assert sum(found.values()) == 2 * count + 1


@needs_strace
@pytest.mark.faults
@pytest.mark.parametrize(
    ("inject", "numbers", "code"),
    [
        ("write:error=ENOSPC", (1, 3, 7, 11), 5),
        ("fsync:error=EIO", (1, 9, 17, 33), 5),
        ("renameat:error=EDQUOT", (1, 5, 9, 17), 5),
        ("renameat:signal=KILL", (1, 5, 9, 17), -9),
        ("ftruncate:error=EIO", (1,), 5),
    ],
)
def test_system_calls_that_fail_from_outside(
    tmp_path: Path, campaign: Campaign, inject: str, numbers: tuple[int, ...], code: int
) -> None:
    """With the real operating system between: `strace` makes the n-th call on files of the run fail."""
    config = write(tmp_path, TINY)
    run(config, tmp_path / "straight", threads=1)
    directory, before = tmp_path / "run", ["fit", str(config), "-o", "run", "-j", "1", "--resume-or-start"]
    met = 0
    for number in numbers:
        shutil.rmtree(directory, ignore_errors=True)
        if inject.startswith("ftruncate"):  # which a resume alone does to its rows
            assert call(*before, "--pause-at", "1ep", cwd=tmp_path)[0] == PausedError.exit_code
        path = ["-P", str(directory / "metrics.jsonl")] if inject.startswith(("write", "ftruncate")) else []
        command = ["strace", "-f", "-o", "/dev/null", *path, "-e", f"inject={inject}:when={number}"]
        ended = subprocess.run(
            [*command, sys.executable, "-m", "cnntrain", *before], cwd=tmp_path, capture_output=True, text=True
        )
        assert ended.returncode in (0, code), ended.stderr
        met += ended.returncode != 0
        if ended.returncode == 5:
            errors = [line for line in ended.stderr.splitlines() if line.startswith("cnntrain: error: ")]
            assert ended.stderr.endswith(f"{errors[0]}\n")
            assert len(errors) == 1
        for saved in (directory / "checkpoints").glob("*.npz"):
            checkpoint.read(saved)
        assert call(*before, cwd=tmp_path)[0] == 0
        assert evidence(directory) == evidence(tmp_path / "straight")
    campaign.tell(f"{inject}: {met} of {len(numbers)} met")
    assert met > len(numbers) // 2
