"""Training: exact resumption at every step, stopping rules, divergence, and what a run leaves behind."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

import cnntrain
from cnntrain.config.fields import Duration
from cnntrain.core.append_log import AppendLog
from cnntrain.core.arrays import Array
from cnntrain.core.console import Console
from cnntrain.core.errors import (
    ConfigError,
    DataError,
    DivergedError,
    PausedError,
    RunDirectoryError,
    StoppedError,
    UsageError,
)
from cnntrain.core.scale import PixelScale
from cnntrain.engine.pool import Pool
from cnntrain.rundir.checkpoint import read, read_meta
from cnntrain.rundir.json_files import read_rows
from cnntrain.training.interrupts import Interrupts, Wishes
from cnntrain.training.session import Options, fit
from cnntrain.training.trainer import Trainer
from cnntrain.training.validation import Validation, _Interruptible
from tests.support.experiments import ADAM, FULL, TINY, evidence, run, write

SHORT = ("train.epochs=2",)
THREE = ("train.epochs=3",)  # 24 steps, or 12 accumulated ones


@pytest.fixture(scope="module", params=[THREE, (*THREE, *ADAM)], ids=["momentum", "adam, accumulated"])
def straight(request, tmp_path_factory):
    """An undisturbed run: its config, overrides and evidence."""
    folder = tmp_path_factory.mktemp("straight")
    config = write(folder)
    result = run(config, folder / "run", request.param)
    assert result["state"] == "finished"
    return config, request.param, evidence(folder / "run")


def _stop_after(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let a signal arrive in the middle of step `step` (counted from 1); 0 means while the run starts."""
    original = Trainer._take_step

    def take(self: Trainer) -> None:
        if self.state.step + 1 == step:
            self.interrupts.stop = signal.SIGTERM
        original(self)

    monkeypatch.setattr(Trainer, "_take_step", take)


def _table(run_dir: Path) -> int:
    """The rows of metrics.csv."""
    with (run_dir / "metrics.csv").open() as file:
        return len(list(csv.DictReader(file)))


@pytest.mark.parametrize("resume", ["resume", "resume_or_start"])
def test_which_run_to_resume_has_to_be_said(tmp_path, resume):
    with pytest.raises(UsageError, match="need --run-dir"):
        fit([write(tmp_path)], options=Options(**{resume: True}))


@pytest.mark.parametrize("step", [1, 2, 7, 8, 9, 11])
def test_a_run_stopped_at_any_step_resumes_to_the_same_bits(straight, step, tmp_path, monkeypatch):
    config, sets, expected = straight
    with monkeypatch.context() as patch:
        _stop_after(patch, step)
        with pytest.raises(StoppedError, match=f"stopped by SIGTERM after step {step}") as stopped:
            run(config, tmp_path / "run", sets)
    assert stopped.value.exit_code == 143
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "interrupted"
    assert read_meta(tmp_path / "run" / "checkpoints" / "last.npz")["position"]["step"] == step
    assert f"stopped by SIGTERM after step {step}" in (tmp_path / "run" / "train.log").read_text()
    run(None, tmp_path / "run", resume=True)
    assert evidence(tmp_path / "run") == expected


def test_pauses_when_time_is_up_and_every_session_takes_a_step(straight, tmp_path):
    config, sets, expected = straight
    for step in range(1, 5):
        with pytest.raises(PausedError, match=f"paused by --max-time after step {step}, which is saved") as paused:
            run(config, tmp_path / "run", sets, resume_or_start=True, max_time=0)
        assert paused.value.exit_code == 75
        status = json.loads((tmp_path / "run" / "status.json").read_text())
        assert (status["state"], status["exit_code"]) == ("interrupted", 75)
        assert _table(tmp_path / "run") == len(read_rows(tmp_path / "run/metrics.jsonl"))
    run(config, tmp_path / "run", sets, resume_or_start=True, max_time=600)
    assert evidence(tmp_path / "run") == expected


def test_what_is_finished_when_time_is_up_is_finished(tmp_path):
    assert run(write(tmp_path), tmp_path / "run", ("train={steps: 1}",), max_time=0)["state"] == "finished"


@pytest.mark.parametrize("places", [("1ep", "2ep"), ("3st", "9st", "16st", "23st"), ("50%", "3st"), ("1ep", "99ep")])
def test_pausing_at_a_place_bends_nothing_and_is_done_once(tmp_path, places):
    config = write(tmp_path)
    run(config, tmp_path / "straight", THREE)
    steps, step = {"ep": 8, "st": 1, "%": 0.24}, 0
    for place in places:
        duration = Duration.parse(place)
        step = max(int(duration.value * steps[duration.unit]), step)
        if step >= 24:
            assert run(config, tmp_path / "run", THREE, resume_or_start=True, pause_at=duration)["state"] == "finished"
            continue
        for _ in range(2):  # the second time there is nothing to do
            with pytest.raises(PausedError, match=f"paused by --pause-at after step {step}, which is saved"):
                run(config, tmp_path / "run", THREE, resume_or_start=True, pause_at=duration)
            state = read(tmp_path / "run/checkpoints/last.npz").meta["position"]
            assert (state["step"], state["closed"]) == (step, step // 8)
    run(config, tmp_path / "run", THREE, resume_or_start=True)
    assert evidence(tmp_path / "run") == evidence(tmp_path / "straight")


def test_a_signal_during_validation_leaves_the_epoch_open_and_resumes_to_the_same_bits(straight, tmp_path, monkeypatch):
    config, sets, expected = straight
    original = Validation.values

    def validate(self):
        self._interrupts.stop = signal.SIGINT
        return original(self)

    with monkeypatch.context() as patch:
        patch.setattr(Validation, "values", validate)
        with pytest.raises(StoppedError, match="SIGINT") as stopped:
            run(config, tmp_path / "run", sets)
    assert stopped.value.exit_code == 130
    assert read_meta(tmp_path / "run/checkpoints/last.npz")["position"]["closed"] == 0
    run(None, tmp_path / "run", resume=True)
    assert evidence(tmp_path / "run") == expected


def _files(run_dir: Path) -> dict[str, bytes]:
    """Everything in which a run that was stopped must equal one that was not."""
    paths = [*(run_dir / "checkpoints").iterdir(), *(run_dir / "film").iterdir(), run_dir / "metrics.jsonl"]
    return {path.name: path.read_bytes() for path in paths}


@pytest.mark.parametrize(("every", "keep"), [("1ep", 9), ("2ep", 9), ("1ep", 1), ("3st", 2)])
def test_a_signal_in_any_step_or_validation_changes_no_file(tmp_path, monkeypatch, every, keep):
    """One in each of 6 steps, and one at each batch of both validations, with trained and with averaged weights."""
    average = "train.average={type: swa, start: 2st, every: 2st}"
    kept = (f"checkpoint.every={every}", f"checkpoint.keep={keep}", "checkpoint.film=4")
    sets = ("train.epochs=2", "train.batch_size=16", "train.shard=4", average, *kept)
    config, close, take, fill = write(tmp_path, TINY), Trainer._close_due_epoch, Trainer._take_step, _Interruptible.fill
    run(config, tmp_path / "straight", sets)
    expected, stops, place = _files(tmp_path / "straight"), set[tuple[int, int]](), [0, 0]

    def arrived(interrupts: Interrupts, step: int, batch: int) -> None:
        if (step, batch) not in stops:
            stops.add((step, batch))
            interrupts.stop = signal.SIGTERM

    def closing(self: Trainer) -> bool:
        place[:] = self.state.step, 0
        return close(self)

    def taking(self: Trainer) -> None:
        arrived(self.interrupts, self.state.step, 0)
        take(self)

    def filling(self: _Interruptible, start: int, stop: int, x: Array) -> tuple[Array, Array]:
        place[1] += 1
        arrived(self._interrupts, *place)
        return fill(self, start, stop, x)

    monkeypatch.setattr(Trainer, "_close_due_epoch", closing)
    monkeypatch.setattr(Trainer, "_take_step", taking)
    monkeypatch.setattr(_Interruptible, "fill", filling)
    finished = False
    while not finished:
        with contextlib.suppress(StoppedError):
            finished = run(config, tmp_path / "run", sets, resume_or_start=True)["state"] == "finished"
        there = {name: one for name, one in _files(tmp_path / "run").items() if name.startswith(("epoch", "step"))}
        assert [name for name in there if there[name] != expected.get(name, None if keep == 9 else there[name])] == []
    assert len(stops) == 6 + 2 * (2 + 2)
    assert _files(tmp_path / "run") == expected


def test_a_signal_while_the_data_is_read_ends_at_once_and_changes_nothing(straight, tmp_path, monkeypatch):
    config, sets, _ = straight

    def read_data(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("it went on")

    with monkeypatch.context() as patch:
        patch.setattr("cnntrain.data.build_data.read_data", read_data)
        with pytest.raises(StoppedError, match="before training; nothing was changed"):
            run(config, tmp_path / "run", sets)
        assert not (tmp_path / "run").exists()
    run(config, tmp_path / "run", (*sets, "train.epochs=1"))
    before = (tmp_path / "run" / "status.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("cnntrain.data.build_data.read_data", read_data)
        with pytest.raises(StoppedError):
            run(None, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "status.json").read_bytes() == before
    assert run(None, tmp_path / "run", resume=True)["state"] == "finished"  # the lock is free again


def test_a_process_that_dies_between_two_saves_loses_nothing(straight, tmp_path, monkeypatch):
    """As kill -9 would: an error that saves nothing, once within an epoch and once right after its end."""
    config, sets, expected = straight

    class Killed(BaseException):
        pass

    for step in (4, 11):
        with monkeypatch.context() as patch:
            original = Trainer._after_step

            def after(self, improved, late, step=step, original=original):
                if self.state.step == step:
                    raise Killed
                original(self, improved, late)

            patch.setattr(Trainer, "_after_step", after)
            with pytest.raises(Killed):
                run(config, tmp_path / "run", sets, resume_or_start=True)
    run(config, tmp_path / "run", sets, resume_or_start=True)
    assert evidence(tmp_path / "run") == expected


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_no_bit_of_a_run(straight, threads, tmp_path):
    config, sets, expected = straight
    run(config, tmp_path / "run", sets, threads=threads)
    assert evidence(tmp_path / "run") == expected


def test_resuming_a_finished_run_changes_nothing(straight, tmp_path):
    config, sets, expected = straight
    run(config, tmp_path / "run", sets)
    for options in ({"resume": True}, {"resume_or_start": True}):
        result = run(config, tmp_path / "run", sets, **options)
        assert result["state"] == "finished"
        assert evidence(tmp_path / "run") == expected


def test_a_run_that_goes_on_says_so_and_from_where(straight, tmp_path, monkeypatch):
    config, sets, _ = straight
    with monkeypatch.context() as patch:
        _stop_after(patch, 7)
        with pytest.raises(StoppedError):
            run(config, tmp_path / "run", sets)

    def take(self):
        status = json.loads((tmp_path / "run" / "status.json").read_text())
        raise DivergedError(f"{status['state']} from step {status['step']}")

    monkeypatch.setattr(Trainer, "_take_step", take)
    with pytest.raises(DivergedError, match="running from step 7"):
        run(None, tmp_path / "run", resume=True)


def test_step_0_is_saved_before_the_first_batch(tmp_path, monkeypatch):
    config = write(tmp_path)

    def take(self):
        meta = read_meta(self.run.last)
        assert meta["position"]["step"] == 0
        raise DivergedError("enough")

    monkeypatch.setattr(Trainer, "_take_step", take)
    with pytest.raises(DivergedError, match="enough"):
        run(config, tmp_path / "run")


def test_the_rows_of_metrics_tell_the_story(tmp_path):
    config = write(tmp_path)
    result = run(config, tmp_path / "run", SHORT)
    rows = read_rows(tmp_path / "run" / "metrics.jsonl")
    assert [row["event"] for row in rows] == [
        "start",
        "train",
        "train",
        "eval",
        "train",
        "train",
        "train",
        "eval",
        "end",
    ]
    assert rows[0]["samples"] == 72
    assert rows[0]["validation_samples"] == 18
    train = [row for row in rows if row["event"] == "train"]
    assert [(row["step"], row["epoch"], row["samples"]) for row in train] == [
        (3, 1, 30), (6, 1, 60), (9, 2, 82), (12, 2, 112), (15, 2, 142)]  # fmt: skip
    assert [(row["step"], row["epoch"]) for row in rows if row["event"] in ("eval", "end")] == [
        (8, 1),
        (16, 2),
        (16, 2),
    ]
    assert (result["step"], result["epochs"]) == (16, 2)
    for row in train:
        assert 0 < row["update_ratio"] < 1 < 100 * row["grad_norm"]
    assert all(0 <= row["dead_relu"] <= 1 for row in rows if row["event"] == "eval")
    assert rows[-1]["reason"] == "all steps taken"
    assert result["final"] == {key: value for key, value in rows[-2].items() if "/" in key}
    with (tmp_path / "run" / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["event"] for row in table] == [row["event"] for row in rows]
    assert float(table[3]["val/loss"]) == rows[3]["val/loss"]
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names >= {
        "config.yaml",
        "config.resolved.yaml",
        "env.json",
        "data.json",
        "command.txt",
        "timing.jsonl",
        "train.log",
    }
    assert (tmp_path / "run" / "config.yaml").read_text() == FULL
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "finished"


def test_the_best_checkpoint_is_that_of_the_best_epoch(tmp_path):
    config = write(tmp_path)
    result = run(config, tmp_path / "run")
    rows = [row for row in read_rows(tmp_path / "run/metrics.jsonl") if row["event"] == "eval"]
    best = max(rows, key=lambda row: row["val/accuracy"])  # the first of equals
    place = {"step": best["step"], "epoch": best["epoch"]}
    assert result["best"] == {"metric": "val/accuracy", "value": best["val/accuracy"], **place}
    assert read_meta(tmp_path / "run/checkpoints/best.npz")["position"]["step"] == best["step"]
    assert [row["best"] for row in rows].count(True) >= 1


@pytest.mark.parametrize("sets", [("checkpoint.every=1ep",), ("checkpoint={keep: 2}",)], ids=["written", "default"])
def test_numbered_checkpoints_are_kept_and_pruned(tmp_path, sets):
    config = write(tmp_path)
    run(config, tmp_path / "run", (*sets, "checkpoint.keep=2"))
    names = sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir())
    assert names == ["best.npz", "epoch-0004.npz", "epoch-0005.npz", "last.npz"]
    shutil.copy(tmp_path / "run/checkpoints/epoch-0004.npz", tmp_path / "run/checkpoints/epoch-0003.npz")
    run(None, tmp_path / "run", resume=True)  # a kill may have come before the last one was pruned
    assert sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir()) == names


def test_a_save_that_is_not_due_makes_no_numbered_checkpoint(tmp_path):
    sets = ("train.epochs=3", "checkpoint.every=2ep", "checkpoint.keep=9")
    run(write(tmp_path), tmp_path / "run", sets)
    names = sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir())
    assert names == ["best.npz", "epoch-0002.npz", "last.npz"]


def test_a_threshold_ends_training(tmp_path):
    config = write(tmp_path)
    sets = ("train.epochs=200", "train.until={metric: train/error, at_most: 0.3}", "data.source.noise=0.05")
    result = run(config, tmp_path / "run", sets)
    assert result["epochs"] < 200
    assert result["final"]["train/error"] <= 0.3
    assert "train/error" in result["reason"]
    earlier = [row for row in read_rows(tmp_path / "run/metrics.jsonl") if row["event"] == "eval"][:-1]
    assert all(row["train/error"] > 0.3 for row in earlier)


def test_no_row_of_a_finished_run_is_left_to_a_power_cut(tmp_path, monkeypatch):
    original, durable = AppendLog.sync, {}

    def sync(self):
        original(self)
        durable[self.path.name] = self.length

    monkeypatch.setattr(AppendLog, "sync", sync)
    run(write(tmp_path), tmp_path / "run", SHORT)
    assert durable == {"metrics.jsonl": (tmp_path / "run/metrics.jsonl").stat().st_size}


def test_early_stopping_ends_training_after_its_patience(tmp_path):
    config = write(tmp_path)
    sets = ("train.epochs=50", "train.early_stopping={monitor: val/loss, patience: 2, min_delta: 1000}")
    result = run(config, tmp_path / "run", sets)
    assert result["epochs"] == 3  # the first is a record, two are not
    assert result["reason"] == "val/loss has not improved for 2 epochs"


def test_training_by_steps_stops_within_an_epoch_and_validates(tmp_path):
    config = write(tmp_path, FULL.replace("epochs: 5", "steps: 11"))
    result = run(config, tmp_path / "run")
    assert result["step"] == 11
    assert result["epochs"] == 2
    evals = [row["step"] for row in read_rows(tmp_path / "run/metrics.jsonl") if row["event"] == "eval"]
    assert evals == [8, 11]


def test_a_batch_too_small_for_batch_norm_is_an_error_before_anything_is_written(tmp_path):
    text = FULL.replace("- global_avg_pool", "- {type: avg_pool2d, kernel_size: 8}\n    - batch_norm\n    - flatten")
    config = write(tmp_path, text)
    with pytest.raises(
        ConfigError, match=r"full.yaml:18:7: batch_norm_2 would get a batch with one value.*last has 1\."
    ):
        run(config, tmp_path / "run", ("train.batch_size=71",))
    assert not (tmp_path / "run").exists()


def test_stochastic_descent_takes_one_sample_a_step(tmp_path):
    config = write(tmp_path)
    sets = ("train.batch_size=1", "train.epochs=1", "optimizer.momentum=0", "optimizer.lr=0.01")
    result = run(config, tmp_path / "run", sets)
    assert result["step"] == 72


@pytest.mark.filterwarnings("error")
def test_divergence_stops_before_the_update_and_keeps_the_last_good_checkpoint(tmp_path):
    config = write(tmp_path)
    sets = ("optimizer.lr=1e30", "train.clip_norm=null", "schedule=constant", "checkpoint.every=1st")
    with pytest.raises(DivergedError, match=r"(the loss|the gradient|a weight) became .* step \d+.*Lower optimizer.lr"):
        run(config, tmp_path / "run", sets)
    checkpoint = read(tmp_path / "run/checkpoints/last.npz")
    assert all(np.isfinite(array).all() for array in checkpoint.arrays.values())
    assert json.loads((tmp_path / "run/status.json").read_text())["state"] == "diverged"
    assert _table(tmp_path / "run") == len(read_rows(tmp_path / "run/metrics.jsonl"))
    for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines():
        assert "NaN" not in line


def test_a_validation_loss_that_is_not_a_number_is_divergence_and_never_the_best(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images, labels = rng.random((60, 8, 8), np.float32), np.arange(60) % 3
    np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_val=images * 1e38, y_val=labels)
    source = f"{{type: npz, path: {tmp_path}/data.npz}}"
    text = FULL.replace("{type: synthetic, size: 8, classes: 3, samples: 90, noise: 0.3}", source)
    config = write(tmp_path, text.replace("  val: 0.2\n", ""))
    monkeypatch.setattr(PixelScale, "takes", lambda *_: True)  # their range is refused before anything can diverge
    unscaled = ("data.train_transforms=[]", "data.eval_transforms=[{type: normalize, mean: [0], std: [1e-3]}]")
    with pytest.raises(DivergedError, match=r"val/loss became (nan|inf) after epoch 1"):
        run(config, tmp_path / "run", unscaled)
    assert not (tmp_path / "run/checkpoints/best.npz").exists()
    assert read_meta(tmp_path / "run/checkpoints/last.npz")["position"]["closed"] == 0


def test_without_validation_best_means_training_loss(tmp_path):
    config = write(tmp_path)
    sets = (*SHORT, "data.val=null", "checkpoint.best.monitor=null", "train.early_stopping=null")
    result = run(config, tmp_path / "run", sets)
    assert result["best"]["metric"] == "train/loss"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "checkpoint.best.monitor=val/acuracy",
            r"'val/acuracy' is not computed in this run; did you mean 'val/accuracy'",
        ),
        ("train.until={metric: test/loss, at_most: 1}", r"'test/loss' is not computed"),
        ("train.early_stopping.monitor=val/top5", r"'val/top5' is not computed"),
    ],
)
def test_a_rule_about_an_unknown_metric_is_an_error_before_anything_is_written(tmp_path, override, message):
    config = write(tmp_path)
    with pytest.raises(ConfigError, match=message):
        run(config, tmp_path / "run", (override,))
    assert not (tmp_path / "run").exists()


def test_more_epochs_extend_a_finished_run(tmp_path):
    config = write(tmp_path)
    run(config, tmp_path / "run", SHORT)
    result = run(None, tmp_path / "run", ("train.epochs=3",), resume=True)
    assert result["epochs"] == 3
    events = [row["event"] for row in read_rows(tmp_path / "run/metrics.jsonl")]
    assert events.count("end") == 1
    assert events.count("eval") == 3


def test_resume_refuses_another_experiment(tmp_path):
    config = write(tmp_path)
    run(config, tmp_path / "run", SHORT)
    before = evidence(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"optimizer.lr was 0.1 when this run was started and is 0.2 now"):
        run(None, tmp_path / "run", ("train.epochs=3", "optimizer.lr=0.2"), resume=True)
    with pytest.raises(ConfigError, match=r"train.freeze.0.match was None when this run was started and is 'dense_1'"):
        run(None, tmp_path / "run", ("train.epochs=3", "train.freeze=[{match: dense_1}]"), resume=True)
    with pytest.raises(RunDirectoryError, match="holds a run already"):
        run(config, tmp_path / "run", SHORT)
    with pytest.raises(RunDirectoryError, match="nothing to resume"):
        run(None, tmp_path / "other", resume=True)
    assert evidence(tmp_path / "run") == before


def test_resume_refuses_changed_data(tmp_path):
    rng = np.random.default_rng(0)

    def save(labels):
        np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images[:3], y_test=labels[:3])

    images, labels = rng.integers(0, 255, (60, 8, 8), dtype=np.uint8), np.arange(60) % 3
    save(labels)
    source = f"{{type: npz, path: {tmp_path}/data.npz}}"
    text = FULL.replace("{type: synthetic, size: 8, classes: 3, samples: 90, noise: 0.3}", source)
    config = write(tmp_path, text)
    run(config, tmp_path / "run", SHORT)
    save(labels[::-1])
    with pytest.raises(DataError, match=r"not what this run was started with \(targets\).*--allow-data-change"):
        run(None, tmp_path / "run", ("train.epochs=3",), resume=True)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    assert run(None, tmp_path / "copy", ("train.epochs=3",), resume=True, allow_data_change=True)["epochs"] == 3


def test_the_time_that_is_left_is_told_as_if_nobody_had_stopped_the_process(tmp_path, monkeypatch):
    """For an hour, say, by SIGSTOP."""
    real, stopped, shown = time.monotonic, [0.0], []

    def step(_console, epoch, done, _steps, values):
        shown.append(values()["left"])
        if (epoch, done) == (2, 4):
            stopped.append(3600.0)

    monkeypatch.setattr(time, "monotonic", lambda: real() + stopped[-1])
    monkeypatch.setattr(Console, "step", step)
    run(write(tmp_path), tmp_path / "run")
    assert len(shown) == 40
    assert all(left.startswith("00:") for left in shown), shown


def test_training_from_python_is_one_call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_made = cnntrain.fit(write(tmp_path), set={"train.epochs": 1})
    assert run_made.history["epoch"] == [1]
    assert read(run_made.path / "checkpoints" / "last.npz").meta["position"]["step"] == 8


def test_training_learns(tmp_path):
    config = write(tmp_path)
    unflipped = "data.train_transforms=[{type: normalize, from: dataset}]"  # a flip turns one direction into another
    result = run(config, tmp_path / "run", ("train.epochs=15", "data.source.samples=300", unflipped))
    assert result["best"]["value"] >= 0.95


@pytest.mark.parametrize(
    ("wished", "error", "said"),
    [
        (Wishes(stop=signal.SIGTERM), StoppedError, "stopped by SIGTERM after step 3, which is saved"),
        (Wishes(late=1), PausedError, "paused by --max-time after step 3, which is saved"),
    ],
)
def test_what_another_process_wishes_is_granted_after_the_same_step(
    straight, wished, error, said, tmp_path, monkeypatch
):
    """As where several processes lead a training, each of which has signals and a clock of its own."""
    config, sets, expected = straight
    asked = []

    def agree(self, flags):
        asked.append(flags)
        return tuple(map(max, flags, wished)) if len(asked) == 4 else flags  # once before the first step

    with monkeypatch.context() as patch:
        patch.setattr(Pool, "agree", agree)
        with pytest.raises(error, match=said):
            run(config, tmp_path / "run", sets)
    assert asked == [(0, 0, 0)] * 4
    assert read_meta(tmp_path / "run" / "checkpoints" / "last.npz")["position"]["step"] == 3
    run(None, tmp_path / "run", resume=True)
    assert evidence(tmp_path / "run") == expected


def test_a_wish_to_save_is_granted_once(tmp_path, monkeypatch):
    saved, original = [], Trainer.save

    def save(self, **how):
        saved.append(self.state.step)
        original(self, **how)

    def take(self):
        if self.state.step == 4:
            self.interrupts.save = True
        step(self)

    step = Trainer._take_step
    monkeypatch.setattr(Trainer, "save", save)
    monkeypatch.setattr(Trainer, "_take_step", take)
    run(write(tmp_path), tmp_path / "run", ("train={steps: 7, batch_size: 10}", "checkpoint.every=100st"))
    assert saved == [0, 5, 7]
