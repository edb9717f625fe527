"""`cnntrain fit`: what it prints, where it writes, and how it goes on."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import signal

import numpy as np
import pytest

import cnntrain as door
from cnntrain.core.errors import PausedError
from cnntrain.rundir.checkpoint import read, save
from cnntrain.training import session
from cnntrain.training.trainer import Trainer
from tests.support.experiments import evidence


def test_json_is_one_document_on_stdout_and_all_else_is_on_stderr(cnntrain, config):
    outcome = cnntrain("fit", config, "-o", "run", "--json", "-s", "train.epochs=2")
    document = json.loads(outcome.out)
    assert outcome.code == 0
    assert document.keys() == {"schema", "run_dir", "state", "reason", "epochs", "step", "best", "final"}
    assert (document["run_dir"], document["state"], document["epochs"], document["step"]) == ("run", "finished", 2, 16)
    assert document["best"].keys() == {"metric", "value", "step", "epoch"}
    assert {"train/loss", "val/accuracy"} < document["final"].keys()
    assert outcome.err.splitlines()[0] == "run directory: run"
    assert outcome.err.splitlines()[-1] == "next: cnntrain eval run"


@pytest.mark.parametrize(
    ("how", "code"), [("--pause-at=3st", 75), ("--max-time=0s", 75), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_json_is_printed_of_a_run_that_ends_before_its_end_too(cnntrain, config, desk, monkeypatch, how, code):
    if not isinstance(how, str):
        take = Trainer._take_step
        monkeypatch.setattr(Trainer, "_take_step", lambda self: (take(self), os.kill(os.getpid(), how)))
    flags = [how] if isinstance(how, str) else []
    outcome = cnntrain("fit", config, "-o", "run", "--json", *flags)
    document = json.loads(outcome.out)
    status = json.loads((desk / "run/status.json").read_text())
    assert (outcome.code, status["exit_code"]) == (code, code)
    assert document.keys() == {"schema", "run_dir", "state", "reason", "epochs", "step", "best", "final"}
    assert document["reason"] is None
    assert [document[key] for key in ("state", "step", "epochs")] == [status[key] for key in ("state", "step", "epoch")]
    assert document["state"] == "interrupted"
    assert outcome.err.splitlines()[-1].endswith("Go on with: cnntrain fit --run-dir run --resume")


def test_json_is_not_printed_where_nothing_was_trained(cnntrain, config, monkeypatch):
    read = session.make_job
    monkeypatch.setattr(session, "make_job", lambda *given: (os.kill(os.getpid(), signal.SIGTERM), read(*given))[1])
    outcome = cnntrain("fit", config, "-o", "run", "--json")
    assert (outcome.code, outcome.out) == (143, "")


def test_from_python_the_error_has_what_json_would_print(config, desk):
    with pytest.raises(PausedError) as caught:
        door.fit(config, run_dir="run", pause_at="8st")
    assert caught.value.result["state"] == "interrupted"
    assert caught.value.result["final"].items() <= door.Run("run").final.items()
    assert door.Run(caught.value.result["run_dir"]).resume().state == "finished"


def test_without_json_stdout_stays_empty(cnntrain, config):
    outcome = cnntrain("fit", config, "-o", "run dir", "-s", "train.epochs=1")
    assert (outcome.code, outcome.out) == (0, "")
    lines = outcome.err.splitlines()
    assert lines[2] == "finished: all steps taken after 1 epoch, 8 steps"
    assert lines[-1] == "next: cnntrain eval 'run dir'"  # may be pasted into a shell


def test_quiet_says_nothing_where_nothing_is_wrong(cnntrain, config, desk):
    outcome = cnntrain("fit", config, "-o", "run", "-q", "-s", "train.epochs=1")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert "epoch 1/1" in (desk / "run" / "train.log").read_text()


def test_the_default_directory_is_named_after_the_experiment_and_latest_points_at_it(cnntrain, config, desk):
    assert cnntrain("fit", config, "-q", "-s", "train.epochs=1").code == 0
    (run,) = (path for path in (desk / "runs" / "full").iterdir() if not path.is_symlink())
    assert (desk / "runs" / "full" / "latest").resolve() == run
    assert cnntrain("eval", "runs/full/latest").code == 0


def test_a_dry_run_builds_and_reads_everything_and_leaves_nothing(cnntrain, config, desk):
    outcome = cnntrain("fit", config, "-n", "-o", "run", "-j", "1")
    assert (outcome.code, outcome.err) == (0, "")
    checked = cnntrain("check", config).out.splitlines()
    assert [line for line in checked if not line.startswith("memory")] == [
        line
        for line in outcome.out.splitlines()
        if line.split(" ")[0] not in ("memory", "disk", "step", "epoch", "run")
    ]
    assert re.search(r"memory +[\d.]+ [MG]B at most, data included", outcome.out)
    assert " ms on 1 thread, " in outcome.out
    assert re.search(r"^run +00:0\d for 5 epochs$", outcome.out, re.MULTILINE)
    document = json.loads(cnntrain("check", config, "--json").out)
    rehearsed = json.loads(cnntrain("fit", config, "-n", "--json").out)
    del document["survey"], document["warnings"]  # which a rehearsal says on stderr
    assert (document.pop("schema"), rehearsed["schema"]) == ("check/1", "fit-dry-run/1")
    assert {key: rehearsed[key] for key in document} == document
    assert not list(desk.iterdir())


def test_later_configs_lie_over_earlier_ones(cnntrain, config, desk):
    (desk / "more.yaml").write_text("name: more\ntrain: {epochs: 1}\n")
    outcome = cnntrain("fit", config, "more.yaml", "--json", "-q")
    assert json.loads(outcome.out)["epochs"] == 1
    assert (desk / "runs" / "more").is_dir()


def test_resume_or_start_starts_goes_on_and_does_nothing(cnntrain, config, desk):
    arguments = ["fit", config, "-o", "run", "--resume-or-start", "-s", "train.epochs=2"]
    assert cnntrain(*arguments).err.startswith("run directory: run\n")
    before = evidence(desk / "run")
    outcome = cnntrain(*arguments)
    assert outcome.code == 0
    assert "was finished already: all steps taken after 2 epochs, 16 steps" in outcome.err
    assert evidence(desk / "run") == before


def test_a_run_that_has_lost_its_last_checkpoint_goes_on_from_another_to_the_same_bits(cnntrain, config, desk):
    assert (
        cnntrain("fit", config, "--run-dir", "run", "-s", "checkpoint.every=6st", "-s", "checkpoint.keep=9").code == 0
    )
    (desk / "run/checkpoints/best.npz").unlink(missing_ok=True)
    files = [*sorted((desk / "run/checkpoints").glob("*.npz")), desk / "run/metrics.jsonl", desk / "run/metrics.csv"]
    whole = {path: path.read_bytes() for path in files}
    early = sorted((desk / "run/checkpoints").glob("step-*.npz"))[1]
    for path in {*files[:-2]} - {early}:
        path.unlink()
    refused = cnntrain("fit", config, "--run-dir", "run", "-s", "checkpoint.every=6st", "--resume-or-start")
    assert refused.code == 8
    words = shlex.split(refused.error.partition(": cp ")[2].partition(". Or ")[0])
    shutil.copy(*words)
    assert cnntrain("fit", "--run-dir", "run", "--resume").code == 0
    assert {path: path.read_bytes() for path in files if path.exists()} == {p: whole[p] for p in files if p.exists()}
    assert read(desk / "run/checkpoints/last.npz").meta["position"]["finished"]


def test_what_changed_is_listed_and_a_stretched_schedule_is_warned_of(cnntrain, finished):
    outcome = cnntrain("fit", "-o", finished, "--resume", "-s", "train.epochs=3")
    assert outcome.code == 0
    assert outcome.err.startswith("changed since the run was started: train.epochs: 1 -> 3\n")
    assert "warning: the schedule spans the new length: the learning rate of step 8 was 0 and is " in outcome.err
    assert "epoch 3/3" in outcome.err


def test_another_experiment_is_not_resumed(cnntrain, finished):
    outcome = cnntrain("fit", "-o", finished, "--resume", "-s", "optimizer.lr=0.5")
    assert outcome.code == 2
    assert outcome.err.startswith(
        "--set:1:14: optimizer.lr was 0.1 when this run was started and is 0.5 now: start another run, "
        "or undo the change\n"
    )


def test_a_resume_with_fewer_epochs_than_are_done_ends_at_once(cnntrain, finished):
    """As after a signal between two epochs: nothing says yet that the run is finished."""
    assert cnntrain("fit", "-o", finished, "--resume", "-q", "-s", "train.epochs=3").code == 0
    last = finished / "checkpoints" / "last.npz"
    saved = read(last)
    saved.meta["position"]["finished"] = None
    save(last, saved.meta, saved.arrays)
    outcome = cnntrain("fit", "-o", finished, "--resume", "-s", "train.epochs=2", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["step"] == 24
    quiet = cnntrain("fit", "-o", finished, "--resume", "-q", "-s", "train.epochs=1")
    assert "warning: the run has taken 24 steps, more than the 8 of the new length: no step is taken" in quiet.err


def test_another_environment_is_warned_of_and_refused_on_request(cnntrain, finished, monkeypatch):
    monkeypatch.setattr("cnntrain.training.changes.environment", lambda _: {"numpy": "9.9"})
    outcome = cnntrain("fit", "-o", finished, "--resume", "--strict-env")
    assert outcome.code == 4
    assert "--strict-env refuses that" in outcome.error
    assert "-> 9.9" in cnntrain("fit", "-o", finished, "--resume").err


@pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="comes with the extra `features`")
def test_another_opencv_is_warned_of_where_the_run_computes_with_it(cnntrain, config, desk, monkeypatch):
    import cv2

    described = "data.train_transforms=[dense_sift]", "data.eval_transforms=[dense_sift]"
    with_it = [word for text in (*described, "checkpoint.keep=2") for word in ("-s", text)]
    for run, sets in (("with", with_it), ("without", [])):
        assert cnntrain("fit", config, "-o", run, "-q", "-s", "train.epochs=1", *sets).code == 0
    assert json.loads((desk / "with/env.json").read_text())["libraries"] == {"cv2": cv2.__version__}
    monkeypatch.setattr(cv2, "__version__", "9.9")
    assert "-> 9.9" in cnntrain("fit", "-o", "with", "--resume").err
    assert "-> 9.9" in cnntrain("verify", "with").err
    assert cnntrain("fit", "-o", "with", "--resume", "--strict-env").code == 4
    assert cnntrain("fit", "-o", "without", "--resume", "--strict-env").code == 0


def test_no_library_that_a_checkpoint_names_is_imported(cnntrain, finished, desk, monkeypatch):
    (desk / "planted.py").write_text("raise SystemExit('imported')\n__version__ = '1'")
    monkeypatch.syspath_prepend(str(desk))
    last = finished / "checkpoints" / "last.npz"
    saved = read(last)
    saved.meta["environment"]["libraries"] = {"planted": "0"}
    save(last, saved.meta, saved.arrays)
    assert cnntrain("fit", "-o", finished, "--resume", "-q", "--strict-env").code == 0


def test_other_data_is_refused_unless_allowed(cnntrain, config, desk):
    rng = np.random.default_rng(0)
    for name, offset in (("a.npz", 0), ("b.npz", 1)):
        images = rng.integers(0, 256, (30, 8, 8), np.uint8)
        np.savez(desk / name, x_train=images, y_train=(np.arange(30) + offset) % 3)
    sets = ["-s", "data.source={type: npz, path: a.npz}", "-s", "train.epochs=1", "-s", "schedule=constant"]
    assert cnntrain("fit", config, "-o", "run", "-q", *sets).code == 0
    other = ["fit", "-o", "run", "--resume", "-q", "-s", "data.source.path=b.npz"]
    outcome = cnntrain(*other)
    assert outcome.code == 3
    assert "(targets, pixels)" in outcome.error
    assert cnntrain(*other, "--allow-data-change").code == 0


def test_the_run_directory_is_printed_for_scripts_before_training(cnntrain, config, desk):
    outcome = cnntrain("fit", config, "--print-run-dir", "-q", "-s", "train.epochs=1")
    assert (outcome.code, outcome.err) == (0, "")
    (run,) = (path for path in (desk / "runs" / "full").iterdir() if not path.is_symlink())
    assert outcome.out == f"{run.relative_to(desk)}\n"
    outcome = cnntrain("fit", "-o", run, "--resume-or-start", "--print-run-dir", "-q")
    assert outcome.out == f"{run}\n"
    diverging = ("-s", "optimizer.lr=1e30", "-s", "train.clip_norm=null", "-s", "schedule=constant")
    outcome = cnntrain("fit", config, "--print-run-dir", "-q", "-o", "two words", *diverging)
    assert (outcome.code, outcome.out) == (6, "two words\n")


def test_verbose_says_more_and_changes_nothing(cnntrain, config, desk):
    outcome = cnntrain("fit", config, "-v", "-o", "run", "-s", "train.epochs=1", "-j", "2")
    assert outcome.code == 0
    for told in (
        "NumPy",
        "2 threads, 2 shards of",
        "parameters in 1",
        "8 steps an epoch",
        "saved step 8, the best",
    ):
        assert told in outcome.err
    cnntrain("fit", config, "-o", "quiet", "-s", "train.epochs=1", "-q")
    assert evidence(desk / "run") == evidence(desk / "quiet")


@pytest.mark.parametrize(
    ("workers", "settings", "said"),
    [
        (2, (), ""),
        (
            5,
            ("train.batch_size=32",),
            "3 of 5 workers are idle: a batch of 32 is 2 shards of 16. train.shard: 6, at other bits and a little more "
            "work per sample, would keep them all busy",
        ),
        (
            5,
            ("train.batch_size=32", "data.source.samples=480"),
            "train.batch_size: 80 or train.shard: 6, at other bits and a little more work per sample, would keep them",
        ),
        (11, (), "9 of 11 workers are idle: a batch of 10 is 2 shards of 8. there are too few samples for all: 72"),
        (5, ("train.batch_size=32", "train.shard=6"), ""),
    ],
)
def test_workers_that_stand_idle_are_told_and_what_employs_them(cnntrain, config, workers, settings, said):
    sets = [word for setting in ("train.epochs=1", *settings) for word in ("-s", setting)]
    outcome = cnntrain("fit", config, "-o", "run", "-j", str(workers), *sets)
    assert outcome.code == 0
    assert ("workers are idle" in outcome.err) == bool(said)
    assert said in outcome.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("-q", "-v"), "--quiet and --verbose contradict each other. Choose one"),
        (("--print-run-dir", "--json"), "--print-run-dir prints the run directory; --json prints it, too. Choose one"),
        (("--print-run-dir", "-n"), "--print-run-dir prints the run directory; --dry-run makes none. Choose one"),
    ],
)
def test_flags_that_contradict_each_other(cnntrain, config, desk, flags, message):
    outcome = cnntrain("fit", config, *flags)
    assert (outcome.code, outcome.error) == (2, message)
    assert not list(desk.iterdir())
