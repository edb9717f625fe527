"""Event files: TensorBoard's own reader finds in them what metrics.jsonl holds, after a resume too."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest

from cnntrain.core.errors import MissingExtraError
from cnntrain.rundir import event_files
from cnntrain.rundir.directory import read_metrics
from cnntrain.training.session import Options, fit
from tests.support.experiments import run, write


def _reader():
    """TensorBoard's own; its dependencies warn of each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("tensorboard")
        from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
        from tensorboard.compat.proto.event_pb2 import Event
    return lambda path: [Event.FromString(data) for data in RawEventFileLoader(str(path)).Load()]


def watched(run_dir: Path) -> dict[tuple[str, int], float]:
    """Every value in a run's only event file, by tag and step."""
    (path,) = (run_dir / "tensorboard").iterdir()
    first, *others = _reader()(path)
    assert first.file_version == "brain.Event:2"
    return {(value.tag, event.step): value.simple_value for event in others for value in event.summary.value}


def expected(run_dir: Path) -> dict[tuple[str, int], float]:
    rows = [row for row in read_metrics(run_dir / "metrics.jsonl") if row["event"] in ("train", "eval")]
    return {
        (event_files.tag(key, row["event"]), row["step"]): pytest.approx(value, rel=1e-6)
        for row in rows
        for key, value in row.items()
        if type(value) is float
    }


def test_they_hold_what_metrics_hold_and_a_resume_goes_on(tmp_path):
    _reader()
    config = write(tmp_path)
    run(config, tmp_path / "run", ("train.epochs=2",), tensorboard=True)
    found = watched(tmp_path / "run")
    assert found == expected(tmp_path / "run")
    assert {"train/loss", "val/accuracy", "train_epoch/loss", "lr", "grad_norm", "update_ratio"} <= {
        t for t, _ in found
    }
    options = Options(run_dir=tmp_path / "run", resume=True, progress="none", quiet=True, tensorboard=True)
    fit([], ["train.epochs=3"], options)
    assert watched(tmp_path / "run") == expected(tmp_path / "run")


def test_a_run_has_none_unless_asked(tmp_path):
    run(write(tmp_path), tmp_path / "run", ("train.epochs=1",))
    assert not (tmp_path / "run/tensorboard").exists()


def test_without_tensorboard_nothing_is_begun(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tensorboard" else sys)
    with pytest.raises(MissingExtraError, match=r"pip install 'cnntrain\[tensorboard\]'"):
        run(write(tmp_path), tmp_path / "run", tensorboard=True)
    assert not (tmp_path / "run").exists()
