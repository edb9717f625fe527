"""All faults mixed, for a long time, in one process and one directory: nothing is lost, and nothing leaks.

Replay: FAULTS_SEED=N pytest -m faults tests/faults/test_soak.py; `pytest -m soak tests/faults/test_soak.py` takes half
an hour.
"""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from cnntrain.core.errors import StoppedError, StorageError
from cnntrain.training.trainer import Trainer
from tests.support.campaign import Campaign, counts
from tests.support.experiments import TINY, run, start, write
from tests.support.faults import inject
from tests.support.promises import evidence, require_same, require_sound

SETTLED = 10  # rounds after which nothing may grow any more
GROWTH = 20_000_000  # bytes of memory, over any number of rounds


def _fails(directory: Path, config: Path, rng: random.Random) -> None:
    """A disk that fails, once or from then on."""
    number, lasting = rng.randrange(350), rng.random() < 0.5

    def fault(count: int, name: str) -> OSError | None:
        hit = count == number or (lasting and count > number and name in ("write", "replace"))
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if hit else None

    with pytest.MonkeyPatch.context() as patch:
        inject(patch, fault)
        run(config, directory, resume_or_start=True, threads=1)


def _is_signalled(directory: Path, config: Path, rng: random.Random) -> None:
    """A signal in the middle of a step."""
    at, original = rng.randrange(30), Trainer._take_step

    def take(self: Trainer) -> None:
        if self.state.step == at:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_take_step", take)
        run(config, directory, resume_or_start=True, threads=2)


def _is_killed(directory: Path, config: Path, rng: random.Random) -> None:
    """A process of its own, killed at a random moment."""
    process = start("fit", config, "-o", directory, "--resume-or-start", cwd=directory.parent)
    try:
        process.wait(rng.uniform(0.2, 1.5))
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()


def _resident() -> tuple[int, int]:
    """Bytes of memory and number of open files of this process."""
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024, len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@counts(None, 25, 2500)
def test_all_faults_mixed_lose_nothing_and_leak_nothing(tmp_path: Path, campaign: Campaign, count: int) -> None:
    config, directory = write(tmp_path, TINY), tmp_path / "run"
    run(config, tmp_path / "straight", threads=1)
    expected = evidence(tmp_path / "straight")
    outcomes: Counter[str] = Counter()
    settled = (0, 0)
    for number in range(count):
        action = campaign.rng.choice([_fails, _is_signalled, _is_killed])
        try:
            action(directory, config, campaign.rng)
            outcomes[f"{action.__name__[1:]}: ended"] += 1
        except (StorageError, StoppedError) as error:
            outcomes[f"{action.__name__[1:]}: {type(error).__name__}"] += 1
        if directory.exists():
            require_sound(directory)
        if campaign.rng.random() < 0.4:
            run(config, directory, resume_or_start=True, threads=1)
            require_same(directory, expected)
            shutil.rmtree(directory)
        if number == min(SETTLED, count // 2):
            settled = _resident()
    memory, opened = _resident()
    campaign.tell(
        f"{count} rounds: {dict(outcomes)}; {memory - settled[0]:+,} bytes, {opened - settled[1]:+} open files"
    )
    assert memory - settled[0] < GROWTH
    assert opened == settled[1]
