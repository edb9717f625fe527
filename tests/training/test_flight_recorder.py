"""NaN and infinity: training ends before the update with what led there on record, and a replay finds the same."""

from __future__ import annotations

import contextlib
import errno
import json
import os

import numpy as np
import pytest

from cnntrain.config.fields import Duration
from cnntrain.core import files
from cnntrain.core.errors import CheckFailedError, DivergedError, PausedError, RunDirectoryError
from cnntrain.core.registry import parts
from cnntrain.core.scale import PixelScale
from cnntrain.core.storage import explained
from cnntrain.engine.examination import Examination
from cnntrain.parts.layers.dense import Dense
from cnntrain.results.replay import replay
from cnntrain.rundir.checkpoint import read
from cnntrain.training.postmortem import PostMortem
from cnntrain.training.trainer import Trainer
from tests.support.experiments import FULL, evidence, run, write

BOOM = ("optimizer.lr=1e30", "train.clip_norm=null", "schedule=constant")
SOURCE = "{type: synthetic, size: 8, classes: 3, samples: 90, noise: 0.3}"
RAW = ("data.train_transforms=[]", "data.eval_transforms=[]")


def diverge(config, run_dir, sets=(), **options):
    """Train until it diverges; the message and the record. What is promised of every divergence is asserted."""
    with pytest.raises(DivergedError) as raised:
        run(config, run_dir, sets, **options)
    assert raised.value.exit_code == 6
    text = (run_dir / "nonfinite/record.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    record = json.loads(text)
    last = read(run_dir / "checkpoints/last.npz")
    assert all(np.isfinite(array).all() for array in last.arrays.values())
    assert record["checkpoint"]["step"] == last.meta["position"]["step"] <= record["step"]
    assert json.loads((run_dir / "status.json").read_text())["state"] == "diverged"
    message = str(raised.value)
    assert "\n" not in message
    assert str(run_dir / "nonfinite/record.json") in message
    return message, record


def data(folder, **arrays):
    """The config of a run on these arrays instead of the synthetic ones."""
    np.savez(folder / "data.npz", **arrays)
    return FULL.replace(SOURCE, f"{{type: npz, path: {folder}/data.npz}}").replace("  val: 0.2\n", "")


def labelled(count=40):
    rng = np.random.default_rng(0)
    return rng.random((count, 8, 8, 1), np.float32), np.arange(count) % 3


def test_first_weights_that_are_not_finite_are_not_blamed_on_the_optimizer(tmp_path):
    sets = ("model.layers.6.bias_init={type: constant, value: 1e39}",)
    with pytest.raises(DivergedError) as raised, np.errstate(over="ignore"):
        run(write(tmp_path), tmp_path / "run", sets)
    message = str(raised.value)
    assert "not finite after step 0" in message
    assert f"nothing was saved. Mend the initial weights; there is no checkpoint yet, {tmp_path}/run/" in message


def test_values_too_large_for_the_loss_are_not_blamed_on_the_optimizer(tmp_path):
    x, _ = labelled()
    text = data(tmp_path, x_train=x, y_train=np.linspace(-1e20, 5e20, len(x), dtype=np.float32)[:, None])
    sets = ("loss=mse", "checkpoint.best.monitor=train/loss", "train.early_stopping=null")
    message, _ = diverge(write(tmp_path, text), tmp_path / "run", sets)
    assert "Bring the data's values, up to 5e+20, to other units: float32 cannot hold their squares" in message
    assert "Lower" not in message


def test_a_learning_rate_out_of_bounds(tmp_path):
    config = write(tmp_path)
    message, record = diverge(config, tmp_path / "run", BOOM)
    assert message == (
        f"the loss became nan at step 1 (learning rate 1e+30): residual_1.conv2d_1 ({config}:15:14) is the first layer "
        "whose output is not finite; the weights were not updated. Lower optimizer.lr or set train.clip_norm; "
        f"{tmp_path}/run holds the last good checkpoint, {tmp_path}/run/nonfinite/record.json tells more"
    )
    assert record["first"]["node"] == "residual_1.conv2d_1"
    assert record["first"]["where"] == f"{config}:15:14"
    assert [len(batch) for batch in record["batches"]] == [10]
    assert record["losses"] == [{"step": 0, "loss": pytest.approx(1.5, abs=1.5)}]
    nodes = {row["node"]: row["ranges"] for row in record["nodes"]}
    assert nodes["conv2d_1"]["output"]["nonfinite"] == 0
    assert nodes["conv2d_1"]["output"]["max"] > 1e25
    assert nodes["residual_1.conv2d_1"]["output"]["nonfinite"] > 0


def test_a_replay_of_it_names_the_same_layer_and_writes_nothing(tmp_path):
    config = write(tmp_path)
    _, record = diverge(config, tmp_path / "run", (*BOOM, "checkpoint.every=1ep"))
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    for threads in (1, 2):
        found = replay(tmp_path / "run", threads=threads)
        assert found["same"] is True
        assert found["steps"] == 2  # from the checkpoint of step 0 on
        assert found["recorded"] == record["first"]
        place = f"{tmp_path}/run/config.resolved.yaml"
        assert found["first"] == record["first"] | {"where": found["first"]["where"]}
        assert found["first"]["where"].startswith(place)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_a_resumed_run_diverges_alike(tmp_path):
    config = write(tmp_path)
    _, record = diverge(config, tmp_path / "run", BOOM)
    message, again = diverge(None, tmp_path / "run", resume=True)
    assert again["first"]["node"] == record["first"]["node"]
    assert f"({tmp_path}/run/config.resolved.yaml:" in message


def test_one_pixel_that_is_too_large_names_the_sample(tmp_path):
    images, labels = labelled()
    images[17, 2, 3] = 3e38
    config = write(tmp_path, data(tmp_path, x_train=images, y_train=labels))
    sets = ("data.train_transforms=[{type: normalize, mean: [0], std: [1e-3]}]", RAW[1], "checkpoint.best.monitor=null")
    message, record = diverge(config, tmp_path / "run", (*sets, "train.early_stopping=null"))
    assert ": the input itself is not finite, of training sample 17; the weights were not updated. Mend" in message
    assert record["first"] == {"node": "input", "type": "input", "what": "input", "where": None, "samples": [17]}
    assert 17 in record["batches"][0]
    assert replay(tmp_path / "run")["same"] is True


def test_targets_whose_square_is_infinite_are_the_fault_of_the_loss(tmp_path):
    images, _ = labelled()
    text = data(tmp_path, x_train=images, y_train=np.full((40, 2), 1e30, np.float32))
    config = write(tmp_path, text + "loss: mse\n")
    sets = (*RAW, "train.early_stopping=null", "checkpoint.best.monitor=null")
    message, record = diverge(config, tmp_path / "run", sets)
    assert f"every layer's output is finite, but the loss is not ({config}:" in message
    assert record["first"]["what"] == "loss"
    assert replay(tmp_path / "run")["same"] is True


def test_a_validation_that_alone_is_not_finite_ends_the_run_and_keeps_the_best(tmp_path, monkeypatch):
    """RELIABILITY F9: a network that cannot be judged is not worth training on, and NaN is never the best."""
    images, labels = labelled()
    text = data(tmp_path, x_train=images, y_train=labels, x_val=images, y_val=labels)
    config = write(tmp_path, text)
    scaled = ("data.train_transforms=[]", "data.eval_transforms=[{type: normalize, mean: [0], std: [1e-3]}]")
    run(config, tmp_path / "run", ("train.epochs=1", "train.shard=10", *scaled))
    best = (tmp_path / "run/checkpoints/best.npz").read_bytes()
    last = (tmp_path / "run/checkpoints/last.npz").read_bytes()
    images[[5, 9]] *= 1e38
    monkeypatch.setattr(PixelScale, "takes", lambda *_: True)  # their range is refused before anything can diverge
    np.savez(tmp_path / "data.npz", x_train=labelled()[0], y_train=labels, x_val=images, y_val=labels)
    message, record = diverge(None, tmp_path / "run", ("train.epochs=2",), resume=True, allow_data_change=True)
    assert message.startswith("val/loss became nan after epoch 2, step 8 (learning rate ")
    assert "of validation sample 5, 9; nothing was saved" in message
    assert (record["when"], record["split"], record["batches"]) == ("validation", "val", [])
    assert (tmp_path / "run/checkpoints/best.npz").read_bytes() == best
    assert last != (tmp_path / "run/checkpoints/last.npz").read_bytes()  # of step 8, before the validation
    assert replay(tmp_path / "run")["same"] is True


@pytest.mark.parametrize("behind", ["", "until: 9ep", "after: 1st"])
def test_a_gradient_that_is_not_finite_while_the_loss_is(tmp_path, monkeypatch, behind):
    """Also behind frozen layers that are computed only once."""
    original, calls = Dense.backward, []

    def backward(self, f):
        original(self, f)
        calls.append(None)
        if len(calls) > 3:
            f.dp["weight"][0, 0] = np.nan

    monkeypatch.setattr(Dense, "backward", backward)
    freeze = ", ".join(f"{{match: {name}, {behind}}}" for name in ("conv2d_1", "batch_norm_1"))
    sets = (*RAW, f"train.freeze=[{freeze}]") if behind else ()
    message, record = diverge(write(tmp_path), tmp_path / "run", sets)
    assert message.startswith("the gradient became nan at step ")
    assert "dense_1 (" in message
    assert "is the first layer, from the last, whose gradient is not finite" in message
    assert record["first"]["what"] == "gradient"
    assert len(record["losses"]) == record["step"]


@pytest.mark.parametrize(("name", "what"), [("conv2d_1.weight", "weights"), ("batch_norm_1.running_var", "statistics")])
def test_a_weight_or_statistic_that_became_infinite_is_not_saved(tmp_path, monkeypatch, name, what):
    original = Trainer._take_step

    def take(self):
        original(self)
        if self.state.step == 4:
            self.job.network.graph.layout.views(self.stepper.engine.params)[name].flat[0] = np.inf

    monkeypatch.setattr(Trainer, "_take_step", take)
    message, record = diverge(write(tmp_path), tmp_path / "run")
    assert message.startswith("a weight or a running statistic is not finite after step 4")
    assert "nothing was saved" in message
    assert (record["when"], record["first"]["node"], record["first"]["what"]) == ("save", name.split(".")[0], what)
    assert record["checkpoint"]["step"] == 2
    assert replay(tmp_path / "run")["same"] is True


def test_under_sam_the_step_beside_is_looked_at(tmp_path, monkeypatch):
    seen = []
    original = PostMortem._examine_nearby

    def nearby(self, examination, batches):
        seen.append(examination.finding)
        original(self, examination, batches)

    monkeypatch.setattr(PostMortem, "_examine_nearby", nearby)
    sets = ("optimizer={type: sgd, lr: 0.1, sam: {rho: 1e30}}", "train.clip_norm=null", "schedule=constant")
    _, record = diverge(write(tmp_path), tmp_path / "run", sets)
    assert seen == [None]
    assert record["step"] == 0
    assert record["first"]["what"] == "output"
    assert replay(tmp_path / "run")["same"] is True


def test_the_last_fifty_losses_are_kept(tmp_path):
    sets = ("train.epochs=20", "train.clip_norm=null", "checkpoint.every=1ep")
    late = ("schedule={type: piecewise, points: [{at: 60st, factor: 1}, {at: 61st, factor: 1e32}]}",)
    _, record = diverge(write(tmp_path), tmp_path / "run", (*sets, *late))
    assert [row["step"] for row in record["losses"]] == list(range(record["step"] - 50, record["step"]))
    assert record["step"] > 55


def test_without_memory_for_an_examination_the_record_says_what_is_known(tmp_path, monkeypatch):
    def step(_self, _batches, _step):
        raise MemoryError

    monkeypatch.setattr(Examination, "step", step)
    message, record = diverge(write(tmp_path), tmp_path / "run", BOOM)
    assert "no single layer shows where it began" in message
    assert (record["first"], record["nodes"]) == (None, [])
    assert record["batches"]


def test_a_record_that_cannot_be_written_does_not_hide_the_divergence(tmp_path, monkeypatch):
    original = files.write_atomic

    def write_atomic(path, chunks, held=None):
        if path.name == "record.json":
            with explained("write", path, 1):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(path, chunks, held)

    monkeypatch.setattr(files, "write_atomic", write_atomic)
    with pytest.raises(DivergedError, match=r"there is no record of it \(cannot write .*record.json: No space left"):
        run(write(tmp_path), tmp_path / "run", BOOM)


HUGE = """\
data: {source: {type: npz, path: PATH}}
model: {layers: [{type: flatten, name: flat}, {type: dense, units: auto, name: last}]}
loss: mse
train: {epochs: 3, batch_size: 4}
checkpoint: {every: 3ep}
"""  # 5 steps an epoch


def huge(folder):
    """A config with one sample of such values that the square of its gradient is not a float32."""
    rng = np.random.default_rng(0)
    pixels, values = rng.random((20, 4, 4, 1), np.float32), rng.random((20, 1), np.float32)
    pixels[7] *= 1000
    np.savez(folder / "data.npz", x_train=pixels, y_train=values * np.float32(1e18))
    return write(folder, HUGE.replace("PATH", f"{folder}/data.npz"))


@pytest.mark.parametrize("name", sorted(parts("optimizers")))
def test_no_optimizer_goes_on_with_a_slot_that_is_not_finite(tmp_path, name):
    settings = {"type": name} | parts("optimizers")[name].examples[0]
    with contextlib.suppress(DivergedError):
        run(huge(tmp_path), tmp_path / "run", (f"optimizer={json.dumps(settings)}",))
    arrays = read(tmp_path / "run/checkpoints/last.npz").arrays
    assert all(np.isfinite(array).all() for name, array in arrays.items() if name.startswith(("slot/", "param/")))


def test_a_slot_that_becomes_infinite_is_found_at_that_step_wherever_the_run_is_paused(tmp_path):
    config, sets = huge(tmp_path), ("optimizer={type: adam, lr: 0.001}",)
    message, record = diverge(config, tmp_path / "run", sets)
    assert f"the optimizer's v became infinite at step {record['step'] - 1}, by a gradient of norm " in message
    assert f"last ({config}:2:" in message
    assert "is the first layer for which the optimizer keeps a number that is not finite; nothing was saved" in message
    assert (record["when"], record["first"]["node"], record["first"]["what"]) == ("save", "last", "slots")
    assert replay(tmp_path / "run")["same"]
    assert record["step"] > 1
    with pytest.raises(PausedError):
        run(config, tmp_path / "paused", sets, pause_at=Duration(record["step"] - 1, "st"))
    with pytest.raises(DivergedError):
        run(None, tmp_path / "paused", resume=True)
    again = json.loads((tmp_path / "paused/nonfinite/record.json").read_text())
    assert [again[key] for key in ("reason", "step", "closed")] == [record[key] for key in ("reason", "step", "closed")]


def test_what_cannot_be_replayed_says_why(tmp_path):
    config = write(tmp_path)
    run(config, tmp_path / "sound", ("train.epochs=1",))
    with pytest.raises(
        RunDirectoryError, match=r"record.json cannot be read: No such file .*no record of a divergence"
    ):
        replay(tmp_path / "sound")
    diverge(config, tmp_path / "run", BOOM)
    record = tmp_path / "run/nonfinite/record.json"
    document = json.loads(record.read_text())
    (tmp_path / "sound/nonfinite").mkdir()
    moved = tmp_path / "sound/nonfinite/record.json"
    moved.write_text(json.dumps(document))
    with pytest.raises(RunDirectoryError, match=r"last.npz is at step 8, beyond step 1"):
        replay(tmp_path / "sound")
    moved.write_text(json.dumps(document | {"step": 10, "closed": 1}))
    with pytest.raises(CheckFailedError, match=r"did not diverge again.*recorded as: the loss became nan at step 1"):
        replay(tmp_path / "sound")
    record.write_text(json.dumps(document | {"first": document["first"] | {"node": "dense_1"}}))
    with pytest.raises(CheckFailedError, match=r"diverged again, but elsewhere: residual_1.conv2d_1 .* as: dense_1 "):
        replay(tmp_path / "run")
    for text in ("{", "[]", '{"step": 1}', json.dumps(document | {"first": {"node": 1}}), "\xff"):
        record.write_text(text)
        with pytest.raises(RunDirectoryError, match="is damaged"):
            replay(tmp_path / "run")


def test_overwriting_the_run_removes_the_record(tmp_path):
    config = write(tmp_path)
    diverge(config, tmp_path / "run", BOOM)
    run(config, tmp_path / "run", ("train.epochs=1",), overwrite=True)
    assert not (tmp_path / "run/nonfinite/record.json").exists()
    run(config, tmp_path / "other", ("train.epochs=1",))
    assert evidence(tmp_path / "run") == evidence(tmp_path / "other")
