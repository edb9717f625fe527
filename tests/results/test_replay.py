"""A finished run can be trained again from an earlier checkpoint of its own, and comes out the same to the bit."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from cnntrain.api.fit import fit
from cnntrain.cli import main
from cnntrain.core.errors import CheckFailedError, PausedError, RunDirectoryError
from cnntrain.results.inspection import inspect
from cnntrain.results.replay import verify
from cnntrain.rundir import checkpoint
from cnntrain.rundir.checkpoint import read
from tests.support.experiments import ADAM, run, write
from tests.support.older import COUNTED, as_of_0_1_0

SETS = (
    "train.epochs=3",
    "checkpoint.keep=4",
    "checkpoint.every=5st",
)  # numbered ones of steps 10, 15, 20, 24's is last


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    run(write(folder), folder / "run", SETS)
    return folder / "run"


@pytest.fixture
def copy(kept, tmp_path):
    return shutil.copytree(kept, tmp_path / "run")


def forge(path, change):
    """Write a checkpoint again with another content and right digests."""
    saved = read(path)
    meta = {
        key: value for key, value in saved.meta.items() if key not in ("format", "min_reader", "cnntrain", "arrays")
    }
    change(meta, saved.arrays)
    checkpoint.save(path, meta, saved.arrays)


@pytest.mark.parametrize(("steps", "start", "taken"), [(1, "step-00000020", 4), (9, "step-00000015", 9)])
def test_a_run_verifies_from_the_newest_checkpoint_that_is_early_enough(kept, steps, start, taken):
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    found = verify(kept, threads=2, steps=steps)
    assert found["from"] == str(kept / "checkpoints" / f"{start}.npz")
    assert (found["steps"], found["same"]) == (taken, True)
    assert found["metric_rows"] >= 2
    assert {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "sets",
    [(*ADAM, "train.average={type: ema, decay: 0.5}"), ("schedule={type: plateau, patience: 1, monitor: val/loss}",)],
    ids=["adam and average", "plateau"],
)
def test_whatever_moves_in_training_is_verified(tmp_path, sets):
    run(write(tmp_path), tmp_path / "run", (*SETS, *sets))
    assert verify(tmp_path / "run", steps=4)["same"] is True


def test_a_run_that_was_resumed_verifies_too(copy):
    run(None, copy, ("train.epochs=4", "checkpoint.keep=9"), resume=True)
    assert verify(copy)["steps"] <= 5


def test_a_run_whose_best_is_judged_otherwise_since_verifies_from_where_that_began(tmp_path):
    sets = ("train.epochs=2", "checkpoint.keep=9", "checkpoint.every=4st", "checkpoint.best.monitor=val/accuracy")
    run(write(tmp_path), tmp_path / "run", sets)
    other = "checkpoint.best.monitor=train/loss"
    run(None, tmp_path / "run", ("train.epochs=3", other, "checkpoint.every=40st"), resume=True)
    said = (
        "holds no checkpoint 1 step or more before its last one, to train from again, of the same settings: "
        r"step-00000016.npz is from before (train.epochs, )?checkpoint.best.monitor(, train.epochs)? changed\. "
    )
    with pytest.raises(RunDirectoryError, match=said):
        verify(tmp_path / "run")
    run(None, tmp_path / "run", ("train.epochs=4", "checkpoint.every=3st", "checkpoint.keep=8"), resume=True)
    assert verify(tmp_path / "run")["same"] is True


def test_one_bit_of_a_weight_is_enough(copy, capsys):
    def change(_meta, arrays):
        arrays["param/dense_1.weight"].view("u4")[0, 0] ^= 1

    forge(copy / "checkpoints/last.npz", change)
    with pytest.raises(
        CheckFailedError, match=r"is not what training from .*step-00000020.npz gives: param/dense_1.wei"
    ):
        verify(copy)
    assert main(["verify", str(copy)]) == 9
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta, _: meta["monitor"].update(stale=5), "monitor differ"),
        (lambda meta, _: meta["position"].update(samples=1), "position differ"),
        (lambda meta, arrays: arrays["slot/velocity/dense_1.bias"].fill(0), "slot/velocity/dense_1.bias differ"),
    ],
    ids=["monitor", "position", "slot"],
)
def test_so_is_anything_else_that_training_moves(copy, change, message):
    forge(copy / "checkpoints/last.npz", change)
    with pytest.raises(CheckFailedError, match=message):
        verify(copy)


def test_so_is_a_row_of_metrics(copy):
    metrics = copy / "metrics.jsonl"
    rows = metrics.read_text().splitlines()
    last = next(i for i in reversed(range(len(rows))) if '"event":"train"' in rows[i])
    row = json.loads(rows[last])
    rows[last] = rows[last].replace(str(row["train/loss"]), str(row["train/loss"])[:-1] + "0")
    metrics.write_text("\n".join(rows) + "\n")
    with pytest.raises(CheckFailedError, match=r"metrics.jsonl from byte [\d,]+ to [\d,]+ differ"):
        verify(copy)


def test_without_an_earlier_checkpoint_it_says_what_to_set(copy):
    for path in (copy / "checkpoints").glob("*.npz"):
        if path.name != "last.npz":
            path.unlink()
    with pytest.raises(RunDirectoryError) as raised:
        verify(copy)
    assert str(raised.value).startswith(
        f"{copy} holds no checkpoint 1 step or more before its last one, to train from again. Train once more "
        f"and keep some: cnntrain fit {copy}/config.resolved.yaml -s checkpoint.every="
    )


@pytest.mark.parametrize(("step", "steps"), [(1, 1), (1, 3), (2, 1), (3, 3), (5, 8), (7, 1), (8, 5), (9, 4), (9, 8)])
def test_whoever_follows_that_has_one(copy, step, steps):
    """Or it is said that a run of this length cannot have any."""
    for path in (copy / "checkpoints").glob("*.npz"):
        path.unlink() if path.name != "last.npz" else forge(path, lambda meta, _: meta["position"].update(step=step))
    with pytest.raises(RunDirectoryError) as raised:
        verify(copy, steps=steps)
    advice = str(raised.value)
    if step > steps:
        every, keep = (int(found) for found in re.findall(r"=(\d+)", advice))
        kept = [saved for saved in range(1, step + 1) if saved % every == 0][-keep:]
        assert any(saved <= step - steps for saved in kept)
    else:
        assert f"No run of {step} step" in advice
        assert (f"at most {step - 1} (--steps)" in advice) == (step > 1)


def test_a_run_that_is_resumed_keeps_what_is_early_enough(tmp_path):
    """As told, whatever its epochs hold: 8 steps here."""
    config = write(tmp_path)
    with pytest.raises(PausedError):
        fit(config, run_dir=tmp_path / "run", pause_at="1ep", quiet=True)
    with pytest.raises(RunDirectoryError, match="Keep some when you resume the run") as raised:
        verify(tmp_path / "run", steps=11)
    sets = re.findall(r"-s (\S+)", str(raised.value))
    run(None, tmp_path / "run", ("train.epochs=4", *sets), resume=True)
    assert verify(tmp_path / "run", steps=11)["steps"] >= 11


def test_the_command_says_what_was_compared(kept, capsys):
    assert main(["verify", str(kept), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(["verify", str(kept)]) == 0
    shown = capsys.readouterr()
    assert f"4 steps taken again: {found['arrays']} arrays and {found['metric_rows']} rows of metrics" in shown.out
    assert shown.err == ""


def test_another_environment_is_warned_of(copy, capsys):
    for path in (copy / "checkpoints").glob("*.npz"):
        forge(path, lambda meta, _: meta["environment"].update(numpy="1.0"))
    assert main(["verify", str(copy)]) == 0
    assert "cnntrain: warning: this is not the run's environment, bits may differ: NumPy 1.0" in capsys.readouterr().err


@pytest.mark.parametrize("names", [("step-00000020", "last"), ("step-00000020",)], ids=["the run's", "its start's"])
def test_where_the_environment_is_another_a_difference_is_not_held_against_the_file(copy, names):
    for path in (copy / "checkpoints").glob("*.npz"):
        if path.stem in names:
            forge(path, lambda meta, _: meta["environment"].update(kernel="Else"))
    forge(copy / "checkpoints/last.npz", lambda _, arrays: arrays["param/dense_1.weight"].fill(0))
    with pytest.raises(CheckFailedError, match="proves nothing, since the environment is another: BLAS kernel Else ->"):
        verify(copy, warn=lambda _: None)


@pytest.mark.parametrize("classes", [3, 4])
def test_a_run_of_0_1_0_verifies_whatever_its_metrics_kept(tmp_path, classes):
    path, kept = tmp_path / "run", tmp_path / "run/checkpoints"
    run(write(tmp_path), path, (*SETS, f"data.source.classes={classes}", *COUNTED))
    shutil.copy(kept / "step-00000020.npz", kept / "last.npz")  # within an epoch
    for file in kept.glob("*.npz"):
        as_of_0_1_0(file)
    assert verify(path, warn=lambda _: None)["same"] is True
    assert inspect(kept / "last.npz", verify=True)["verified"] is True


def test_replay_by_the_command_line(tmp_path, capsys):
    config, path = write(tmp_path), str(tmp_path / "run")
    sets = ("-s", "optimizer.lr=1e30", "-s", "train.clip_norm=null", "-s", "schedule=constant")
    assert main(["fit", str(config), "-o", path, "-q", *sets]) == 6
    capsys.readouterr()
    assert main(["replay", path]) == 0
    assert "residual_1.conv2d_1" in capsys.readouterr().out
    assert main(["replay", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["first"]["what"] == "output"
    assert main(["replay", path, "-s", "optimizer.lr=1"]) == 2
