"""A short round of system calls that fail in whole commands; `python -m tests.faults.injected` goes on for long."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults.injected import Injections
from tests.support.campaign import Campaign

ROUND = 8  # calls: each takes a command under strace, and one more to its end


def _traces() -> bool:
    """Whether there is an strace here that may trace: in a container it may be forbidden."""
    if not shutil.which("strace"):
        return False
    tried = subprocess.run(["strace", "-e", "inject=getcwd:error=ENOENT", "true"], capture_output=True)
    return tried.returncode == 0


@pytest.mark.faults
@pytest.mark.skipif(not _traces(), reason="needs strace that can inject errors")
def test_every_outcome_is_documented(tmp_path: Path, campaign: Campaign) -> None:
    injections = Injections(tmp_path, random.Random(campaign.seed), commands=("eval", "export"))
    while sum(injections.outcomes.codes.values()) < ROUND:
        injections.strike()
    campaign.tell(json.dumps(vars(injections.outcomes)))
    assert not injections.outcomes.broken
