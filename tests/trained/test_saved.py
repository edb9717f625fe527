"""What a checkpoint says of its experiment is checked; what is wrong is its own fault, but for the user's overrides."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnntrain.config.load import load
from cnntrain.core import registry
from cnntrain.core.errors import CheckpointError, ConfigError, Mark, Problem
from cnntrain.core.registry import make
from cnntrain.rundir.checkpoint import Checkpoint, read, save
from cnntrain.trained import saved
from tests.support.experiments import run, write


@pytest.fixture
def finished(tmp_path: Path) -> Checkpoint:
    run(write(tmp_path), tmp_path / "run", ("train.epochs=1",))
    return read(tmp_path / "run" / "checkpoints" / "last.npz")


def test_the_experiment_is_the_one_that_was_run(finished, tmp_path):
    loaded, description = saved.experiment(finished)
    assert loaded.experiment == load([tmp_path / "full.yaml"], ["train.epochs=1"]).experiment
    assert (description.shape, description.classes, description.values) == ((8, 8, 1), ("0", "1", "2"), 0)


@pytest.mark.parametrize(
    ("mine", "latest", "found"),
    [
        ({"type": "npz", "path": "a"}, {"type": "npz", "path": "b"}, {"type": "npz", "path": "b"}),
        (
            {"sources": [{"root": "a"}, {"root": "b"}]},
            {"sources": [{"root": "c"}]},
            {"sources": [{"root": "c"}, {"root": "b"}]},
        ),
        ({"path": "a", "size": 8}, {"path": 3, "size": 9}, {"path": "a", "size": 8}),
        ({"path": "a"}, None, {"path": "a"}),
    ],
)
def test_data_lies_where_the_last_checkpoint_says_and_nothing_else_does(finished, mine, latest, found):
    save(finished.path, finished.meta | {"config": {"data": {"source": latest, "val": None}}}, finished.arrays)
    meta = finished.meta | {"config": {"data": {"source": mine, "val": 0.1}, "seed": 1}}
    best = Checkpoint(finished.path.with_name("best.npz"), meta, {})
    assert saved.moved(best).meta["config"] == {"data": {"source": found, "val": 0.1}, "seed": 1}
    elsewhere = Checkpoint(finished.path.parents[2] / "best.npz", meta, {})
    assert saved.moved(elsewhere) is elsewhere
    finished.path.write_bytes(b"damaged")
    assert saved.moved(best) is best


def test_fitted_transforms_have_what_they_measured(finished):
    (as_written,) = saved.experiment(finished)[0].experiment.data.eval_transforms
    (fitted,) = saved.experiment(finished, fitted=True)[0].experiment.data.eval_transforms
    assert as_written.needs_fit()
    assert not fitted.needs_fit()


def test_overrides_are_the_users_and_so_are_their_errors(finished):
    loaded, _ = saved.experiment(finished, ["seed=9"])
    assert loaded.experiment.seed == 9
    with pytest.raises(ConfigError, match="--set:1:6: seed: expected an integer"):
        saved.experiment(finished, ["seed=x"])


def test_an_error_of_the_config_is_the_checkpoints(finished):
    finished.meta["config"]["seed"] = "x"
    with pytest.raises(CheckpointError, match="holds a config that cannot be used: seed: expected an integer"):
        saved.experiment(finished, ["seed=9"])


@pytest.mark.parametrize(
    ("task", "point"),
    [("classify", {"score": 0.5}), ("classify", 3), *(("detect", {"score": bad}) for bad in (-0.5, 2.0, 1, "x", None))],
)
def test_an_operating_point_that_the_task_has_not_is_damage(task, point):
    found = Checkpoint(Path("a.npz"), {"operating_point": point}, {})
    with pytest.raises(CheckpointError, match=r"a\.npz is damaged: the .* Restore it from a copy$"):
        saved.operating(found, make("tasks", task))
    assert saved.operating(Checkpoint(Path("a.npz"), {}, {}), make("tasks", task)) == make("tasks", task)


@pytest.mark.parametrize(
    ("packages", "message"),
    [
        (
            {"layers.waves_snake": "waves 0.1"},
            "needs the layer 'waves_snake' of the package 'waves 0.1', which is not installed",
        ),
        ({"layers.s\x1b[2J": ["x"] * 99}, r"needs the layer 's\\x1b\[2J' of the package \['x', .*\.\.\., which is not"),
    ],
)
def test_a_part_of_a_package_that_is_not_there_is_named_harmlessly(finished, packages, message):
    finished.meta["packages"] = packages
    with pytest.raises(CheckpointError, match=message):
        saved.experiment(finished)


@pytest.mark.parametrize("packages", [{}, {"layers.relu": "x"}, {"nothing.x": "y"}, {"": 1}, [], None, 7])
def test_packages_that_are_not_needed_or_make_no_sense_are_no_hindrance(finished, packages):
    finished.meta["packages"] = packages
    assert saved.experiment(finished)[0].experiment.seed == 7


def test_blame_counts_further_problems():
    problems = [Problem(Mark("x", 1, 1), text) for text in ("first", "second", "third")]
    with pytest.raises(CheckpointError) as caught, saved.blaming(Checkpoint(Path("a.npz"), {}, {})):
        raise ConfigError(*problems)
    assert str(caught.value) == "a.npz holds a config that cannot be used: first (and 2 more). Restore it from a copy"


@pytest.mark.parametrize(("section", "key", "noun"), [("model", "layers", "layer"), ("train", "metrics", "metric")])
def test_a_part_of_ones_own_that_is_gone_is_to_be_put_back(finished, section, key, noun):
    finished.meta["config"][section][key] = [{"type": "wavy"}]
    said = (
        f"unknown {noun} 'wavy'.* It is missing here: put the file of a part of your own into cnntrain/parts/{key}, or"
    )
    with pytest.raises(CheckpointError, match=said):
        saved.experiment(finished)


def test_where_a_part_comes_from_another_package_now_that_is_to_blame(finished, monkeypatch):
    monkeypatch.setitem(registry._packages, registry.lookup("layers", "relu"), "waves 0.2")
    finished.meta["packages"] = {"layers.relu": "waves 0.2", "layers.\x1b": "x"}
    assert saved.warnings(finished) == []
    finished.meta["packages"] = {"layers.relu": "waves 0.1\x1b", "layers.dense": "other 3"}
    changed = r"layers.relu waves 0.1\x1b -> waves 0.2; layers.dense other 3 -> cnntrain"
    assert saved.warnings(finished) == [f"{finished.path} may not answer as when it was written: {changed}"]
    finished.meta["config"]["sed"] = 1
    with pytest.raises(CheckpointError) as caught:
        saved.experiment(finished)
    assert f"unknown key 'sed'; did you mean 'seed'? Install what its parts came from ({changed})" in str(caught.value)
