"""What ranks find out before the first step: other data, another config, other libraries, a disk that is not shared."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cnntrain.core import machine
from cnntrain.core.directory_lock import LOCK
from cnntrain.core.errors import CheckpointError, DataError, StorageError, UsageError
from cnntrain.rundir import follower
from cnntrain.rundir.directory import RunDirectory
from cnntrain.training import muster
from cnntrain.training.job import Job, prepare
from cnntrain.training.warm_start import warm_start
from tests.support.experiments import TINY, run, write
from tests.support.wires import on_ranks

FILE = "data.source={type: npz, path: digits.npz}"


def job(folder: Path, *sets: str) -> Job:
    return prepare([write(folder, TINY)], sets, 1)


def require_alike(*jobs: Job) -> None:
    on_ranks(len(jobs), lambda ranks: muster.require_alike(ranks, jobs[ranks.rank]))


def write_samples(folder: Path, value: int) -> None:
    x, y = np.full((20, 8, 8), value, np.uint8), np.arange(20) % 2
    np.savez(folder / "digits.npz", x_train=x, y_train=y)


def test_ranks_share_the_processors_of_one_machine_and_not_of_two_of_one_name(monkeypatch):
    here = threading.local()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "threads", lambda: 8)
    monkeypatch.setattr(machine.platform, "node", lambda: "localhost")
    monkeypatch.setattr(machine, "_BOOT", SimpleNamespace(read_text=lambda: f"{here.started}\n"))

    def work(ranks, started):
        here.started = started[ranks.rank]
        return muster.threads(ranks)

    assert on_ranks(2, lambda ranks: work(ranks, "aa")) == [4, 4]
    assert on_ranks(2, lambda ranks: work(ranks, "ab")) == [8, 8]
    assert on_ranks(3, lambda ranks: work(ranks, "aba")) == [4, 8, 4]


def test_ranks_that_see_other_data_are_told_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_samples(tmp_path, 1)
    here = [job(tmp_path, FILE), job(tmp_path, FILE)]
    require_alike(*here)
    write_samples(tmp_path, 2)  # as on a machine where the data was not copied anew
    there = job(tmp_path, FILE)
    with pytest.raises(DataError, match=r"rank 2 on \S+ sees other data than rank 0 \(.+\)\. Put the data on a file"):
        require_alike(*here, there)


def test_ranks_with_another_config_or_other_libraries_are_told(tmp_path, monkeypatch):
    jobs = [job(tmp_path), job(tmp_path, "optimizer.lr=0.3")]
    with pytest.raises(UsageError, match=r"rank 1 on \S+ was given another config than rank 0"):
        require_alike(*jobs)
    found = iter([muster.environment(), muster.environment() | {"numpy": "1.0"}])
    monkeypatch.setattr(muster, "environment", lambda *_: next(found))
    with pytest.raises(UsageError, match=r"not compute the same bits: from rank 0 to rank 1 on \S+, NumPy "):
        require_alike(jobs[0], jobs[0])


def test_ranks_that_take_their_first_weights_from_another_checkpoint_are_told(tmp_path, monkeypatch):
    started = []
    for name in ("here", "there"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)  # as ranks in two folders, or on two machines that share none
        run(write(folder, TINY), Path("first"), ("train.epochs=1", f"optimizer.lr={0.1 + len(started)}"))
        made = job(folder, "model.init_from.checkpoint=first")
        started.append((made, warm_start(made.loaded, made.network)))

    def work(ranks):
        muster.require_alike(ranks, *started[ranks.rank])

    with pytest.raises(CheckpointError, match=r"rank 1 on \S+ starts from other weights than rank 0: .+here/first/.+"):
        on_ranks(2, work)
    on_ranks(2, lambda ranks: muster.require_alike(ranks, *started[1]))


def test_a_library_of_another_version_is_told_where_the_config_computes_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr("cnntrain.parts.transforms.hflip.HFlip.libraries", ("some_library",))
    here = threading.local()
    monkeypatch.setattr("cnntrain.rundir.environment._version", lambda _: f"1.{here.rank}")
    flipping, without = job(tmp_path), job(tmp_path, "data.train_transforms=[]")

    def work(ranks, made):
        here.rank = ranks.rank
        muster.require_alike(ranks, made)

    with pytest.raises(UsageError, match=r"not compute the same bits: .+, some_library 1\.0 -> 1\.1\."):
        on_ranks(2, lambda ranks: work(ranks, flipping))
    on_ranks(2, lambda ranks: work(ranks, without))


@pytest.mark.parametrize("there", ["nothing", "an older run"])
def test_a_run_directory_that_another_rank_does_not_see_is_told_before_the_first_step(tmp_path, monkeypatch, there):
    monkeypatch.setattr(follower, "_PATIENCE", 0.2)
    disk = tmp_path / "disk of the other machine"
    if there == "an older run":
        disk.mkdir()
        (disk / LOCK).write_text("1 other-machine")

    def elsewhere(path: Path, lock: str) -> follower.Follower:
        assert path.name == "run"
        return follower.Follower(disk, lock)

    def hold(ranks):
        with muster.held(ranks, lambda: RunDirectory.create(tmp_path / "run", "run", "0" * 8, overwrite=True)):
            return ranks.leads

    assert on_ranks(2, hold) == [True, False], "on one disk, both go on"
    monkeypatch.setattr(muster, "Follower", elsewhere)
    with pytest.raises(StorageError, match=r"^/.+, where rank 0 writes this run, cannot be seen from here"):
        on_ranks(2, hold)
