"""The scheduler begins cells again where that helps, waits where another process has them, and passes signals on."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pytest

from cnntrain.cli import main
from cnntrain.core.directory_lock import IN_USE
from cnntrain.core.errors import LostWorkerError
from cnntrain.core.signals import PARTING, SAVING
from cnntrain.sweep import scheduler
from cnntrain.sweep.cells import read_sweep
from cnntrain.sweep.executor import Ended
from cnntrain.sweep.scheduler import Cells, Outcome, train
from cnntrain.sweep.standing import Standing, require_unchanged
from cnntrain.training.changes import CHANGED
from cnntrain.training.interrupts import Interrupts
from tests.support.experiments import FULL, write

Turn = tuple[int | None, str, int]  # exit code, what it said, the step it has reached
LOST, DONE, BUSY = (None, "", 0), (0, "", 9), (8, f"runs/a {IN_USE} process 7\n", 0)


class Scripted:
    """An executor whose cells end as a script says, in a time of its own."""

    def __init__(self, turns: dict[str, list[Turn]], most: int = 1, full: int = 0) -> None:
        self.running: Collection[Standing] = []
        self.turns, self.most, self.full = turns, most, full
        self.now = 1000.0
        self.begun: list[tuple[str, float]] = []
        self.waiting: list[int] = []
        self.sent: list[int] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.closed = False

    @property
    def free(self) -> int:
        return self.most - len(self.running)

    def begin(self, standing: Standing, waiting: int) -> bool:
        self.waiting.append(waiting)
        if self.full > 0:
            self.full -= 1
            return False
        self.begun.append((standing.cell.name, self.now))
        self.running = [*self.running, standing]
        return True

    def look(self) -> list[Ended]:
        self.now += 10
        self.meanwhile()
        if not self.running:
            return []
        standing, *self.running = self.running
        code, said, step = self.turns[standing.cell.name].pop(0)
        standing.run_dir.mkdir(parents=True, exist_ok=True)
        (standing.run_dir / "status.json").write_text(json.dumps({"state": "running", "step": step}))
        return [Ended(standing, code, said)]

    def send(self, number: signal.Signals) -> None:
        self.sent.append(number)

    def close(self) -> None:
        self.closed = True


def swept(folder: Path, monkeypatch: pytest.MonkeyPatch, executor: Scripted, interrupts: Interrupts | None = None):
    """What becomes of two cells, `lr=0.1` and `lr=0.2`, and what was told of them; of both before the first begins."""
    write(folder)
    (folder / "sweep.yaml").write_text("config: full.yaml\ngrid: {optimizer.lr: [0.1, 0.2]}\n")
    told: list[tuple[str, str]] = []

    def watch(everyone: Sequence[Standing], one: Standing | None) -> None:
        if one is not None:
            told.append((one.cell.name, one.state))
        elif not executor.begun:
            told.append(("", " ".join(each.state for each in everyone)))

    monkeypatch.setattr(scheduler.time, "monotonic", lambda: executor.now)
    cells = Cells(read_sweep(folder / "sweep.yaml"), folder / "runs")
    try:
        return train(cells, executor, interrupts or Interrupts(), watch), told
    finally:
        assert executor.closed


def names(executor: Scripted) -> list[str]:
    return [name for name, _ in executor.begun]


def test_each_cell_is_begun_once_and_the_worst_code_is_the_sweeps(tmp_path, monkeypatch):
    executor = Scripted({"lr=0.1": [(6, "--set:1:15: it diverged\n", 3)], "lr=0.2": [DONE]})
    outcome, told = swept(tmp_path, monkeypatch, executor)
    assert names(executor) == ["lr=0.1", "lr=0.2"]
    assert executor.waiting == [2, 1]
    assert told == [("lr=0.1", "running"), ("lr=0.1", "diverged"), ("lr=0.2", "running"), ("lr=0.2", "finished")]
    first, second = outcome.standings
    assert (first.code, second.code, outcome.worst) == (6, 0, 6)
    assert (first.seconds, second.seconds) == (10, 10)
    assert first.said == f"{tmp_path}/sweep.yaml:2:8: it diverged\n", (
        "said of the sweep file, not of a --set nobody typed"
    )


def test_a_cell_trains_what_was_checked_or_nothing(tmp_path, capsys):
    """Where the config is edited, or moved away, while earlier cells train."""
    write(tmp_path)
    (tmp_path / "sweep.yaml").write_text(
        "config: full.yaml\nset: {train.epochs: 1}\ngrid: {optimizer.lr: [0.1, 0.2]}\n"
    )
    first, second = Cells(read_sweep(tmp_path / "sweep.yaml"), tmp_path / "runs").standings
    write(tmp_path, "# a comment changes nothing\n" + FULL)
    assert main([*first.words, "-q", "-j", "1"]) == 0
    edited = ("not", ": ", "Undo the change and run the sweep again, or give the changed one a folder of its own")
    gone = ("error:", " is not there: ", "Put it back, or on a file system that all machines of the sweep see")
    for text, (before, after, advice) in (
        (FULL.replace("momentum: 0.9", "momentum: 0.8"), edited),
        (FULL.replace("momentum: 0.9", "momentum: 8"), edited),
        (None, gone),
    ):
        write(tmp_path, text) if text else (tmp_path / "full.yaml").unlink()
        for standing in (first, second):
            assert main([*standing.words, "-q", "-j", "1"]) == 2
            said = capsys.readouterr().err
            assert f"{before} {CHANGED}{after}{tmp_path}/full.yaml" in said
            assert advice in said
    assert not second.run_dir.exists()


def test_a_sweep_begins_nothing_where_a_run_was_begun_with_other_settings(tmp_path, monkeypatch, capsys):
    """Its own refusal, and the training of those that had not begun, would make a sweep of both."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, FULL)
    sweep = "config: full.yaml\nset: {train.epochs: 1}\ngrid: {optimizer.lr: [0.1, 0.2]}\n"
    (tmp_path / "sweep.yaml").write_text(sweep)
    first, second = Cells(read_sweep(Path("sweep.yaml")), tmp_path / "runs").standings
    assert main([*first.words, "-q", "-j", "1"]) == 0
    write(tmp_path, FULL.replace("momentum: 0.9", "momentum: 0.8"))
    assert main(["sweep", "sweep.yaml", "-o", "runs"]) == 2
    said = capsys.readouterr().err
    assert "optimizer.momentum was 0.9 when runs/lr=0.1 was started and is 0.8 now: choose another folder (-o" in said
    assert not second.run_dir.exists()
    assert "2 runs in" not in said, "refused before anything is started"
    write(tmp_path, FULL)
    (tmp_path / "sweep.yaml").write_text(sweep.replace("epochs: 1", "epochs: 2"))
    require_unchanged(read_sweep(Path("sweep.yaml")), tmp_path / "runs")  # with a longer training all go on
    (first.run_dir / "checkpoints/last.npz").write_bytes(b"")
    require_unchanged(read_sweep(Path("sweep.yaml")), tmp_path / "runs")  # which is for that run to say


def test_a_cell_that_says_nothing_of_its_directory_or_has_another_code_is_not_tried_again(tmp_path, monkeypatch):
    turns = {"lr=0.1": [(8, "runs/a holds a run already\n", 0)], "lr=0.2": [(5, f"runs/b {IN_USE} process 7\n", 0)]}
    outcome, _ = swept(tmp_path, monkeypatch, executor := Scripted(turns))
    assert names(executor) == ["lr=0.1", "lr=0.2"]
    assert [(one.code, one.state) for one in outcome.standings] == [(8, "directory refused"), (5, "storage failed")]


def test_a_cell_lost_time_after_time_without_progress_is_given_up(tmp_path, monkeypatch):
    stuck = [(None, "", 5)] * 4
    outcome, told = swept(tmp_path, monkeypatch, executor := Scripted({"lr=0.1": [*stuck, DONE], "lr=0.2": [DONE]}))
    assert ("lr=0.1", "lost") in told
    assert names(executor) == ["lr=0.1"] * 4 + ["lr=0.2"], "lost ones come first"
    assert [one.code for one in outcome.standings] == [LostWorkerError.exit_code, 0]
    assert "its worker was lost 4 times without progress" in outcome.standings[0].said


def test_a_cell_whose_storage_fails_after_a_loss_is_not_one_that_was_lost(tmp_path, monkeypatch):
    _, told = swept(tmp_path, monkeypatch, Scripted({"lr=0.1": [LOST, (5, "", 5)], "lr=0.2": [DONE]}))
    assert ("lr=0.1", "storage failed") in told


def test_progress_between_two_losses_counts(tmp_path, monkeypatch):
    turns = [(None, "half a line", step) for step in (1, 1, 1, 2, 2, 2, 3, 3, 3)]
    outcome, told = swept(tmp_path, monkeypatch, executor := Scripted({"lr=0.1": [*turns, DONE], "lr=0.2": [DONE]}))
    assert len(executor.begun) == 9 + 1 + 1
    assert [(one.code, one.said) for one in outcome.standings] == [(0, ""), (0, "")]
    assert told.count(("lr=0.1", "finished")) == 1


def test_a_directory_in_use_is_tried_again_after_the_others_and_not_for_ever(tmp_path, monkeypatch):
    executor = Scripted({"lr=0.1": [BUSY, BUSY, DONE], "lr=0.2": [DONE]})
    outcome, told = swept(tmp_path, monkeypatch, executor)
    assert names(executor) == ["lr=0.1", "lr=0.2", "lr=0.1", "lr=0.1"]
    assert (outcome.worst, outcome.standings[0].said) == (0, "")
    assert ("lr=0.1", "directory in use") not in told
    outcome, told = swept(tmp_path, monkeypatch, Scripted({"lr=0.1": [BUSY] * 99, "lr=0.2": [DONE]}))
    assert (outcome.worst, told[-1]) == (8, ("lr=0.1", "directory in use"))
    assert outcome.standings[0].said.count(IN_USE) == 1


def test_a_directory_that_was_free_in_between_is_waited_for_anew(tmp_path, monkeypatch):
    turns = [BUSY] * 5 + [LOST] + [BUSY] * 5 + [DONE]
    outcome, _ = swept(tmp_path, monkeypatch, Scripted({"lr=0.1": turns, "lr=0.2": [DONE]}))
    assert outcome.worst == 0


def test_where_no_process_can_begin_the_cell_waits_at_the_head(tmp_path, monkeypatch):
    executor = Scripted({"lr=0.1": [DONE], "lr=0.2": [DONE]}, most=2, full=2)
    outcome, told = swept(tmp_path, monkeypatch, executor)
    assert names(executor) == ["lr=0.1", "lr=0.2"]
    assert executor.waiting[:3] == [2, 2, 2]
    assert told[:3] == [("", "waiting waiting"), ("", "waiting waiting"), ("lr=0.1", "running")]
    assert outcome.worst == 0


def test_signals_are_passed_on_once_and_nothing_begins_after_a_stop(tmp_path, monkeypatch):
    interrupts, executor = Interrupts(), Scripted({"lr=0.1": [LOST, DONE], "lr=0.2": [DONE]})

    def ask() -> None:
        interrupts.save, interrupts.stop = True, signal.SIGINT

    executor.meanwhile = ask
    outcome, _ = swept(tmp_path, monkeypatch, executor, interrupts)
    assert names(executor) == ["lr=0.1"], "a lost cell is not begun again"
    assert executor.sent == [SAVING, PARTING]
    assert (outcome.stopped, outcome.worst) == (signal.SIGINT, 130)
    assert [one.code for one in outcome.standings] == [LostWorkerError.exit_code, None]
    assert Outcome([], None).worst == 0


def test_a_bug_of_our_own_closes_the_executor_first(tmp_path, monkeypatch):
    executor = Scripted({"lr=0.1": [], "lr=0.2": []})
    with pytest.raises(IndexError):
        swept(tmp_path, monkeypatch, executor)


def test_a_second_look_sends_no_second_signal_to_stop(tmp_path, monkeypatch):
    interrupts = Interrupts()
    executor = Scripted({"lr=0.1": [(143, "", 1)], "lr=0.2": [(143, "", 1)]}, most=2)

    def ask() -> None:
        interrupts.stop = signal.SIGTERM

    executor.meanwhile = ask
    outcome, _ = swept(tmp_path, monkeypatch, executor, interrupts)
    assert executor.sent == [PARTING]
    assert [one.state for one in outcome.standings] == ["stopped", "stopped"]
