"""What a checkpoint keeps of a run is what it goes on with, also where an older version laid it out otherwise."""

from __future__ import annotations

import shutil

import pytest

from cnntrain.rundir.environment import NUMERICS
from tests.support.experiments import evidence, run, write
from tests.support.older import COUNTED, as_of_0_1_0


@pytest.mark.parametrize("classes", [3, 4])  # of three, a matrix has as many numbers as its sums
def test_a_run_of_0_1_0_goes_on_within_an_epoch_with_what_it_has_counted(tmp_path, capsys, classes):
    sets = ("train.epochs=2", "checkpoint.every=5st", "checkpoint.keep=9", f"data.source.classes={classes}", *COUNTED)
    run(write(tmp_path), tmp_path / "run", sets)
    whole, kept = evidence(tmp_path / "run"), tmp_path / "run/checkpoints"
    shutil.copy(kept / "step-00000005.npz", kept / "last.npz")
    as_of_0_1_0(kept / "last.npz")
    run(None, tmp_path / "run", resume=True)
    assert evidence(tmp_path / "run") == whole
    said = f"arithmetic unknown -> {NUMERICS}; dropout and noise, where there are any, draw other numbers\n"
    assert said in capsys.readouterr().err
