"""Every format that was ever released is read: evaluated to the numbers it had, and resumed.

A file in tests/golden/checkpoints is never changed; a new format adds a folder and its digests, by
`python -m tests.golden.make_checkpoints`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.rundir.checkpoint import FORMAT, read
from cnntrain.rundir.directory import read_metrics
from tests.golden.make_checkpoints import CHECKPOINTS, computed
from tests.support.experiments import run

FORMATS = range(1, FORMAT + 1)
DIGESTS = {
    "format-1/expected.json": "6d3c09bc4410cfa5e2dbfce38d3534f5113746744b4c5fa907b0adee8bd13f1a",
    "format-1/last.npz": "f6ad5aba8e081ca919b640a7c83a621a031e2d64dee5759caf8ce774d3c059b3",
    "format-1/metrics.jsonl": "907f7001ebc287d5d79935980963f172296a6303d18574526d2b61a38c06d398",
}


def expected(number: int) -> dict[str, Any]:
    text = (CHECKPOINTS / f"format-{number}" / "expected.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def test_no_file_was_changed_or_is_missing() -> None:
    paths = sorted(path for path in CHECKPOINTS.rglob("*") if path.is_file())
    found = {str(path.relative_to(CHECKPOINTS)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    assert found == DIGESTS
    assert {f"format-{number}/last.npz" for number in FORMATS} <= {*found}
    assert sum(path.stat().st_size for path in paths) <= 20_000 * len(FORMATS)


@pytest.mark.parametrize("number", FORMATS)
def test_what_it_computes_has_not_changed(number: int) -> None:
    path = CHECKPOINTS / f"format-{number}" / "last.npz"
    assert read(path).meta["format"] == number
    found, wanted = computed(path), expected(number)
    np.testing.assert_allclose(found["probabilities"], wanted["probabilities"], rtol=0, atol=1e-6)
    assert found["val"] == pytest.approx(wanted["val"], abs=1e-6)


@pytest.mark.parametrize("number", FORMATS)
def test_it_is_resumed(number: int, tmp_path: Path) -> None:
    source = CHECKPOINTS / f"format-{number}"
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / ".lock").touch()
    shutil.copy(source / "last.npz", tmp_path / "run" / "checkpoints")
    shutil.copy(source / "metrics.jsonl", tmp_path / "run")
    result = run(None, tmp_path / "run", ("train.steps=30",), resume=True, threads=1)
    assert (result["state"], result["step"]) == ("finished", 30)
    found, wanted = read_metrics(tmp_path / "run" / "metrics.jsonl")[-2], expected(number)["resumed"]
    assert found["step"] == wanted["step"]
    assert found["val/loss"] == pytest.approx(wanted["val/loss"], abs=1e-4)  # another processor rounds otherwise
