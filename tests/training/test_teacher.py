"""Distillation: a teacher's logits reach the loss, its digest the checkpoint, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core.errors import CheckpointError, ConfigError, DataError, StoppedError
from cnntrain.rundir.checkpoint import read
from tests.support.closed import close
from tests.support.experiments import evidence, run, write
from tests.training.test_trainer import _stop_after

SHORT = ("train.epochs=2",)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A run to learn from, and its config."""
    folder = tmp_path_factory.mktemp("teacher")
    config = write(folder)
    run(config, folder / "run", SHORT)
    return config, folder / "run"


def taught(path, *more):
    return (
        *SHORT,
        f"loss={{type: distillation, teacher: '{path}', temperature: 2, {', '.join(more) or 'alpha: 0.7'}}}",
    )


def test_threads_and_resumes_change_no_bit(teacher, tmp_path, monkeypatch):
    config, path = teacher
    run(config, tmp_path / "straight", taught(path))
    expected = evidence(tmp_path / "straight")
    run(config, tmp_path / "threads", taught(path), threads=3)
    assert evidence(tmp_path / "threads") == expected
    with monkeypatch.context() as patch:
        _stop_after(patch, 5)
        with pytest.raises(StoppedError):
            run(config, tmp_path / "run", taught(path))
    run(None, tmp_path / "run", resume=True)
    assert evidence(tmp_path / "run") == expected


def test_without_a_share_for_the_teacher_it_is_cross_entropy(teacher, tmp_path):
    config, path = teacher
    run(config, tmp_path / "run", taught(path, "alpha: 0"))
    plain, found = (read(folder / "checkpoints/last.npz").arrays for folder in (path, tmp_path / "run"))
    for name in (name for name in plain if name.startswith("param/")):
        np.testing.assert_allclose(found[name], plain[name], rtol=1e-3, atol=1e-4)


def test_a_sum_of_one_term_is_that_term(teacher, tmp_path):
    config, path = teacher
    run(config, tmp_path / "plain", taught(path))
    *rest, last = taught(path)
    run(config, tmp_path / "sum", (*rest, "loss={type: sum, terms: [" + last.removeprefix("loss=") + "]}"))
    plain, found = (read(tmp_path / name / "checkpoints/last.npz").digests() for name in ("plain", "sum"))
    assert found == plain


def test_another_teacher_is_other_data(teacher, tmp_path):
    config, _ = teacher
    run(config, tmp_path / "teacher", (*SHORT, "seed=8"))
    run(config, tmp_path / "run", taught(tmp_path / "teacher"))
    assert len(read(tmp_path / "run/checkpoints/last.npz").meta["data"]["teacher"]) == 64
    run(config, tmp_path / "teacher", (*SHORT, "seed=9"), overwrite=True)
    with pytest.raises(DataError, match=r"not what this run was started with \(teacher\)"):
        run(None, tmp_path / "run", ("train.epochs=3",), resume=True)


@pytest.mark.parametrize("key", ["loss.teacher", "loss.terms.0.teacher"])
def test_a_resume_is_told_where_a_teacher_lies_that_has_moved(teacher, tmp_path, key):
    config, _ = teacher
    run(config, tmp_path / "teacher", (*SHORT, "seed=8"))
    *rest, loss = taught(tmp_path / "teacher")
    summed = "loss={type: sum, terms: [" + loss.removeprefix("loss=") + "]}"
    run(config, tmp_path / "run", (*rest, summed if "terms" in key else loss))
    (tmp_path / "teacher").rename(tmp_path / "moved")
    with pytest.raises(CheckpointError) as raised:
        run(None, tmp_path / "run", ("train.epochs=3",), resume=True)
    assert str(raised.value).endswith(f", which {key} names. Say where the teacher lies with --set {key}=PATH")
    moved = f"{key}={tmp_path / 'moved'}"
    assert run(None, tmp_path / "run", ("train.epochs=3", moved), resume=True)["epochs"] == 3


def test_refusals(teacher, tmp_path):
    config, path = teacher
    with pytest.raises(CheckpointError, match="no checkpoint or run directory"):
        run(config, tmp_path / "run", taught(tmp_path / "nobody"))
    with pytest.raises(ConfigError, match=r"the teacher .* was trained on 8x8x1 of 3 classes"):
        run(config, tmp_path / "run", (*taught(path), "data.source.classes=2"))
    assert not (tmp_path / "run").exists()


def test_a_teacher_in_a_closed_folder_is_not_taken_for_none(teacher, tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    close(monkeypatch, tmp_path / "closed")
    with pytest.raises(CheckpointError, match=r"cannot look into .*closed: Permission denied\. Check the permissions"):
        run(teacher[0], tmp_path / "run", taught(tmp_path / "closed" / "run"))
