"""What may change when a run is resumed is heeded, told, or refused; never ignored."""

from __future__ import annotations

import json
import shutil
import wave

import numpy as np
import pytest
from PIL import Image

from cnntrain.config.fields import Duration
from cnntrain.config.load import load_resolved
from cnntrain.config.tree import RESOLVED
from cnntrain.core.errors import ConfigError, DataError, PausedError, UsageError
from cnntrain.engine.pool import Pool
from cnntrain.network import effects, initial
from cnntrain.parts.datasets.base import PLACES
from cnntrain.results.replay import verify
from cnntrain.rundir import history
from cnntrain.rundir.checkpoint import read, save
from cnntrain.rundir.directory import RunDirectory
from cnntrain.rundir.json_files import read_object, read_rows
from cnntrain.trained.inference import Trained
from cnntrain.training import changes
from cnntrain.training.job import prepare
from tests.support.experiments import TINY, evidence, run, write

STILL = "optimizer={type: sgd, lr: 1e-9}"  # nothing is learned


def epochs(folder):
    return [row for row in read_rows(folder / "metrics.jsonl") if row["event"] == "eval"]


def test_a_key_within_no_other_is_judged_like_any(tmp_path):
    config, folder = write(tmp_path, TINY), tmp_path / "run"
    run(config, folder, ("train.epochs=1",))
    with pytest.raises(ConfigError, match="seed was 3 when this run was started and is 4 now: start another run"):
        run(None, folder, ("seed=4",), resume=True)
    run(None, folder, ("name=another", "train.epochs=2"), resume=True)
    assert history.read(folder).settings["name"] == "another"


@pytest.mark.parametrize("then", ["checkpoint.best.monitor=val/loss", "checkpoint.best.mode=min"])
def test_another_way_to_judge_the_best_begins_anew(tmp_path, then):
    config, folder = write(tmp_path, TINY), tmp_path / "run"
    run(config, folder, ("checkpoint.best.monitor=val/accuracy", then, "train.early_stopping=null"))
    now = ("checkpoint.best.monitor=val/accuracy", "checkpoint.best.mode=auto", "train.epochs=5")
    run(None, folder, now, resume=True)
    later = [row["val/accuracy"] for row in epochs(folder)[3:]]
    best = read_object(folder / "status.json")["best"]
    assert (best["metric"], best["value"]) == ("val/accuracy", max(later))
    assert read(folder / "checkpoints/best.npz").meta["position"]["closed"] == best["epoch"] > 3


def test_another_metric_to_stop_by_begins_anew(tmp_path):
    config, folder = write(tmp_path, TINY), tmp_path / "run"
    run(config, folder, (STILL, "train.early_stopping={monitor: val/loss, patience: 1, min_delta: 9}"))
    assert len(epochs(folder)) == 2
    now = ("train.early_stopping={monitor: val/accuracy, patience: 2, min_delta: 0.9}", "train.epochs=9")
    run(None, folder, now, resume=True)
    assert len(epochs(folder)) == 2 + 3  # one to compare with, and two that are no better


@pytest.mark.parametrize(
    ("then", "now", "count"),
    [
        ("train.early_stopping={monitor: val/loss, patience: 1, min_delta: 9}", "train.early_stopping.patience=3", 4),
        ("train.early_stopping={monitor: val/loss, patience: 1, min_delta: 9}", "train.early_stopping=null", 6),
        ("train.until={metric: val/loss, at_most: 100}", "train.until.at_most=0.0001", 6),
        ("train.until={metric: val/loss, at_most: 100}", "train.until.at_most=99", 1),
    ],
)
def test_a_run_that_was_stopped_goes_on_where_the_rule_was_relaxed(tmp_path, then, now, count):
    config, folder = write(tmp_path, TINY), tmp_path / "run"
    run(config, folder, (STILL, "train.epochs=6", "train.early_stopping=null", then))
    assert len(epochs(folder)) < 3
    run(None, folder, (now,), resume=True)
    assert len(epochs(folder)) == count


@pytest.mark.parametrize("now", ["checkpoint.best.monitor=val/error", "train.early_stopping.monitor=val/error"])
def test_a_finished_run_keeps_what_was_judged(tmp_path, now):
    config, folder = write(tmp_path, TINY), tmp_path / "run"
    run(config, folder)
    best, rows = read_object(folder / "status.json")["best"], read_rows(folder / "metrics.jsonl")
    run(None, folder, (now,), resume=True)
    after = read_object(folder / "status.json")["best"]
    assert (after["value"], after["step"], after["epoch"]) == (best["value"], best["step"], best["epoch"])
    assert len(read_rows(folder / "metrics.jsonl")) == len(rows)
    assert "had no value" not in (folder / "train.log").read_text()


def test_what_spans_another_length_than_it_began_with_is_told(tmp_path):
    config, folder = write(tmp_path, TINY), tmp_path / "run"
    shares = (
        "schedule=constant",
        "train.early_stopping=null",
        "train.freeze=[{match: conv2d_1, until: 50%}, {match: dense_1, until: 100%}]",
        "train.average={type: swa, start: 90%}",
    )
    run(config, folder, (*shares, "train.epochs=4"))
    run(None, folder, ("train.epochs=8",), resume=True)
    told = (folder / "train.log").read_text()
    assert "train.freeze.0.until spans the new length: 50% was 20 steps and is 40, with 40 taken" in told
    assert "train.average.start spans the new length: 90% was 36 steps and is 72, with 40 taken" in told
    assert "train.freeze.1" not in told, "it was frozen in every step so far, as it would have been"


def test_a_length_in_samples_is_told_with_the_last_batch_as_small_as_it_is(tmp_path):
    """An epoch has 3 batches of 13 and one of 1, so 360 samples are 36 steps and 400 are 40."""
    config, folder = write(tmp_path, TINY), tmp_path / "run"
    run(config, folder, ("train.epochs=null", "train.samples=360", "train.batch_size=13", "schedule=constant"))
    run(None, folder, ("train.samples=400",), resume=True)
    assert read_object(folder / "status.json")["step"] == 40
    assert "the new length" not in (folder / "train.log").read_text()


def test_a_run_that_began_with_rules_that_do_nothing_goes_on_and_answers(tmp_path, monkeypatch):
    """As older versions let it begin; a new one is refused."""
    config, folder = write(tmp_path, TINY), tmp_path / "run"
    sets = (
        "init.rules=[{match: heda, weights: ones}]",
        "optimizer.groups=[{match: batch_norm_1, weight_decay: 1}]",
        "model.layers.0.bias_init=ones",
    )
    with monkeypatch.context() as earlier:
        for checks in (initial, effects):
            earlier.setattr(checks, "check", lambda *_: None)
        with pytest.raises(PausedError):
            run(config, folder, sets, pause_at=Duration(1))
    with pytest.raises(PausedError):
        run(None, folder, resume=True, pause_at=Duration(2))
    run(config, folder, sets, resume=True)
    assert len(epochs(folder)) == 3
    with Pool(1) as pool:
        assert Trained(folder / "checkpoints/best.npz", pool).network.graph.parameter_count() > 0
    with pytest.raises(ConfigError, match="'heda' fits no layer"):
        run(config, tmp_path / "another", sets)
    written = folder / RESOLVED
    assert prepare([written], ("checkpoint.keep=1", "optimizer.lr=0.1")).loaded.begun
    for other in ("init.rules.0.match=hade", "optimizer.groups.0.match=hade", "model.layers.0.filters=3"):
        with pytest.raises(ConfigError, match=" fits "):
            prepare([written], (other,))


def test_a_run_that_began_with_a_share_beside_a_fold_is_trained_anew_by_its_own_config(tmp_path):
    fold = "data.source={type: k_fold, source: {type: synthetic, size: 8, classes: 3, samples: 200}, folds: 4, fold: 1}"
    run(write(tmp_path, TINY), tmp_path / "run", (fold, "data.val=null", "train.epochs=1"))
    written = tmp_path / "run" / RESOLVED
    written.write_text(written.read_text().replace("val: null", "val: 0.2"))
    assert len(prepare([written]).data.val_indices) == 30
    with pytest.raises(ConfigError, match=r"Set data\.val to null"):
        prepare([written], ("data.val=0.2",))


PLAIN = ("schedule=constant", "train.early_stopping=null", "train.average=null", "train.epochs=3")


@pytest.mark.parametrize(  # of 10 steps an epoch
    ("override", "paused", "epochs"),
    [
        ("schedule={type: constant, warmup: 25%}", "29st", 6),  # the warm-up is over in either
        ("schedule={type: multistep, milestones: [25%]}", "29st", 6),
        ("schedule={type: multistep, milestones: [25%]}", "7st", 6),
        ("schedule={type: cosine_restarts, period: 25%}", "21st", 6),
        ("schedule=cosine", "1st", 6),  # none is told: at step 0 all cosines are alike
        ("schedule=cosine", "2st", 6),
        ("schedule=linear", "19st", 2),
        ("momentum_schedule={type: linear, start: 0.5}", "2st", 6),
        ("train.average={type: swa, start: 50%}", "14st", 6),
        ("train.average={type: swa, start: 50%}", "15st", 6),
        ("train.average={type: swa, start: 5st, every: 20%}", "11st", 6),
        ("train.average={type: ema, half_life: 75%}", "1st", 6),  # the first weights enter whole
        ("train.average={type: ema, half_life: 75%}", "2st", 6),
        ("train.freeze=[{match: conv2d_1, until: 50%}]", "15st", 6),
        ("train.freeze=[{match: conv2d_1, until: 50%}]", "16st", 6),
        ("train.freeze=[{match: conv2d_1, until: 50%}, {match: conv*, until: 20st}]", "16st", 6),
    ],
)
def test_another_length_is_told_of_where_it_makes_another_run_of_it_and_only_there(tmp_path, override, paused, epochs):
    config, folder, sets = write(tmp_path, TINY), tmp_path / "run", (*PLAIN, override)
    longer = f"train.epochs={epochs}"
    for place in (folder, tmp_path / "straight"):
        with pytest.raises(PausedError):
            run(config, place, sets if place == folder else (*sets, longer), pause_at=Duration.parse(paused))
    alike = evidence(folder)[0] == evidence(tmp_path / "straight")[0]
    with pytest.raises(PausedError):
        run(None, folder, (longer,), resume=True, pause_at=Duration.parse(paused))
    assert ("spans the new length" not in (folder / "train.log").read_text()) == alike


@pytest.mark.parametrize("field", PLACES)
def test_whatever_says_where_files_lie_may_change(field):
    assert changes._is_harmless(f"data.source.source.{field}")
    assert changes._is_harmless(f"data.val.{field}")


def test_a_source_within_another_and_a_teacher_may_be_found_elsewhere(tmp_path):
    pictures, rng = tmp_path / "pictures", np.random.default_rng(0)
    for kind in "abc":
        (pictures / kind).mkdir(parents=True)
        for number in range(18):
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(pictures / kind / f"{number}.png")
    text = TINY.replace(
        "{type: synthetic, size: 8, classes: 3, samples: 48, noise: 0.3}",
        f"{{type: subset, fraction: 0.9, source: {{type: image_folder, root: '{pictures}'}}}}",
    )
    config = write(tmp_path, text)
    run(config, tmp_path / "teacher", ("train.epochs=1",))
    sets = (f"loss={{type: distillation, teacher: '{tmp_path / 'teacher'}'}}",)
    run(config, tmp_path / "straight", sets)
    with pytest.raises(PausedError):
        run(config, tmp_path / "run", sets, pause_at=Duration(1))
    shutil.move(pictures, tmp_path / "moved")
    shutil.move(tmp_path / "teacher", tmp_path / "elsewhere")
    moved = (f"data.source.source.root={tmp_path / 'moved'}", f"loss.teacher={tmp_path / 'elsewhere'}")
    run(None, tmp_path / "run", moved, resume=True)
    assert evidence(tmp_path / "run")[0] == evidence(tmp_path / "straight")[0]
    assert verify(tmp_path / "straight", moved, threads=1)["same"]
    assert verify(tmp_path / "run", steps=20, threads=1)["same"], "from a checkpoint that knows the old places"
    with pytest.raises(UsageError, match="only where its data lies, or its teacher, can be set"):
        verify(tmp_path / "run", ("loss.alpha=0.5",))


NOISY = """\
data:
  source: {type: vowels, samples: 20, sample_rate: 4000, duration: 0.1}
  train_transforms: [{type: noise_from, folder: FOLDER, sample_rate: 4000, probability: 1}]
model: {layers: [{type: conv1d, filters: 2, kernel_size: 9, stride: 8}, global_avg_pool, {type: dense, units: auto}]}
train: {epochs: 3, batch_size: 10}
checkpoint: {keep: 9}
"""


@pytest.fixture
def noisy(tmp_path):
    """A run that adds noise from recordings, paused after an epoch: its config and the folder of recordings."""
    (tmp_path / "noise").mkdir()
    _record(tmp_path / "noise/hiss.wav", 1)
    config = write(tmp_path, NOISY.replace("FOLDER", str(tmp_path / "noise")))
    with pytest.raises(PausedError):
        run(config, tmp_path / "run", pause_at=Duration(1))
    return config, tmp_path / "noise"


def _record(path, seed):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 4000, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(seed).integers(-9999, 9999, 4000).astype("<i2").tobytes())


def test_recordings_that_transforms_read_may_be_found_elsewhere(tmp_path, noisy):
    config, folder = noisy
    run(config, tmp_path / "straight")
    shutil.move(folder, tmp_path / "moved")
    elsewhere = (f"data.train_transforms.0.folder={tmp_path / 'moved'}",)
    for call in (run, lambda _, path, **__: verify(path)):
        with pytest.raises(DataError, match=r"noise does not exist: .* with --set data\.train_transforms\.0\.folder=P"):
            call(None, tmp_path / ("run" if call is run else "straight"), resume=True)
    run(None, tmp_path / "run", elsewhere, resume=True)
    assert evidence(tmp_path / "run")[0] == evidence(tmp_path / "straight")[0]
    assert verify(tmp_path / "straight", elsewhere, threads=1)["same"]
    assert verify(tmp_path / "run", steps=4, threads=1)["same"]


def test_other_recordings_are_other_data(tmp_path, noisy):
    _, folder = noisy
    _record(folder / "hiss.wav", 2)
    with pytest.raises(DataError, match=r"not what this run was started with \(the files that transforms read\)"):
        run(None, tmp_path / "run", resume=True)
    last = read(tmp_path / "run/checkpoints/last.npz")
    del last.meta["data"]["transform_files"]
    save(last.path, last.meta, last.arrays)
    run(None, tmp_path / "run", resume=True)  # as written before they were recorded


def test_a_run_whose_data_has_moved_says_how_to_go_on(tmp_path):
    np.savez(tmp_path / "data.npz", x_train=np.zeros((8, 4, 4, 1), np.uint8), y_train=np.arange(8) % 2)
    data = f"data: {{source: {{type: npz, path: {tmp_path / 'data.npz'}}}}}"
    text = f"{data}\nmodel: {{layers: [flatten, {{type: dense, units: auto}}]}}\ntrain: {{epochs: 2, batch_size: 4}}\n"
    with pytest.raises(PausedError):
        run(write(tmp_path, text), tmp_path / "run", pause_at=Duration(1))
    shutil.move(tmp_path / "data.npz", tmp_path / "moved.npz")
    with pytest.raises(DataError, match=r"data\.npz does not exist: .* it lies with --set data\.source\.path=PATH; "):
        run(None, tmp_path / "run", resume=True)
    run(None, tmp_path / "run", (f"data.source.path={tmp_path / 'moved.npz'}",), resume=True)


def test_a_run_does_not_replace_its_own_teacher(tmp_path):
    config, folder = write(tmp_path, TINY), tmp_path / "run"
    run(config, folder, ("train.epochs=1",))
    before = evidence(folder)
    with pytest.raises(ConfigError, match=r"lies in the run directory .*: choose another --run-dir"):
        run(config, folder, (f"loss={{type: distillation, teacher: '{folder}'}}",), overwrite=True)
    assert evidence(folder) == before


@pytest.mark.parametrize("steps", [7, 14])
def test_an_epoch_that_was_cut_short_goes_on_where_there_are_more_steps_now(tmp_path, steps):
    """Epochs have 10 steps. But for a row at its first end, which may be the best, the run is one never cut."""
    config, plain = write(tmp_path, TINY), ("train.epochs=null", "schedule=constant")
    straight, cut = tmp_path / "straight", tmp_path / "cut"
    run(config, straight, (*plain, "train.steps=25"))
    run(config, cut, (*plain, f"train.steps={steps}"))
    run(None, cut, ("train.steps=25",), resume=True)
    assert read(cut / "checkpoints/last.npz").digests() == read(straight / "checkpoints/last.npz").digests()
    assert [row["step"] for row in epochs(straight)] == [10, 20, 25]
    rows = [row for row in epochs(cut) if row["step"] != steps]
    assert [row | {"best": None} for row in rows] == [row | {"best": None} for row in epochs(straight)]


@pytest.mark.parametrize(
    "rules",
    [
        ("schedule={type: plateau, patience: 1, threshold: 0.99}", "train.early_stopping.min_delta=9"),
        ("schedule=constant", "train.early_stopping={monitor: val/loss, patience: 3, min_delta: 9}"),
    ],
)
@pytest.mark.parametrize("steps", [7, 14, 27])
def test_an_epoch_that_was_cut_short_counts_once_at_its_true_end(tmp_path, rules, steps):
    """Each epoch but the first is one without an improvement, for a schedule that watches and for early stopping."""
    config, plain = write(tmp_path, TINY), ("train.epochs=null", STILL, *rules)
    straight, cut = tmp_path / "straight", tmp_path / "cut"
    run(config, straight, (*plain, "train.steps=45"))
    run(config, cut, (*plain, f"train.steps={steps}"))
    assert read_rows(cut / "metrics.jsonl")[-1]["reason"] == "all steps taken"
    assert "had no value" not in (cut / "train.log").read_text()
    run(None, cut, ("train.steps=45",), resume=True)
    found, expected = (read(folder / "checkpoints/last.npz") for folder in (cut, straight))
    assert found.digests() == expected.digests()
    assert found.meta["schedules"] == expected.meta["schedules"]
    assert found.meta["position"] == expected.meta["position"]
    assert found.meta["monitor"]["stale"] == expected.meta["monitor"]["stale"] > 2


def test_no_epoch_that_ended_is_opened_again(tmp_path):
    """Not even where there are more samples now, so that the steps taken are fewer epochs than were closed."""
    source = "{type: synthetic, size: 8, classes: 3, samples: 48, noise: 0.3}"
    config = write(tmp_path, TINY.replace(source, f"{{type: npz, path: {tmp_path / 'data.npz'}}}"))
    rng, folder = np.random.default_rng(0), tmp_path / "run"
    x, y = rng.integers(0, 256, (60, 8, 8, 1), np.uint8), np.arange(60) % 3
    np.savez(tmp_path / "data.npz", x_train=x[:48], y_train=y[:48])
    with pytest.raises(PausedError):
        run(config, folder, ("train.epochs=5",), pause_at=Duration(30, "st"))
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y)
    run(None, folder, resume=True, allow_data_change=True)
    assert [row["epoch"] for row in epochs(folder)] == [1, 2, 3, 4, 5]


def test_the_config_of_a_run_is_that_by_which_it_goes_on(tmp_path, monkeypatch):
    """So that `compare` groups it, and `--filter` finds it, by what it is now; a kill in between is made up for."""
    config, folder = write(tmp_path, TINY), tmp_path / "run"
    with pytest.raises(PausedError):
        run(config, folder, pause_at=Duration(1))
    before = {name: (folder / name).read_bytes() for name in ("config.resolved.yaml", "origins.json")}

    def killed(*_):
        raise KeyboardInterrupt

    write_resolved = RunDirectory.write_resolved
    for what, error in ((killed, KeyboardInterrupt), (write_resolved, PausedError)):
        monkeypatch.setattr(RunDirectory, "write_resolved", what)
        with pytest.raises(error):
            run(None, folder, ("train.epochs=5",), resume=True, pause_at=Duration(1))
    found, origins = load_resolved(folder / "config.resolved.yaml").experiment, read_object(folder / "origins.json")
    assert found.train.epochs == 5
    assert origins["train.epochs"].startswith("--set:1:")
    was = json.loads(before["origins.json"])
    assert {key for key in was if origins[key] != was[key]} == {"train.epochs"}
    run(None, folder, resume=True)
    assert history.read(folder).settings["train.epochs"] == 5
    run(None, folder, ("train.epochs=2",), resume=True)  # it has trained for five already, and takes no step
    assert history.read(folder).settings["train.epochs"] == 5


class KilledError(Exception):
    """Stands for a kill: what is on disk then stays."""


@pytest.mark.parametrize("at", ["write_resolved", "status"])
def test_settings_of_a_resume_that_is_killed_at_once_are_not_lost(tmp_path, monkeypatch, at):
    """What it noted says to type `--resume`, without them; and the bits are those of a run that was never killed."""
    config, folder, straight = write(tmp_path, TINY), tmp_path / "run", tmp_path / "straight"
    now = ("train.epochs=4", "train.early_stopping=null", "checkpoint.best.monitor=val/error")
    with pytest.raises(PausedError):
        run(config, folder, pause_at=Duration(13, "st"))
    shutil.copytree(folder, straight)
    run(None, straight, now, resume=True)

    with monkeypatch.context() as patch:
        real = getattr(RunDirectory, at)

        def killed(*arguments, **options):
            real(*arguments, **options)
            raise KilledError

        patch.setattr(RunDirectory, at, killed)
        with pytest.raises(KilledError):
            run(None, folder, now, resume=True)
    run(None, folder, resume=True)
    assert read(folder / "checkpoints/last.npz").digests() == read(straight / "checkpoints/last.npz").digests()
    assert read_rows(folder / "metrics.jsonl") == read_rows(straight / "metrics.jsonl")
    assert history.read(folder).settings == history.read(straight).settings


def test_the_config_of_a_finished_run_is_that_of_its_checkpoint(tmp_path):
    config, folder = write(tmp_path, TINY), tmp_path / "run"
    run(config, folder, ("train.epochs=1",))
    resolved = folder / "config.resolved.yaml"
    text = resolved.read_text()
    resolved.write_text(text.replace("epochs: 1\n", "epochs: 7\n"))
    run(None, folder, resume=True)
    assert resolved.read_text() == text


def test_the_config_of_a_run_that_goes_on_as_it_was_is_not_written_again(tmp_path, monkeypatch):
    config, folder = write(tmp_path, TINY), tmp_path / "run"
    with pytest.raises(PausedError):
        run(config, folder, pause_at=Duration(1))
    monkeypatch.setattr(RunDirectory, "write_resolved", None)
    run(None, folder, resume=True)


def test_a_resume_that_is_refused_leaves_the_status_of_the_run(tmp_path):
    config, folder = write(tmp_path, TINY), tmp_path / "run"
    run(config, folder, ("data.source.noise=0.1",))
    before = (folder / "status.json").read_bytes(), (folder / "metrics.csv").read_bytes()
    checkpoint = read(folder / "checkpoints/last.npz")
    meta = {key: value for key, value in checkpoint.meta.items() if key not in ("format", "min_reader", "arrays")}
    save(folder / "checkpoints/last.npz", meta | {"data": meta["data"] | {"samples": 7}}, checkpoint.arrays)
    with pytest.raises(DataError):
        run(None, folder, resume=True)
    assert ((folder / "status.json").read_bytes(), (folder / "metrics.csv").read_bytes()) == before
    assert "cnntrain: error: the training data is not what" in (folder / "train.log").read_text()
