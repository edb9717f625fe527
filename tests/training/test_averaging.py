"""Runs with every training feature beside plain descent: same bits for threads and resumes, and what they measure."""

from __future__ import annotations

import importlib.util
import json
import shutil

import numpy as np
import pytest

from cnntrain.cli import main
from cnntrain.cli.require import check
from cnntrain.config.load import load
from cnntrain.core.errors import CheckFailedError, CheckpointError, ConfigError, StoppedError
from cnntrain.engine.pool import Pool
from cnntrain.results.average import merge
from cnntrain.results.export.files import export
from cnntrain.results.inspection import inspect
from cnntrain.results.replay import verify
from cnntrain.rundir.checkpoint import read, save
from cnntrain.rundir.json_files import read_rows
from cnntrain.trained import saved
from cnntrain.trained.inference import Trained
from cnntrain.training.job import prepare
from cnntrain.training.warm_start import warm_start
from tests.support.experiments import FULL, evidence, run, write
from tests.training.test_trainer import _stop_after

SHORT = ("train.epochs=3",)
EMA = (
    *SHORT,
    "train.average={type: ema, half_life: 3st}",
    "optimizer={type: sgd, lr: 0.1, momentum: 0.9, sam: {rho: 0.1}, lookahead: {every: 3}, weight_decay: 1e-3,"
    " groups: [{match: 'dense*', lr_mult: 0.5, weight_decay: 0.0}]}",
    "momentum_schedule={type: linear, start: 1.0, end: 0.5}",
    "train.regularize=[{type: l2, rate: 1e-3}, {type: l1, rate: 1e-4, roles: [weight, norm]},"
    " {type: max_norm, most: 1}]",
    "train.clip_value=0.5",
    "loss={type: sum, class_weight: balanced, terms: [{type: cross_entropy, label_smoothing: 0.1},"
    " {type: huber, weight: 0.2}]}",
)
SWA = (
    *SHORT,
    "train.average={type: swa, start: 6st, every: 2st}",
    "optimizer={type: muon, lr: 0.02}",
    "train.agc=0.05",
    "train.clip_norm=null",
    "train.accumulate=2",
    "schedule={type: plateau, monitor: val_average/loss, factor: 0.5, patience: 0}",
)


@pytest.fixture(scope="module", params=[EMA, SWA], ids=["ema", "swa"])
def straight(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    config = write(folder)
    run(config, folder / "run", request.param)
    return config, request.param, evidence(folder / "run")


@pytest.mark.parametrize("step", [1, 7, 9])
def test_resumed_runs_have_the_same_bits(straight, step, tmp_path, monkeypatch):
    config, sets, expected = straight
    with monkeypatch.context() as patch:
        _stop_after(patch, step)
        with pytest.raises(StoppedError):
            run(config, tmp_path / "run", sets)
    run(None, tmp_path / "run", resume=True)
    assert evidence(tmp_path / "run") == expected


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_no_bit(straight, threads, tmp_path):
    config, sets, expected = straight
    run(config, tmp_path / "run", sets, threads=threads)
    assert evidence(tmp_path / "run") == expected


def test_the_average_is_measured_kept_and_used(straight, tmp_path):
    config, sets, _ = straight
    run(config, tmp_path / "run", sets)
    last = tmp_path / "run" / "checkpoints" / "last.npz"
    row = [row for row in read_rows(tmp_path / "run" / "metrics.jsonl") if row["event"] == "eval"][-1]
    assert row["val_average/loss"] != row["val/loss"]
    checkpoint = read(last)
    assert checkpoint.meta["average"]["count"] > 1
    with Pool(1) as pool:
        trained = Trained(last, pool)
        assert trained.averaged
        assert trained.evaluate("val")["loss"] == row["val_average/loss"]


AVERAGED = (*SHORT, "train.average={type: ema, decay: 0.9}", "checkpoint.best.monitor=null")


def test_one_rule_says_which_weights_a_checkpoint_means(tmp_path, capsys):
    """Best, eval, predict, export, average, inspect, warm start and --require speak of one network."""
    config, place = write(tmp_path), tmp_path / "run"
    result = run(config, place, AVERAGED)
    rows = [row for row in read_rows(place / "metrics.jsonl") if row["event"] == "eval"]
    best = min(rows, key=lambda row: row["val_average/loss"])
    told = {"metric": "val_average/loss", "value": best["val_average/loss"]}
    assert told.items() <= result["best"].items()
    with Pool(1) as pool:
        trained = Trained(place, pool)
        measured = trained.evaluate("val")
        assert (measured["loss"], measured["weights"]) == (best["val_average/loss"], "averaged")
        for kind, name in (("numpy", "net.py"), ("onnx", "net.onnx")):
            if kind == "numpy" or importlib.util.find_spec("onnx"):
                assert export(trained, kind, tmp_path / name)["weights"] == "averaged"
    assert merge([place, place], tmp_path / "mean.npz")["weights"] == ["averaged", "averaged"]
    assert inspect(place)["weights"] == "averaged"
    used = saved.used(read(place / "checkpoints/best.npz"))
    wish = f"model.init_from={{checkpoint: {place}}}"
    run(config, tmp_path / "warm", ("train.epochs=1", wish))
    document = json.loads((tmp_path / "warm/data.json").read_text())["init_from"]
    assert document["weights"] == "averaged"
    np.savez(
        tmp_path / "some.npz", x_test=np.zeros((2, *read(place / "checkpoints/last.npz").meta["image_shape"]), "u1")
    )
    for form, told_of in (([], True), (["--csv"], True), (["--json"], False)):  # where the document says it itself
        capsys.readouterr()
        assert main(["predict", str(place), str(tmp_path / "some.npz"), *form]) == 0
        assert ("its averaged weights are used" in capsys.readouterr().err) == told_of
    loaded = warm_start(load([config], [wish]), prepare([config], [wish]).network)
    assert all(np.array_equal(array, used[f"param/{name}"]) for name, array in loaded.arrays.items())
    final = rows[-1]["val_average/accuracy"]
    with pytest.raises(CheckFailedError, match=r"val_average/accuracy is .*of the averaged weights"):
        check([f"val/accuracy>{final}"], result["final"])
    check([f"val/accuracy>={final}"], result["final"])


def test_before_there_is_an_average_the_weights_themselves_are_judged(tmp_path):
    """SWA that begins in the last epoch: until then the network that is kept is the trained one."""
    result = run(
        write(tmp_path), tmp_path / "run", (*AVERAGED[:-2], "train.average={type: swa, start: 20st}", AVERAGED[-1])
    )
    rows = [row for row in read_rows(tmp_path / "run/metrics.jsonl") if row["event"] == "eval"]
    kept = [row.get("val_average/loss", row["val/loss"]) for row in rows]
    assert "val_average/loss" not in rows[0]
    assert result["best"]["value"] == min(kept)
    assert [row["best"] for row in rows] == [kept[i] == min(kept[: i + 1]) for i in range(len(kept))]
    metric = result["best"]["metric"]
    assert metric in rows[kept.index(min(kept))]


def test_a_config_that_has_other_weights_judged_is_told(tmp_path, capsys):
    monitored = (*AVERAGED[:-1], "checkpoint.best.monitor=val/accuracy")
    assert run(write(tmp_path), tmp_path / "run", monitored)["best"]["metric"] == "val/accuracy"
    assert "checkpoint.best judges val/accuracy, while eval" in capsys.readouterr().err
    run(write(tmp_path), tmp_path / "silent", (*monitored, "warnings.ignore=[raw-weights-judged]"))
    assert "checkpoint.best judges" not in capsys.readouterr().err


def test_a_best_that_an_older_version_judged_by_other_weights_is_judged_anew(tmp_path):
    config, place = write(tmp_path), tmp_path / "run"
    run(config, place, AVERAGED)
    path = place / "checkpoints/last.npz"
    checkpoint = read(path)
    monitor = {key: value for key, value in checkpoint.meta["monitor"].items() if key != "metric"} | {"best": 1e-9}
    save(path, checkpoint.meta | {"monitor": monitor}, checkpoint.arrays)
    result = run(None, place, ("train.epochs=4",), resume=True)
    assert (result["best"]["metric"], result["best"]["epoch"]) == ("val_average/loss", 4)


def test_an_average_of_last_weights_alone_is_the_weights(tmp_path):
    run(write(tmp_path), tmp_path / "run", (*SHORT, "train.average={type: ema, decay: 0}"))
    arrays = read(tmp_path / "run/checkpoints/last.npz").arrays
    names = [name for name in arrays if name.startswith("param/")]
    assert names
    for name in names:
        np.testing.assert_array_equal(arrays[name], arrays[name.replace("param/", "average/")])
    rows = [row for row in read_rows(tmp_path / "run/metrics.jsonl") if row["event"] == "eval"]
    assert all(row["val/loss"] == row["val_average/loss"] for row in rows)


def test_averaging_leaves_training_alone(tmp_path):
    config = write(tmp_path)
    run(config, tmp_path / "plain", SHORT)
    for number, average in enumerate(["{type: ema, decay: 0.9}", "{type: swa, start: 1st, every: 2st}"]):
        run(config, tmp_path / str(number), (*SHORT, f"train.average={average}"))
        plain, averaged = (read(tmp_path / name / "checkpoints/last.npz").arrays for name in ("plain", str(number)))
        assert all(np.array_equal(plain[name], averaged[name]) for name in plain)


def test_swa_is_the_mean_of_the_weights_at_its_moments_with_statistics_measured_anew(tmp_path):
    config = write(tmp_path)
    sets = (*SHORT, "checkpoint={every: 4st, keep: 9}", "train.average={type: swa, start: 12st, every: 4st}")
    run(config, tmp_path / "run", sets)
    folder = tmp_path / "run/checkpoints"
    parts = [read(folder / f"step-{step:08d}.npz").arrays for step in (12, 16, 20, 24)]
    final = read(folder / "last.npz").arrays
    for name in (name for name in final if name.startswith("param/")):
        mean = np.mean([part[name] for part in parts], axis=0)
        average = final[name.replace("param/", "average/")]
        if "running" in name:
            assert np.abs(average - mean).max() > 1e-6
            assert np.isfinite(average).all()
        else:
            np.testing.assert_allclose(average, mean, rtol=1e-5, atol=1e-7)


def _running(path, kind):
    """The running means of a checkpoint's weights, or averaged weights."""
    arrays = read(path).arrays
    return np.concatenate([arrays[name] for name in sorted(arrays) if name.startswith(kind) and "running_mean" in name])


@pytest.mark.parametrize("val", ["null", "0.2"])
def test_every_checkpoint_of_swa_has_statistics_that_were_measured(tmp_path, val):
    """Without a validation, and between two: of weights that stay they are the same from early on."""
    still = ("optimizer.lr=0", "schedule=constant", "data.train_transforms=[]", "data.eval_transforms=[]")
    average = "train.average={type: swa, start: 1st, every: 1st}"
    length = ("train.epochs=null", "train.early_stopping=null", "train.steps=20", f"data.val={val}")
    best = "checkpoint={every: 6st, keep: 9}"
    run(write(tmp_path), tmp_path / "run", (*length, *still, average, best))
    early, late, last = (
        tmp_path / f"run/checkpoints/{name}.npz" for name in ("step-00000006", "step-00000018", "last")
    )
    assert all(read(path).meta["average"] == {"count": read(path).meta["position"]["step"]} for path in (early, late))
    expected = _running(last, "average/")
    noise = 0.1 * np.abs(expected).max()
    for path in (early, late):
        np.testing.assert_allclose(_running(path, "average/"), expected, atol=noise)
    assert np.abs(_running(early, "param/") - expected).max() > 3 * noise


def test_a_stop_in_a_hurry_leaves_measuring_to_the_resumed_run(tmp_path, monkeypatch, capsys):
    """Until then the checkpoint means the weights themselves; afterwards everything is as if it had never stopped."""
    monkeypatch.chdir(tmp_path)
    config = write(tmp_path)
    average = "train.average={type: swa, start: 7st, every: 4st}"
    alone = ("data.val=null", "train.early_stopping=null", "checkpoint={every: 4st, keep: 9}")
    sets = (*SHORT, *alone, average)
    run(config, tmp_path / "straight", sets)
    with monkeypatch.context() as patch:
        _stop_after(patch, 11)
        with pytest.raises(StoppedError):
            run(config, tmp_path / "run", sets)
    stopped = read(tmp_path / "run/checkpoints/last.npz")
    assert stopped.meta["average"] == {"count": 2, "stale": 11}
    assert saved.weights(stopped) == "trained"
    shutil.copy(tmp_path / "run/checkpoints/last.npz", "stopped.npz")
    for words in (
        ["eval", "stopped.npz", "--split", "train"],
        ["inspect", "stopped.npz"],
        ["average", "stopped.npz", "run", "-o", "mean.npz"],
        ["export", "stopped.npz", "--format", "page", "-o", "net.html"],
    ):
        capsys.readouterr()
        assert main(words) == 0
        said = "stopped.npz is used with its trained weights, the average is not measured yet"
        assert said in capsys.readouterr().err, words[0]
    for stale in (0, -1, 12, "x"):
        damaged = tmp_path / "damaged.npz"
        save(damaged, stopped.meta | {"average": {"count": 2, "stale": stale}}, stopped.arrays)
        with pytest.raises(CheckpointError, match="average"):
            saved.weights(read(damaged))
    run(None, tmp_path / "run", resume=True)
    assert evidence(tmp_path / "run") == evidence(tmp_path / "straight")
    assert saved.weights(read(tmp_path / "run/checkpoints/last.npz")) == "averaged"
    assert verify(tmp_path / "run", steps=10)["same"]


def test_a_run_of_a_version_that_did_not_measure_is_measured_once_it_goes_on(tmp_path, monkeypatch):
    """Its checkpoints stay what they were: the averaged weights of those that are finished are still used."""
    average = "train.average={type: swa, start: 7st, every: 4st}"
    sets = (*SHORT, "data.val=null", "train.early_stopping=null", "checkpoint={every: 12st, keep: 9}", average)
    config, last = write(tmp_path), tmp_path / "run/checkpoints/last.npz"
    run(config, tmp_path / "straight", sets)
    with monkeypatch.context() as patch:
        _stop_after(patch, 11)
        with pytest.raises(StoppedError):
            run(config, tmp_path / "run", sets)
    stopped = read(last)
    older = {"average": {"count": 2}, "environment": stopped.meta["environment"] | {"numerics": 11}}
    save(last, stopped.meta | older, stopped.arrays)
    assert saved.weights(read(last)) == "averaged"
    run(None, tmp_path / "run", resume=True)
    first, second = (read(tmp_path / f"{name}/checkpoints/step-00000012.npz") for name in ("run", "straight"))
    assert first.digests() == second.digests()


def test_an_average_that_never_began_is_told_at_the_end(tmp_path, capsys):
    run(
        write(tmp_path),
        tmp_path / "run",
        (*SHORT, "train.average={type: swa, start: 2ep}", "train.until={metric: train/loss, at_most: 9}"),
    )
    said = capsys.readouterr().err
    assert "train.average had not begun when training ended, after step 8: nothing was averaged [average-bey" in said


def test_reported_objective_is_loss_and_penalty(tmp_path):
    sets = (*SHORT, "train.regularize=[{type: l1_l2, l1: 0.01, l2: 0.02, match: 'conv2d*'}]")
    run(write(tmp_path), tmp_path / "run", sets)
    row = [row for row in read_rows(tmp_path / "run/metrics.jsonl") if row["event"] == "eval"][-1]
    weights = read(tmp_path / "run/checkpoints/last.npz").arrays["param/conv2d_1.weight"].astype(np.float64)
    assert row["train/penalty"] == pytest.approx(0.01 * np.abs(weights).sum() + 0.02 * (weights**2).sum(), rel=1e-6)
    assert row["train/objective"] == row["train/loss"] + row["train/penalty"]


@pytest.mark.parametrize(("samples", "steps"), [(1, 1), (71, 8), (72, 8), (73, 9), (100, 11)])
def test_training_by_samples_takes_whole_steps(tmp_path, samples, steps):
    text = FULL.replace("epochs: 5", f"samples: {samples}")
    assert run(write(tmp_path, text), tmp_path / "run")["step"] == steps


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.groups=[{match: 'head*'}]", r"match 'head\*' fits no layer"),
        ("train.regularize=[{type: l2, match: nothing}]", "match 'nothing' fits no layer"),
        ("momentum_schedule=constant", None),
        ("optimizer={type: sgd, groups: [{match: '*', lr_mult: -1}]}", "lr_mult must be at least 0"),
        ("loss={type: mse, class_weight: [1, 2]}", "class_weight has 2 factors, the data has 3 classes"),
        ("train.average={type: ema, decay: 0.9, half_life: 1ep}", "give one of them"),
        ("schedule={type: plateau, monitor: val/los}", "did you mean 'val/loss'"),
    ],
)
def test_what_does_not_fit_is_an_error_before_anything_is_written(tmp_path, override, message):
    sets: tuple[str, ...] = (*SHORT, override)
    if message is None:
        sets, message = (*sets, "optimizer.momentum=0"), "needs an optimizer with a momentum above 0"
    with pytest.raises(ConfigError, match=message):
        run(write(tmp_path), tmp_path / "run", sets)
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_without_the_states_of_schedules_is_an_older_one_or_damaged(tmp_path):
    run(write(tmp_path), tmp_path / "run", SHORT)
    last = tmp_path / "run/checkpoints/last.npz"
    checkpoint = read(last)
    straight = evidence(tmp_path / "run")
    older = {key: value for key, value in checkpoint.meta.items() if key not in ("schedules", "average", "loss")}
    save(last, older, checkpoint.arrays)
    run(None, tmp_path / "run", resume=True)
    assert evidence(tmp_path / "run") == straight
    save(last, checkpoint.meta | {"schedules": {"lr": 3}}, checkpoint.arrays)
    with pytest.raises(CheckpointError, match=r"damaged: its meta has no schedules\.lr"):
        run(None, tmp_path / "run", resume=True)
