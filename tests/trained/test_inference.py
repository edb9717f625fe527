"""A trained network measures and classifies as its checkpoint says, checked against sums anyone can follow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.errors import CheckpointError, ConfigError, DataError, UsageError
from cnntrain.engine.pool import Pool
from cnntrain.rundir import checkpoint
from cnntrain.trained.inference import Trained
from tests.support.experiments import run, write
from tests.support.networks import probabilities


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs."""
    folder = tmp_path_factory.mktemp("inference")
    run(write(folder), folder / "run", ("train.epochs=2",))
    return folder / "run"


@pytest.fixture
def pool():
    with Pool(2) as pool:
        yield pool


def test_probabilities_loss_and_metrics_agree(finished, pool):
    """Loss and accuracy recomputed from the probabilities of the same samples."""
    trained = Trained(finished, pool)
    images = registry.make("datasets", "synthetic", size=8, classes=3, samples=90, noise=0.3).load("test")
    shares = probabilities(trained, images.pixels)
    assert shares.shape == (18, 3)
    assert shares.sum(axis=1) == pytest.approx(np.ones(18))
    document = trained.evaluate("test")
    assert document["loss"] == pytest.approx(-np.log(shares[np.arange(18), images.targets]).mean(), rel=1e-6)
    found = shares.argmax(axis=1)
    assert document["accuracy"] == np.mean(found == images.targets)
    for label, row in enumerate(document["per_class"]):
        ours = images.targets == label
        assert row["samples"] == ours.sum()
        assert row["recall"] == np.mean(found[ours] == label)
        chosen = found == label
        assert row["precision"] == (np.mean(images.targets[chosen] == label) if chosen.any() else None)


def test_a_sample_is_classified_the_same_in_whatever_company(finished, pool):
    """The bits of a row depend on how many rows are multiplied, so a shard is always full."""
    trained = Trained(finished, pool)
    pixels = np.random.default_rng(0).integers(0, 256, (70, 8, 8, 1), np.uint8)
    together = probabilities(trained, pixels)
    for count in (1, 31, 33):
        assert np.array_equal(probabilities(trained, pixels[:count]), together[:count])


def test_a_class_without_samples_has_no_recall(finished, tmp_path, pool):
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "data.npz",
        x_train=rng.integers(0, 256, (3, 8, 8), np.uint8),
        y_train=np.arange(3),
        x_test=rng.integers(0, 256, (4, 8, 8), np.uint8),
        y_test=np.array([0, 1, 1, 0]),
    )
    trained = Trained(finished, pool, [f"data.source={{type: npz, path: {tmp_path / 'data.npz'}}}"])
    rows = trained.evaluate("test")["per_class"]
    assert [row["samples"] for row in rows] == [2, 2, 0]
    assert rows[2]["recall"] is None


def test_what_normalization_measured_in_training_is_used_not_measured_anew(finished, pool):
    (transform,) = Trained(finished, pool).transforms
    meta = checkpoint.read_meta(finished / "checkpoints" / "best.npz")
    assert list(transform.mean) == meta["eval_transforms"][0]["mean"]
    assert not transform.needs_fit()


def test_the_step_and_place_of_the_checkpoint_are_told(finished, pool):
    last = finished / "checkpoints" / "last.npz"
    trained = Trained(last, pool)
    assert (trained.path, trained.step) == (last, 16)


@pytest.mark.parametrize(
    ("path", "sets", "error"),
    [
        ("nowhere", (), CheckpointError),
        ("", ("train.epochs=3",), UsageError),
        ("", ("data.val=0.3",), UsageError),
        ("", ("data.source.x=0.3",), ConfigError),
    ],
)
def test_what_cannot_be_used_is_refused(finished, pool, path, sets, error):
    with pytest.raises(error):
        Trained(finished / path, pool, sets)


def test_a_source_of_its_own_for_validation_may_have_moved(tmp_path, pool, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("val.npz", x_train=rng.integers(0, 256, (9, 8, 8), np.uint8), y_train=np.arange(9) % 3)
    run(write(tmp_path), tmp_path / "run", ("train.epochs=1", "data.val={type: npz, path: val.npz}"))
    before = Trained(tmp_path / "run", pool).evaluate("val")
    assert before["samples"] == 9
    (tmp_path / "val.npz").rename("moved.npz")
    with pytest.raises(DataError, match=r"val.npz does not exist.* --set data.val.path=PATH"):
        Trained(tmp_path / "run", pool).evaluate("val")
    assert Trained(tmp_path / "run", pool, ["data.val.path=moved.npz"]).evaluate("val") == before
