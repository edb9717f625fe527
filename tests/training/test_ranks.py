"""Whole trainings on several ranks, here threads with queues between them: rows, weights and slots as on one.

And whole sessions: what is written, and how they end.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.config.fields import Duration
from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.console import Console
from cnntrain.core.errors import CnntrainError, DivergedError, LostWorkerError, PausedError, UsageError
from cnntrain.engine.pool import Pool
from cnntrain.engine.ranks import ALONE, Ranks
from cnntrain.rundir import checkpoint
from cnntrain.rundir.journal import Unwritten
from cnntrain.training import muster, session
from cnntrain.training.interrupts import Interrupts
from cnntrain.training.job import prepare
from cnntrain.training.trainer import Trainer
from tests.support.experiments import CLIPS, FULL, TINY, evidence, run, write
from tests.support.wires import on_ranks

SHORT = ("train.epochs=1", "data.source.samples=34")
SAM = ("optimizer={type: sgd, lr: 0.05, momentum: 0.9, sam: {rho: 0.05}}",)
FEW = ("data.source.samples=12", "train.epochs=1", "train.batch_size=8")
CONFIGS = Path(__file__).parents[2] / "configs"


class Kept(Unwritten):
    """Keeps the film, too."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.film: dict[str, bytes] = {}

    def write_film(self, name: str, meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """The bytes of the file that would be written."""
        self.film[name] = b"".join(map(bytes, checkpoint.pack(dict(meta), arrays)))


def trained(config: Path, sets: tuple[str, ...], ranks: Ranks = ALONE) -> tuple[bytes, dict[str, bytes]]:
    """The rows of a training, and every array that a checkpoint would hold at its end."""
    job = prepare([config], sets, 1)
    with Pool(1, ranks) as pool:
        kept = Kept(config.parent, 0, "metrics/2")
        trainer = Trainer(job, kept, pool, Console("none", True), Interrupts())
        trainer.stepper.initialize()
        trainer._reuse_front()
        if trainer.film:
            trainer.film.prepare()
            trainer.film.step()
        trainer.go_to(trainer.horizon.total_steps, -1)
        if trainer.film:
            trainer.film.end()
        arrays = {name: np.array(array).tobytes() for name, array in trainer.state.arrays().items()}
        return kept.rows, kept.film | arrays


CASES = {
    "batch norm, dropout, augmentation": (FULL, SHORT),
    "average, confusion": (TINY, SHORT),
    "accumulate": (TINY, (*SHORT, "train.accumulate=3")),
    "sam": (FULL, (*SHORT, *SAM)),
    "mixup": (FULL, (*SHORT, "data.train_transforms=[{type: mixup}]")),
    "swa": (FULL, (*SHORT, "train.average={type: swa, start: 50%}")),
    "detection": (CONFIGS / "detect-shapes.yaml", (*FEW, "data.val=0.4")),
    "segmentation": (CONFIGS / "segment-shapes.yaml", (*FEW, "data.val=0.4", "model.preset.width=2")),
    "clips": (CLIPS, SHORT),
    "film": (FULL, (*SHORT, "checkpoint.film=2")),
    "frozen at first": (FULL, (*SHORT, "data.train_transforms=[]", "train.freeze=[{match: conv2d_1, until: 2st}]")),
    **{name: (TINY, (*SHORT, f"optimizer={{type: {name}, lr: 1e-3}}")) for name in registry.parts("optimizers")},
}


@pytest.mark.parametrize("case", CASES)
def test_ranks_train_as_one_does(tmp_path: Path, case: str) -> None:
    given, sets = CASES[case]
    config = given if isinstance(given, Path) else write(tmp_path, given)
    expected = trained(config, sets)
    for found in on_ranks(3, lambda ranks: trained(config, sets, ranks)):
        assert found == expected


def sessions(monkeypatch: pytest.MonkeyPatch, size: int, *arguments: Any, **options: Any) -> list[BaseException | None]:
    """What the session of each of so many ranks ends with; an option may be a function of the rank's number."""
    here = threading.local()
    monkeypatch.setattr(muster, "join", lambda: here.ranks)

    def work(ranks: Ranks) -> BaseException | None:
        here.ranks = ranks
        own = {name: value(ranks.rank) if callable(value) else value for name, value in options.items()}
        try:
            run(*arguments, **own)
        except CnntrainError as error:
            return error
        return None

    return on_ranks(size, work)


def test_what_is_written_beside_the_training_keeps_the_ranks_in_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path)
    run(config, tmp_path / "alone", SHORT)
    asked = {"live": True, "tensorboard": True, "verbose": True}
    assert sessions(monkeypatch, 2, config, tmp_path / "run", SHORT, **asked) == [None, None]
    assert evidence(tmp_path / "run") == evidence(tmp_path / "alone")
    assert (tmp_path / "run" / "live.json").exists()


def test_time_that_is_up_for_one_rank_pauses_all_once_and_any_number_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder = write(tmp_path), tmp_path / "run"
    run(config, tmp_path / "alone", SHORT)
    ends = sessions(monkeypatch, 3, config, folder, SHORT, max_time=lambda rank: 0.0 if rank == 1 else None)
    assert [type(end) for end in ends] == [PausedError] * 3
    status = json.loads((folder / "status.json").read_text())
    assert (status["state"], status["step"]) == ("interrupted", 1)
    assert sessions(monkeypatch, 2, None, folder, resume=True) == [None, None]
    assert evidence(folder) == evidence(tmp_path / "alone")


def test_a_loss_that_is_not_finite_ends_all_ranks_with_one_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    ends = sessions(monkeypatch, 2, write(tmp_path), folder, (*SHORT, "optimizer.lr=1e30", "train.clip_norm=null"))
    assert [type(end) for end in ends] == [DivergedError] * 2
    assert json.loads((folder / "status.json").read_text())["state"] == "diverged"


@pytest.mark.parametrize("rank", [0, 1])
def test_a_number_of_workers_may_be_given_to_one_rank_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    config = write(tmp_path)
    run(config, tmp_path / "alone", SHORT)
    there = {"threads": lambda number: 2 if number == rank else None}
    assert sessions(monkeypatch, 2, config, tmp_path / "run", SHORT, **there) == [None, None]
    assert evidence(tmp_path / "run") == evidence(tmp_path / "alone")


@pytest.mark.parametrize("there", [0, 1])
def test_whether_there_is_a_run_to_resume_is_what_the_leader_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: int
) -> None:
    config, folder = write(tmp_path), tmp_path / "run"
    run(config, tmp_path / "alone", SHORT)
    if there == 0:
        with pytest.raises(PausedError):
            run(config, folder, SHORT, max_time=0.0)
    monkeypatch.setattr(session, "resumable", lambda _: here.rank == there)  # as where a disk is seen late, or not
    here = threading.local()

    def resume_or_start(rank: int) -> bool:
        here.rank = rank
        return True

    assert sessions(monkeypatch, 2, config, folder, SHORT, resume_or_start=resume_or_start) == [None, None]
    assert evidence(folder) == evidence(tmp_path / "alone")


@pytest.mark.parametrize(
    ("option", "values", "said"),
    [
        ("resume", (False, True), r"rank 0 was started without --resume and rank 1 on \S+ with --resume"),
        ("resume_or_start", (True, False), r"rank 0 was started with --resume-or-start and rank 1 on \S+ without"),
        (
            "pause_at",
            (Duration(1, "ep"), Duration(2, "ep")),
            r"with --pause-at 1ep and rank 1 on \S+ with --pause-at 2",
        ),
        ("live", (False, True), r"without --watch and rank 1 on \S+ with --watch\. Start all with one command"),
    ],
)
def test_ranks_that_were_asked_for_different_things_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, values: tuple[Any, Any], said: str
) -> None:
    config, folder = write(tmp_path), tmp_path / "run"
    ends = sessions(monkeypatch, 2, config, folder, SHORT, **{option: values.__getitem__})
    assert all(isinstance(end, UsageError | LostWorkerError) for end in ends), ends
    assert re.search(said, str(ends[0]))
    assert not folder.exists()
