"""A film is read back in the order of its steps, and of its folder only what is a film's."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnntrain.core.errors import CheckpointError
from cnntrain.rundir import checkpoint, film_files


def test_moments_come_in_the_order_of_their_steps(tmp_path: Path) -> None:
    folder = tmp_path / film_files.FOLDER
    folder.mkdir()
    steps = [0, 99_999_999, 100_000_000, 1_000_000_000]
    for step in steps:
        meta = {"step": step, "epoch": 0.5, "judged": 0, "values": {}, "layers": []}
        checkpoint.save(folder / film_files.name(step), meta, {})
    checkpoint.save(folder / film_files.SAMPLES, {"split": "val", "numbers": [], "told": []}, {})
    (folder / "step-1.npz").write_text("somebody's own")
    assert [moment.meta["step"] for moment in film_files.read(tmp_path).moments] == steps


def test_a_run_without_a_film_says_how_to_keep_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no film"):
        film_files.read(tmp_path)
    (tmp_path / film_files.FOLDER).mkdir()
    with pytest.raises(CheckpointError, match="has no film"):
        film_files.read(tmp_path)
