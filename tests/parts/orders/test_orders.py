"""Every order is a function of seed and epoch, fills an epoch, and gives each class its share."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.errors import DataError
from cnntrain.data.loader import Loader, Samples, times_before
from cnntrain.parts.datasets.images import Images
from tests.support.experiments import evidence, run, write

LABELS = np.array([0] * 50 + [1] * 7 + [2] * 3)
SAMPLES = np.arange(100, 160)  # places in a larger split
ORDERS = [
    pytest.param(registry.make("orders", name, **fields), id=f"{name}-{index}")
    for name, cls in registry.parts("orders").items()
    for index, fields in enumerate(cls.examples)
]


@pytest.mark.parametrize("order", ORDERS)
def test_an_epoch_is_a_function_of_seed_and_epoch_and_always_as_long(order):
    first = order(SAMPLES, LABELS, 3, 5)
    assert len(first) == 60
    assert set(first) <= set(SAMPLES)
    assert np.array_equal(order(SAMPLES, LABELS, 3, 5), first)
    if order.name_in_config != "sequential":
        assert not np.array_equal(order(SAMPLES, LABELS, 3, 6), first)
        assert not np.array_equal(order(SAMPLES, LABELS, 4, 5), first)


def labels_seen(order, epochs, labels=LABELS):
    samples = np.arange(len(labels))
    return [np.bincount(labels[order(samples, labels, 0, epoch)], minlength=3) for epoch in range(epochs)]


def test_balanced_classes_come_equally_often_and_their_samples_too():
    order = registry.make("orders", "balanced")
    assert {tuple(counts) for counts in labels_seen(order, 20)} == {(20, 20, 20)}
    chosen = order(SAMPLES, LABELS, 0, 0)
    times = np.bincount(chosen - 100, minlength=60)
    assert set(times[:50]) == {0, 1}
    assert set(times[50:57]) == {2, 3}
    assert sorted(times[57:]) == [6, 7, 7]
    seen = {sample for epoch in range(30) for sample in order(SAMPLES, LABELS, 0, epoch)}
    assert seen == set(SAMPLES), "of the large class each epoch sees others"


def test_shares_that_are_no_whole_numbers_are_met_on_average():
    order = registry.make("orders", "weighted", weights=(1.0, 2.5, 4.0))
    masses = np.array([50, 17.5, 12])
    counts = np.array(labels_seen(order, 600))
    assert (counts.sum(axis=1) == 60).all()
    assert np.abs(counts - masses / masses.sum() * 60).max() < 1
    assert counts.mean(axis=0) == pytest.approx(masses / masses.sum() * 60, abs=0.07)


@pytest.mark.parametrize("weights", [(1.0, 0.0, 1.0), (0.0, 0.0, 5.0), (0.1, 0.1, 0.0)])
def test_a_weight_of_nothing_leaves_a_class_out(weights):
    for counts in labels_seen(registry.make("orders", "weighted", weights=weights), 50):
        assert counts.sum() == 60
        assert not counts[np.array(weights) == 0].any()


def test_a_class_without_samples_is_no_harm_unless_it_alone_has_a_weight():
    labels = np.array([0, 0, 2])
    assert labels_seen(registry.make("orders", "balanced"), 1, labels)[0].sum() == 3
    with pytest.raises(DataError, match="no training sample is of a class with a weight above 0"):
        labels_seen(registry.make("orders", "weighted", weights=(0.0, 1.0, 0.0)), 1, labels)


@pytest.mark.parametrize(
    ("name", "fields", "classes", "message"),
    [
        ("balanced", {}, 0, "balanced needs samples of one class each, the data has none: use shuffle"),
        ("weighted", {"weights": (1.0, 2.0)}, 0, "weighted needs samples of one class each"),
        ("weighted", {"weights": (1.0, 2.0)}, 3, "weights has 2 weights, the data has 3 classes"),
    ],
)
def test_what_does_not_fit_the_data_is_said(name, fields, classes, message):
    with pytest.raises(ValueError, match=message):
        registry.make("orders", name, **fields).check(classes)


def test_weights_of_nothing_at_all_are_refused():
    with pytest.raises(ValueError, match="at least one class"):
        registry.make("orders", "weighted", weights=(0.0, 0.0))


def test_it_is_an_error_at_its_line(cnntrain, config):
    outcome = cnntrain("check", config, "-s", "train.order={type: weighted, weights: [1, 2]}")
    assert outcome.code == 2
    assert "weights has 2 weights, the data has 3 classes" in outcome.err


@pytest.mark.parametrize(("values", "times"), [([], []), ([4, 1, 4, 4, 1, 2], [0, 0, 1, 2, 1, 0])])
def test_how_often_a_value_came_before(values, times):
    assert times_before(np.array(values, np.int64)).tolist() == times


def test_a_sample_that_comes_again_is_augmented_anew():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), np.uint8)
    images = Images(pixels, LABELS, ("a", "b", "c"))
    crop = (registry.make("transforms", "random_crop", padding=3),)
    order = registry.make("orders", "balanced")
    loader = Loader(images, np.arange(60), crop, batch_size=60, accumulate=1, order=order, seed=0, labels=LABELS)
    (batch,) = loader.step(0)
    assert isinstance(batch, Samples)
    x = np.empty((60, 8, 8, 1), np.float32)
    targets, _ = batch.fill(0, 60, x)
    rare = x[targets == 2]
    assert len(rare) == 20
    assert len({image.tobytes() for image in rare}) > 15


def test_balanced_training_has_the_same_bits_for_any_threads(tmp_path):
    config = write(tmp_path)
    sets = ("train.order=balanced", "train.epochs=2")
    run(config, tmp_path / "one", sets, threads=1)
    run(config, tmp_path / "three", sets, threads=3)
    run(config, tmp_path / "shuffled", ("train.epochs=2",))
    assert evidence(tmp_path / "one") == evidence(tmp_path / "three")
    assert evidence(tmp_path / "one") != evidence(tmp_path / "shuffled")
