"""A job is made in the order in which things can be told: the network once, and before any data is read."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.checks.preflight import rehearse
from cnntrain.core.errors import ConfigError
from cnntrain.data import build_data
from cnntrain.engine.pool import Pool
from cnntrain.network import build
from cnntrain.network.build import balanced
from cnntrain.parts.tasks.classify import Classify
from cnntrain.parts.tasks.detect import Detect
from cnntrain.parts.tasks.segment import Segment
from cnntrain.trained.inference import Trained
from cnntrain.training.job import prepare
from tests.support.experiments import DETECTION, FULL, SEGMENTATION, run, write


@pytest.fixture
def networks(monkeypatch):
    """Every network that is built, in order."""
    built = []
    original = build.network

    def network(loaded, description):
        built.append(original(loaded, description))
        return built[-1]

    monkeypatch.setattr("cnntrain.network.build.network", network)
    return built


def test_the_network_is_built_once_where_the_config_tells_the_shapes(tmp_path, networks):
    job = prepare([write(tmp_path)], ["loss={type: cross_entropy, class_weight: balanced}"])
    assert len(networks) == 1
    assert job.network.graph is networks[0].graph
    assert networks[0].loss.class_weight == "balanced"
    counts = job.data.occurrences
    assert job.network.loss.class_weight == tuple(sum(counts) / (3 * count) for count in counts)
    assert [metric.label() for metric in job.network.tally.metrics] == ["accuracy", "error"]


def test_and_once_where_only_the_data_tells_them(tmp_path, networks):
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (60, 8, 8, 3), np.uint8), np.arange(60) % 3
    np.savez(tmp_path / "data.npz", x_train=pixels, y_train=labels)
    job = prepare([write(tmp_path)], [f"data.source={{type: npz, path: {tmp_path / 'data.npz'}}}"])
    assert build_data.describe(job.loaded) is None
    assert len(networks) == 1
    assert job.network.image_shape == (8, 8, 3)


FOLDS = "{type: k_fold, folds: 3, source: {type: synthetic, size: 8, classes: 3, samples: 60}}"
DRAWING = [FOLDS, f"{{type: subset, fraction: 0.5, source: {FOLDS}}}", f"{{type: concat, sources: [{FOLDS}]}}"]


@pytest.mark.parametrize("val", ["0.2", "{share: 0.2}", "{type: synthetic, size: 8, classes: 3, samples: 9}"])
@pytest.mark.parametrize("source", DRAWING)
def test_a_fold_beside_data_val_would_go_unused_and_is_refused(tmp_path, source, val):
    config, sets = write(tmp_path), [f"data.source={source}", f"data.val={val}"]
    for told in (prepare, rehearse):
        with pytest.raises(ConfigError, match=r"a validation split of its own, .*\. Set data\.val to null") as found:
            told([config], sets)
        assert found.value.problems[0].where.file == "--set"
    data = prepare([config], [*sets[:1], "data.val=null"]).data
    assert data.val is not data.train
    assert 0 < len(data.val_indices) <= 20


def test_a_run_that_has_begun_with_both_goes_on_with_a_warning(tmp_path, monkeypatch, capsys):
    sets = (f"data.source={FOLDS}", "train.epochs=1")
    with monkeypatch.context() as earlier:
        earlier.setattr(build_data, "check_validation", lambda _: None)
        run(write(tmp_path), tmp_path / "run", sets)
    capsys.readouterr()
    assert run(None, tmp_path / "run", ("train.epochs=2",), resume=True)["epochs"] == 2
    assert "[unused-validation]" in capsys.readouterr().err
    assert run(tmp_path / "full.yaml", tmp_path / "run", (*sets, "train.epochs=3"), resume=True)["epochs"] == 3
    with Pool(1) as pool:
        assert Trained(tmp_path / "run", pool).evaluate("val")["samples"] == 8  # a fifth of two folds


@pytest.mark.parametrize(("task", "text"), [(Classify, FULL), (Detect, DETECTION), (Segment, SEGMENTATION)])
def test_classes_are_counted_once(tmp_path, monkeypatch, task, text):
    """For balanced weights and for what is said of empty classes: the pixels of many masks take long."""
    counted, own = [], task.occurrences

    def occurrences(self, targets, data):
        counted.append(len(targets))
        return own(self, targets, data)

    monkeypatch.setattr(task, "occurrences", occurrences)
    job = prepare([write(tmp_path, text)])
    assert counted == [len(job.data.train_indices)]


UNFIT = {  # transforms that do not take pictures of 8x8x3
    "of clips": "time_reversal",
    "of sounds": "{type: speed, factors: [1.1]}",
    "too large": "{type: random_crop, padding: 0, size: [9, 9]}",
    "after one that measures": "{type: normalize, from: dataset}, {type: haar, levels: 4}",
}


@pytest.mark.parametrize("name", ["train_transforms", "eval_transforms"])
@pytest.mark.parametrize("case", UNFIT)
def test_a_transform_that_does_not_fit_is_told_at_its_list_though_only_the_data_tells_the_shape(tmp_path, case, name):
    pixels, labels = np.zeros((60, 8, 8, 3), np.uint8), np.arange(60) % 3
    np.savez(tmp_path / "data.npz", x_train=pixels, y_train=labels)
    given = [f"data.source={{type: npz, path: {tmp_path / 'data.npz'}}}", "data.train_transforms=[]"]
    with pytest.raises(ConfigError) as error:
        prepare([write(tmp_path)], [*given, "data.eval_transforms=[]", f"data.{name}=[{UNFIT[case]}]"])
    (problem,) = error.value.problems
    assert str(problem.where).startswith("--set"), problem


def test_a_wrong_layer_does_not_wait_for_the_data(tmp_path, monkeypatch):
    monkeypatch.setattr("cnntrain.data.build_data.read_data", lambda *_: pytest.fail("data was read"))
    with pytest.raises(ConfigError, match="kernel"):
        prepare([write(tmp_path)], ["model.layers=[{type: conv2d, filters: 4, kernel_size: 99}]"])


def test_a_class_without_samples_is_told_at_the_loss(tmp_path):
    job = prepare([write(tmp_path)], ["loss={type: cross_entropy, class_weight: balanced}"])
    counts = [0, *[5] * (len(job.network.classes) - 1)]
    network = build.network(job.loaded, job.data.description)
    with pytest.raises(ConfigError, match="class 0 has no training sample") as error:
        balanced(job.loaded, network, counts)
    assert error.value.problems[0].where == job.loaded.where("loss")
