"""What a transform measures beside its fields: in the checkpoint, the same for validation, eval, resume and average."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.cli import main
from cnntrain.core.errors import CheckpointError, StoppedError
from cnntrain.engine.pool import Pool
from cnntrain.parts.transforms.zca_whiten import ZCAWhiten
from cnntrain.rundir.checkpoint import read, save
from cnntrain.rundir.json_files import read_rows
from cnntrain.trained.inference import Trained
from tests.support.experiments import evidence, run, write
from tests.training.test_trainer import _stop_after

WHITENED = (
    "data.train_transforms=[{type: random_crop, padding: 1}, zca_whiten]",
    "data.eval_transforms=[zca_whiten]",
    "train.epochs=2",
)


@pytest.fixture(scope="module")
def whitened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whitened")
    run(write(folder), folder / "run", WHITENED)
    return folder


def test_eval_takes_the_matrix_from_the_checkpoint(whitened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last = whitened / "run" / "checkpoints" / "last.npz"
    assert read(last).arrays["transform/0/matrix"].shape == (64, 64)
    (*_, row) = (row for row in read_rows(whitened / "run" / "metrics.jsonl") if row["event"] == "eval")
    monkeypatch.setattr(ZCAWhiten, "fit", None)
    with Pool(2) as pool:
        found = Trained(last, pool).evaluate("val")
    assert found["loss"] == row["val/loss"]
    assert found["accuracy"] == row["val/accuracy"]


def test_both_lists_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, fits = ZCAWhiten.fit, []
    monkeypatch.setattr(ZCAWhiten, "fit", lambda self, chunks: (fits.append(1), original(self, chunks))[1])
    run(write(tmp_path), tmp_path / "run", (*WHITENED, "train.epochs=1"))
    assert len(fits) == 1


def test_threads_and_resumes_change_no_bit(whitened: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = evidence(whitened / "run")
    run(write(tmp_path), tmp_path / "threads", WHITENED, threads=3)
    assert evidence(tmp_path / "threads") == expected
    with monkeypatch.context() as patch:
        _stop_after(patch, 5)
        with pytest.raises(StoppedError):
            run(write(tmp_path), tmp_path / "run", WHITENED)
    run(None, tmp_path / "run", resume=True)
    assert evidence(tmp_path / "run") == expected


def test_an_average_keeps_it(whitened: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = str(whitened / "run" / "checkpoints" / "last.npz")
    assert main(["average", last, last, "--output", str(tmp_path / "mean.npz")]) == 0
    expected, found = (read(Path(path)).arrays["transform/0/matrix"] for path in (last, tmp_path / "mean.npz"))
    np.testing.assert_array_equal(found, expected)
    changed = read(Path(last))
    changed.arrays["transform/0/mean"][0] += 1
    save(tmp_path / "changed.npz", changed.meta, changed.arrays)
    assert main(["average", last, str(tmp_path / "changed.npz"), "--output", str(tmp_path / "no.npz")]) == 4
    assert "were trained with different image statistics" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("transform/0/mean"), "it lacks 'transform/0/mean'"),
        (lambda arrays: arrays.update({"transform/1/mean": np.zeros(3, np.float32)}), "it has 'transform/1/mean'"),
        (lambda arrays: arrays.update({"transform/0/matrix": np.zeros((64, 63), np.float32)}), "float32 (64, 63)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(whitened: Path, tmp_path: Path, change: Any, message: str) -> None:
    checkpoint = read(whitened / "run" / "checkpoints" / "last.npz")
    change(checkpoint.arrays)
    save(tmp_path / "forged.npz", checkpoint.meta, checkpoint.arrays)
    with Pool(1) as pool, pytest.raises(CheckpointError) as caught:
        Trained(tmp_path / "forged.npz", pool)
    assert message in str(caught.value)
