"""Frozen layers: which are kept, up to which step, the same bits however it is computed, and what cannot be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.core.errors import ConfigError, StoppedError
from cnntrain.engine.front import Front
from cnntrain.rundir.checkpoint import read
from tests.support.experiments import evidence, run
from tests.training.test_trainer import _stop_after

CONFIG = """
data:
  source: {type: synthetic, size: 8, samples: 150, channels: 1}
  val: 0.2
model:
  layers:
    - type: sequential
      name: stage1
      body: [{type: conv2d, filters: 4, kernel_size: 3, padding: same, bias: false}, batch_norm, relu]
    - type: sequential
      name: stage2
      body: [{type: conv2d, filters: 4, kernel_size: 3, padding: same, bias: false}, batch_norm, relu]
    - {type: dropout, rate: 0.2}
    - global_avg_pool
    - {type: dense, name: head, units: auto}
optimizer: {type: adamw, lr: 0.01, weight_decay: 0.1}
train: {epochs: 3, batch_size: 32, clip_value: 0.5, FREEZE}
"""
ALL = "freeze: [{match: 'stage*', until: 2ep}, {match: stage1.batch_norm_1, until: 1ep}]"
LATER = "freeze: [{match: stage1, after: 2ep}, {match: 'stage2*', until: 1ep, after: 2ep}]"


def write(folder: Path, freeze: str) -> Path:
    config = folder / "x.yaml"
    config.write_text(CONFIG.replace("FREEZE", freeze))
    return config


def params(folder: Path, name: str = "last") -> dict[str, Any]:
    arrays = read(folder / "checkpoints" / f"{name}.npz").arrays
    return {key.removeprefix("param/"): array for key, array in arrays.items() if key.startswith("param/")}


def changed(folder: Path, before: str, after: str) -> set[str]:
    first, last = params(folder, before), params(folder, after)
    return {key.rpartition(".")[0] for key, array in first.items() if not np.array_equal(array, last[key])}


def once_and_anew(config: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The evidence of a run whose front is computed once, and of one that computes it in every step."""
    run(config, folder / "once")
    monkeypatch.setattr("cnntrain.engine.engine.MOST", 0)
    run(config, folder / "anew")
    return [evidence(folder / "once"), evidence(folder / "anew")]


def test_what_is_frozen_stays_to_the_bit_up_to_its_step_and_learns_then(tmp_path: Path) -> None:
    config = write(tmp_path, "freeze: [{match: stage1}, {match: 'stage2*', until: 2ep}]")
    run(config, tmp_path / "run", ("checkpoint.keep=9",))
    assert changed(tmp_path / "run", "epoch-0001", "epoch-0002") == {"head"}
    assert changed(tmp_path / "run", "epoch-0002", "epoch-0003") == {"head", "stage2.conv2d_1", "stage2.batch_norm_1"}


def test_what_is_frozen_after_a_time_has_learned_until_then(tmp_path: Path) -> None:
    config = write(tmp_path, LATER)
    run(config, tmp_path / "run", ("checkpoint.keep=9",))
    stage1, stage2 = ({f"{stage}.conv2d_1", f"{stage}.batch_norm_1"} for stage in ("stage1", "stage2"))
    assert changed(tmp_path / "run", "epoch-0001", "epoch-0002") == {"head"} | stage1 | stage2
    assert changed(tmp_path / "run", "epoch-0002", "epoch-0003") == {"head"}


@pytest.mark.parametrize(
    ("match", "said"),
    [("stage1.conv2d_1", "1 frozen layer at the front is"), ("stage1", "3 frozen layers at the front are")],
)
def test_how_many_layers_are_computed_once_is_said(tmp_path: Path, match: str, said: str) -> None:
    run(write(tmp_path, f"freeze: [{{match: {match}}}]"), tmp_path / "run", ("train.epochs=1",))
    assert f"{said} computed once for all samples" in (tmp_path / "run" / "train.log").read_text()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("freeze", [ALL, "freeze: [{match: stage1}]", LATER])
def test_the_same_bits_for_any_threads_and_whether_the_front_is_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, freeze: str, threads: int
) -> None:
    config = write(tmp_path, freeze)
    made: list[Front] = []
    original = Front.__init__
    monkeypatch.setattr(Front, "__init__", lambda self, *args: (made.append(self), original(self, *args))[1])
    run(config, tmp_path / "once", threads=threads)
    assert len(made) == 1
    made.clear()
    monkeypatch.setattr("cnntrain.engine.engine.MOST", 0)
    run(config, tmp_path / "anew", threads=1)
    assert not made
    assert evidence(tmp_path / "once") == evidence(tmp_path / "anew")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("stretch", ["", ", after: 6st", ", until: 6st", ", after: 8st", ", until: 1st, after: 9st"])
def test_an_average_with_statistics_measured_anew_leaves_training_alone_and_uses_no_front_of_other_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stretch: str, threads: int
) -> None:
    """Layers that are frozen within an epoch, too, whose steps are taken again: there are 4 to an epoch."""
    config = write(tmp_path, f"freeze: [{{match: stage1{stretch}}}]")
    run(config, tmp_path / "plain", threads=threads)
    average = ("train.average={type: swa, start: 2st, every: 2st}",)
    run(config, tmp_path / "once", average, threads=threads)
    trained = params(tmp_path / "once")
    assert all(np.array_equal(array, trained[name]) for name, array in params(tmp_path / "plain").items())
    monkeypatch.setattr("cnntrain.engine.engine.MOST", 0)
    run(config, tmp_path / "anew", average, threads=threads)
    assert evidence(tmp_path / "once") == evidence(tmp_path / "anew")


@pytest.mark.parametrize(
    "last", ["{type: conv2d, filters: 3, kernel_size: 3}", "batch_norm", "{type: conv3d, filters: 2, kernel_size: 2}"]
)
def test_a_front_of_clips_changes_no_bit_whether_its_last_layer_sees_moments_one_by_one_or_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    source = "data: {source: {type: motion, frames: 4, moving: 2, size: 6, samples: 22}, val: 0.2}"
    layers = (
        f"{{type: conv2d, filters: 2, kernel_size: 1, freeze: true}}, {{type: sequential, name: still, body: [{last}]}}"
    )
    model = f"model: {{layers: [{layers}, global_avg_pool, {{type: dense, units: auto}}]}}"
    config = tmp_path / "x.yaml"
    config.write_text(f"{source}\n{model}\ntrain: {{epochs: 2, batch_size: 5, shard: 2, freeze: [{{match: still}}]}}\n")
    once, anew = once_and_anew(config, tmp_path, monkeypatch)
    assert once == anew


@pytest.mark.parametrize(
    "layers",
    [
        "flatten, {type: dense, units: 600, name: still}, relu",
        "{type: conv2d, kernel_size: 7, filters: 400, name: still}, relu, flatten",
    ],
)
def test_a_front_of_wide_layers_changes_no_bit_though_evaluation_has_their_weights_in_panels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layers: str
) -> None:
    source = "data: {source: {type: synthetic, size: 12, samples: 256, channels: 3}, val: 0.25}"
    model = f"model: {{layers: [{layers}, {{type: dense, units: auto}}]}}"
    train = "train: {epochs: 1, batch_size: 64, shard: 64, freeze: [{match: still}]}"
    config = tmp_path / "x.yaml"
    config.write_text(f"{source}\n{model}\n{train}\n")
    once, anew = once_and_anew(config, tmp_path, monkeypatch)
    assert once == anew


@pytest.mark.parametrize("step", [2, 8])
@pytest.mark.parametrize("freeze", [ALL, LATER])
def test_a_run_stopped_before_and_after_layers_thaw_or_freeze_resumes_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, freeze: str
) -> None:
    config = write(tmp_path, freeze)
    run(config, tmp_path / "straight")
    with monkeypatch.context() as patch:
        _stop_after(patch, step)
        with pytest.raises(StoppedError):
            run(config, tmp_path / "run")
    run(None, tmp_path / "run", resume=True)
    assert evidence(tmp_path / "run") == evidence(tmp_path / "straight")


def test_a_thawed_layer_takes_the_steps_that_it_takes_from_scratch(tmp_path: Path) -> None:
    """Adam corrects the bias of its averages by a layer's own steps: its first one is as long as any first one."""
    config = write(tmp_path, "freeze: [{match: 'stage*', until: 2ep}]")
    sets = ("train.epochs=null", "train.clip_value=null", "optimizer.weight_decay=0")
    for steps in (8, 9):
        run(config, tmp_path / str(steps), (*sets, f"train.steps={steps}"))
    before, after = params(tmp_path / "8"), params(tmp_path / "9")
    moved = np.abs(after["stage1.conv2d_1.weight"] - before["stage1.conv2d_1.weight"])
    assert np.allclose(moved, 0.01, rtol=1e-2)


def test_with_augmentation_nothing_is_kept_and_a_run_says_what_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Front, "__init__", lambda *_: pytest.fail("a front was computed"))
    config = write(tmp_path, "freeze: [{match: stage1}]")
    run(config, tmp_path / "run", ("data.train_transforms=[hflip]", "train.epochs=1"))


@pytest.mark.parametrize(
    ("freeze", "said"),
    [
        ("freeze: [{match: stag}]", "match 'stag' fits no layer with parameters; did you mean 'stage"),
        ("freeze: [{match: '*', until: 1ep}]", "at first nothing would be learned"),
        ("freeze: [{match: 'stage*'}, {match: head, after: 1ep}]", "at last nothing would be learned"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, freeze: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run(write(tmp_path, freeze), tmp_path / "run")
    assert said in str(caught.value)
