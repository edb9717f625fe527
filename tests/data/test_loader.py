"""The loader: every sample once an epoch, in an order and with draws that depend on seed, epoch and sample alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cnntrain.core.arrays import Array
from cnntrain.core.registry import make, parts
from cnntrain.data.loader import FIT_CHUNK, Loader, Samples, as_floats, fit, preprocess, split_validation
from cnntrain.engine.pool import Pool
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.transforms.base import Transform
from cnntrain.rundir.checkpoint import read
from cnntrain.rundir.json_files import read_rows
from cnntrain.trained.inference import Trained
from tests.support.datasets import pixels
from tests.support.experiments import FULL, run, write
from tests.support.networks import probabilities

AUGMENTED = (
    make("transforms", "random_crop", padding=2),
    make("transforms", "hflip"),
    make("transforms", "normalize", mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4)),
)


def images(count: int) -> Images:
    return Images(pixels(count, 6, 5, 3), np.arange(count) % 3, ("a", "b", "c"))


def loader(count: int = 20, **settings: Any) -> Loader:
    chosen = {"batch_size": 6, "accumulate": 1, "order": "shuffle", "seed": 3} | settings
    if isinstance(chosen["order"], str):
        chosen["order"] = make("orders", chosen["order"])
    return Loader(images(count), np.arange(count), (), **chosen)


def seen(batch: Samples) -> list[int]:
    """Which samples a batch holds, told by their pixels."""
    x = np.empty((len(batch), 6, 5, 3), np.float32)
    batch.fill(0, len(batch), x)
    known = {image.tobytes(): index for index, image in enumerate(as_floats(pixels(20, 6, 5, 3)))}
    return [known[image.tobytes()] for image in x]


# -- order and steps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [1, 2, 3, 5])
@pytest.mark.parametrize("order", ["shuffle", "sequential"])
def test_every_epoch_sees_every_sample_once(order, accumulate):
    of = loader(order=order, accumulate=accumulate)
    for epoch in range(3):
        steps = range(epoch * of.steps_per_epoch, (epoch + 1) * of.steps_per_epoch)
        found = [index for step in steps for batch in of.step(step) for index in seen(batch)]
        assert sorted(found) == list(range(20))
        assert (found == list(range(20))) == (order == "sequential")


def test_the_order_is_a_function_of_seed_and_epoch():
    straight = [loader().order(epoch).tolist() for epoch in range(4)]
    of = loader()
    assert [of.order(epoch).tolist() for epoch in (3, 1, 2, 0)] == [straight[i] for i in (3, 1, 2, 0)]
    assert len({tuple(order) for order in straight}) == 4
    assert loader(seed=4).order(0).tolist() != straight[0]
    assert loader(batch_size=1, accumulate=7).order(2).tolist() == straight[2]


def test_a_loader_deals_out_only_its_own_samples():
    of = Loader(
        images(20),
        np.array([3, 5, 11]),
        (),
        batch_size=2,
        accumulate=1,
        order=make("orders", "shuffle"),
        seed=0,
    )
    assert sorted(index for step in range(of.steps_per_epoch) for b in of.step(step) for index in seen(b)) == [3, 5, 11]


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "sizes"),
    [
        (6, 1, [[6], [6], [6], [2]]),
        (5, 1, [[5], [5], [5], [5]]),
        (6, 2, [[6, 6], [6, 2]]),
        (6, 3, [[6, 6, 6], [2]]),
        (7, 2, [[7, 7], [6]]),
        (4, 5, [[4, 4, 4, 4, 4]]),
        (64, 2, [[20]]),
        (1, 19, [[1] * 19, [1]]),
    ],
)
def test_batches_make_steps_and_the_last_may_be_short(batch_size, accumulate, sizes):
    of = loader(batch_size=batch_size, accumulate=accumulate)
    assert of.steps_per_epoch == len(sizes)
    for epoch in (0, 2):
        first = epoch * len(sizes)
        assert [[len(batch) for batch in of.step(first + step)] for step in range(len(sizes))] == sizes
        before = [epoch * 20 + sum(map(sum, sizes[:step])) for step in range(len(sizes))]
        assert [of.samples_before(first + step) for step in range(len(sizes))] == before


@given(count=st.integers(1, 60), batch_size=st.integers(1, 70), accumulate=st.integers(1, 5), step=st.integers(0, 300))
def test_a_step_begins_where_the_one_before_it_ended(count, batch_size, accumulate, step):
    of = Loader(
        images(count),
        np.arange(count),
        (),
        batch_size=batch_size,
        accumulate=accumulate,
        order=make("orders", "sequential"),
        seed=0,
    )
    assert of.samples_before(step + 1) - of.samples_before(step) == sum(map(len, of.step(step)))
    assert 1 <= len(of.step(step)) <= accumulate


def test_accumulated_batches_are_the_pieces_of_one_large_batch():
    small, large = loader(batch_size=4, accumulate=3), loader(batch_size=12)
    for step in range(4):
        assert [index for batch in small.step(step) for index in seen(batch)] == seen(large.step(step)[0])


# -- preprocessing ---------------------------------------------------------------------------------------------------


def test_bytes_and_floats_take_the_same_path():
    given_bytes = pixels(9, 6, 5, 3)
    samples = np.arange(9)
    expected = preprocess(as_floats(given_bytes), AUGMENTED, samples, seed=1, epoch=2)
    found = preprocess(given_bytes.copy(), AUGMENTED, samples, seed=1, epoch=2)
    assert found.dtype == expected.dtype == np.float32
    assert np.array_equal(found, expected)


def test_without_transforms_bytes_are_divided_by_255_and_floats_stay():
    given_bytes = pixels(3, 6, 5, 3)
    found = preprocess(given_bytes, (), np.arange(3))
    assert found.dtype == np.float32
    assert np.array_equal(found, given_bytes.astype(np.float32) / np.float32(255))
    floats = np.linspace(-3, 3, 24, dtype=np.float64).reshape(2, 2, 2, 3)
    assert np.array_equal(preprocess(floats, (), np.arange(2)), floats)


def test_a_sample_is_preprocessed_alike_in_whatever_company():
    source = images(20)
    alone = {}
    for index in range(20):
        x = np.empty((1, 6, 5, 3), np.float32)
        Samples(source, np.array([index]), AUGMENTED, seed=5, epoch=1).fill(0, 1, x)
        alone[index] = x[0]
    shuffled = np.random.default_rng(0).permutation(20)
    batch = Samples(source, shuffled, AUGMENTED, seed=5, epoch=1)
    for start, stop in ((0, 7), (7, 8), (8, 20)):
        x = np.empty((stop - start, 6, 5, 3), np.float32)
        targets, weights = batch.fill(start, stop, x)
        assert np.array_equal(targets, shuffled[start:stop] % 3)
        assert weights.tolist() == [1] * (stop - start)
        for image, index in zip(x, shuffled[start:stop], strict=True):
            assert np.array_equal(image, alone[index])


def test_draws_differ_between_epochs_seeds_samples_and_places_in_the_list():
    same = np.repeat(pixels(1, 6, 5, 3), 64, axis=0)
    crop = make("transforms", "random_crop", padding=2)
    once = preprocess(same, (crop,), np.arange(64), seed=0, epoch=0)
    assert len({image.tobytes() for image in once}) > 15  # of 25 offsets
    assert not np.array_equal(once, preprocess(same, (crop,), np.arange(64), seed=0, epoch=1))
    assert not np.array_equal(once, preprocess(same, (crop,), np.arange(64), seed=1, epoch=0))
    twice = preprocess(same, (crop, crop), np.arange(64), seed=0, epoch=0)
    shifted_alike = [np.array_equal(a[1:-1, 1:-1], b[1:-1, 1:-1]) for a, b in zip(once, twice, strict=True)]
    assert sum(shifted_alike) < 32  # the second crop has draws of its own


def test_the_source_is_never_written():
    source = images(12)
    before = source.pixels.copy()
    x = np.empty((12, 6, 5, 3), np.float32)
    Samples(source, np.arange(12), AUGMENTED).fill(0, 12, x)
    fit((*AUGMENTED[:2], make("transforms", "normalize", from_="dataset")), source, np.arange(12))
    floats = replace(source, pixels=as_floats(source.pixels))
    Samples(floats, np.arange(12), AUGMENTED).fill(0, 12, x)
    assert np.array_equal(source.pixels, before)
    assert np.array_equal(floats.pixels, as_floats(before))


# -- fitting ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Mean(Transform):
    """Subtracts the mean it measured, and tells what it was shown."""

    name_in_config = "mean"
    mean: float | None = None
    shown: tuple[int, ...] = ()

    def needs_fit(self) -> bool:
        return self.mean is None

    def fit(self, chunks: Iterable[Array]) -> Transform:
        all_chunks = list(chunks)
        total = np.concatenate(all_chunks)
        return replace(self, mean=float(total.mean(dtype=np.float64)), shown=tuple(map(len, all_chunks)))

    def apply(self, images: Array, draws: Any) -> Array:
        return images - np.float32(self.mean)


@dataclass(frozen=True)
class _Shift(Transform):
    """Adds a number; `random` ones must be left out while others measure."""

    name_in_config = "shift"
    by: float = 0.0

    def apply(self, images: Array, draws: Any) -> Array:
        return images + np.float32(self.by)


@dataclass(frozen=True)
class _Jump(_Shift):
    random = True


def test_what_is_measured_is_measured_on_training_samples_after_the_steady_transforms_before_it():
    values = np.array([1, 2, 3, 1000], np.float32)[:, None, None, None]
    source = Images(values, np.zeros(4, np.int64), ("a",))
    transforms = (_Shift(10.0), _Jump(5000.0), _Mean(), _Shift(100.0), _Mean())
    fitted = fit(transforms, source, np.array([0, 1, 2]))
    assert fitted[2].mean == 12  # the mean of 1, 2, 3, shifted; the sample that is not training left out
    assert fitted[4].mean == 100  # after the first mean was taken away
    assert fitted[:2] == transforms[:2]
    assert all(not transform.needs_fit() for transform in fitted)
    assert fit(fitted, source, np.array([3])) == fitted  # nothing is measured twice


def _fitted(source: Images, chosen: Array, *listed: Transform) -> Transform:
    return fit(listed, source, chosen)[-1]


def test_what_is_measured_is_measured_after_random_transforms_that_change_the_shape():
    """Silence around a sound would else be most of what is measured, and sides would not be those of training."""
    sounds = np.zeros((40, 1, 4000, 1), np.float32)
    sounds[:, :, 1500:2500] = np.random.default_rng(0).normal(0, 0.3, (40, 1, 1000, 1))
    source, every = Images(sounds, np.zeros(40, np.int64), ("a",)), np.arange(40)
    crop = make("transforms", "sound_crop", seconds=0.1, sample_rate=8000)
    after = crop, make("transforms", "log_mel", sample_rate=8000)
    normalize: Any = _fitted(source, every, *after, make("transforms", "normalize", from_="dataset"))
    network_sees = preprocess(sounds, (*after, normalize), every, seed=5, epoch=3)
    assert abs(network_sees.mean()) < 0.1
    assert network_sees.std() == pytest.approx(1, abs=0.1)


def test_random_transforms_that_keep_the_shape_leave_what_is_measured_to_the_last_bit():
    source, every = Images(pixels(30, 8, 8, 3), np.zeros(30, np.int64), ("a",)), np.arange(30)
    kept = make("transforms", "random_crop", padding=2), make("transforms", "hflip")
    measuring = make("transforms", "normalize", from_="dataset")
    assert _fitted(source, every, *kept, measuring) == _fitted(source, every, measuring)
    crop = make("transforms", "random_crop", padding=2, size=6)
    whole, part = _fitted(source, every, measuring), _fitted(source, every, crop, measuring)
    assert part != whole
    assert part == _fitted(source, every, crop, kept[1], measuring)


def test_what_is_measured_fits_what_random_transforms_leave():
    clips = Images(pixels(20 * 12, 6, 6, 1).reshape(20, 12, 6, 6, 1), np.zeros(20, np.int64), ("a",))
    cut = make("transforms", "temporal_crop", frames=6), make("transforms", "frames_as_channels")
    normalize: Any = _fitted(clips, np.arange(20), *cut, make("transforms", "normalize", from_="dataset"))
    assert len(normalize.mean) == 6
    pictures = Images(pixels(30, 8, 8, 1), np.zeros(30, np.int64), ("a",))
    crop = make("transforms", "random_crop", padding=0, size=6)
    zca = _fitted(pictures, np.arange(30), crop, make("transforms", "zca_whiten"))
    assert {name: array.shape for name, array in zca.arrays().items()} == zca.array_shapes((6, 6, 1))


def test_evaluation_sees_pictures_as_training_did_whatever_else_the_lists_do():
    """Measured anew behind other transforms, the axes of whitening could turn, or point the other way."""
    source = Images(pixels(40, 6, 6, 3), np.zeros(40, np.int64), ("a",))
    measuring = (make("transforms", "normalize", from_="dataset"), make("transforms", "patch_whiten"))
    padded, seen = make("transforms", "pad", padding=2, mode="reflect"), make("transforms", "spatial_views", shift=1)
    known: dict[Any, Transform] = {}
    training, evaluation = (fit((other, *measuring), source, np.arange(30), known) for other in (padded, seen))
    assert training[1:] == evaluation[1:]
    assert training[2].arrays()["filters"] is evaluation[2].arrays()["filters"]
    twice = fit((*measuring, *measuring[1:]), source, np.arange(30), known)  # one list has more of them
    assert twice[1].arrays()["filters"] is training[2].arrays()["filters"]
    assert twice[2].arrays()["filters"].shape != training[2].arrays()["filters"].shape


def test_what_does_not_fit_images_of_another_shape_is_measured_again():
    source = Images(pixels(40, 6, 6, 1), np.zeros(40, np.int64), ("a",))
    known: dict[Any, Transform] = {}
    lists = [(), (make("transforms", "center_crop", size=4),)]
    whole, cropped = (
        fit((*before, make("transforms", "zca_whiten")), source, np.arange(40), known)[-1] for before in lists
    )
    assert {name: array.shape for name, array in cropped.arrays().items()} == cropped.array_shapes((4, 4, 1))
    assert {name: array.shape for name, array in whole.arrays().items()} == whole.array_shapes((6, 6, 1))


def test_a_large_set_is_measured_in_chunks():
    source = Images(pixels(FIT_CHUNK + 30, 2, 2, 1), np.zeros(FIT_CHUNK + 30, np.int64), ("a",))
    fitted = fit((_Mean(),), source, np.arange(FIT_CHUNK + 30))
    assert fitted[0].shown == (FIT_CHUNK, 30)
    assert fitted[0].mean == pytest.approx(source.pixels.mean() / 255, rel=1e-6)


# -- the validation split --------------------------------------------------------------------------------------------


def counts(labels: Array, indices: Array) -> dict[int, int]:
    return {int(label): int((labels[indices] == label).sum()) for label in np.unique(labels)}


@pytest.mark.parametrize(
    ("sizes", "share", "expected"),
    [
        ((10, 20, 30), 0.1, (1, 2, 3)),
        ((10, 10, 10), 0.25, (3, 3, 2)),  # 2.5 each, 8 in all: the first classes have the remainders
        ((7, 8, 9), 0.2, (1, 2, 2)),  # 1.4, 1.6, 1.8: 5 in all
        ((100,) * 10, 0.29, (29,) * 10),  # 100 * 0.29 is 28.999999999999996 in binary
        ((1, 1, 50), 0.5, (0, 0, 25)),  # a class with one sample keeps it for training
        ((2, 2, 2), 0.9, (1, 1, 1)),  # and one with two, one of them
        ((3, 1000), 0.001, (0, 1)),
    ],
)
def test_every_class_gives_its_share_by_largest_remainder(sizes, share, expected):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    training, validation = split_validation(labels, share, seed=1, stratified=True)
    assert tuple(counts(labels, validation).values()) == expected
    assert len(training) + len(validation) == len(labels)


@given(
    labels=st.lists(st.integers(0, 6), min_size=1, max_size=120),
    share=st.floats(0.001, 0.999),
    seed=st.integers(0, 2**63 - 1),
    stratified=st.booleans(),
)
def test_a_split_is_disjoint_complete_ordered_and_fair(labels, share, seed, stratified):
    targets = np.array(labels)
    training, validation = split_validation(targets, share, seed, stratified)
    assert sorted([*training, *validation]) == list(range(len(targets)))
    assert np.array_equal(training, np.sort(training))
    assert np.array_equal(validation, np.sort(validation))
    groups = counts(targets, np.arange(len(targets))) if stratified else {0: len(targets)}
    found = counts(targets, validation) if stratified else {0: len(validation)}
    for label, size in groups.items():
        assert abs(found[label] - size * share) <= 1 + 1e-9
        assert found[label] < size
    assert len(validation) <= round(len(targets) * share + 1e-9)
    if all(size * share <= size - 1 for size in groups.values()):
        assert len(validation) == round(sum(size * share for size in groups.values()))


def test_a_split_is_a_function_of_seed_and_labels():
    labels = np.arange(60) % 3
    first = split_validation(labels, 0.2, seed=1, stratified=True)
    again = split_validation(labels, 0.2, seed=1, stratified=True)
    other = split_validation(labels, 0.2, seed=2, stratified=True)
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


def test_values_to_predict_are_split_without_classes():
    values = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    training, validation = split_validation(values, 0.25, seed=0, stratified=False)
    assert (len(training), len(validation)) == (30, 10)
    assert not np.array_equal(validation, np.arange(10))


# -- one path for validation, eval and predict -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory):
    """A finished run, and the values of its last epoch."""
    folder = tmp_path_factory.mktemp("run")
    text = FULL.replace("size: 8, classes: 3", "size: 8, channels: 3, classes: 3")
    run(write(folder, text), folder / "run", ("train.epochs=2",), threads=2)
    (*_, last) = (row for row in read_rows(folder / "run" / "metrics.jsonl") if row["event"] == "eval")
    return folder / "run" / "checkpoints" / "last.npz", last


@pytest.mark.parametrize("threads", [1, 3])
def test_eval_of_the_last_checkpoint_repeats_the_last_validation_to_the_bit(trained_run, threads):
    path, row = trained_run
    with Pool(threads) as pool:
        found = Trained(path, pool).evaluate("val")
    assert found["samples"] == 18
    assert {f"val/{name}": found[name] for name in ("loss", "accuracy", "error")} == {
        name: row[name] for name in row if name.startswith("val/")
    }


def test_prediction_is_the_softmax_of_what_validation_computes(trained_run, tmp_path):
    path, row = trained_run
    with Pool(2) as pool:
        trained = Trained(path, pool)
        experiment = trained.loaded.experiment
        stored = experiment.data.source.load("train")
        _, validation = split_validation(stored.targets, 0.2, experiment.seed, stratified=True)
        shares = probabilities(trained, stored.pixels[validation])
        logits = trained.engine.outputs(Samples(stored, validation, trained.transforms)).astype(np.float64)
        files = []
        for index in validation[:5]:
            files.append(tmp_path / f"{index}.png")
            Image.fromarray(stored.pixels[index]).save(files[-1])
        together = trained.predict(files, top=3)
        alone = [trained.predict([file], top=3)[0] for file in files]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, expected, rtol=1e-12)
    assert np.mean(shares.argmax(axis=1) == stored.targets[validation]) == row["val/accuracy"]
    for one, other in zip(alone, together, strict=True):  # some kernels round by a sample's place in its shard
        assert (one["path"], one["class"]) == (other["path"], other["class"])
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)
    for guess, share in zip(together, shares, strict=False):
        order = np.argsort(-share)
        assert [found["class"] for found in guess["top"]] == [str(index) for index in order]
        assert [found["probability"] for found in guess["top"]] == share[order].tolist()


def test_a_checkpoint_holds_what_was_measured_so_that_evaluation_never_measures(trained_run, monkeypatch):
    path, _ = trained_run
    monkeypatch.setattr("cnntrain.parts.transforms.normalize.Normalize.fit", None)
    with Pool(1) as pool:
        trained = Trained(path, pool)
        assert [transform.needs_fit() for transform in trained.transforms] == [False]
        document = trained.evaluate("test")
    assert document["samples"] == 18
    meta = read(path).meta
    assert len(meta["eval_transforms"][0]["mean"]) == 3


STORED = {"spatial_views": (6, 5, 3), "temporal_views": (50, 6, 5, 3), "sound_views": (1, 800, 2)}


@pytest.mark.parametrize("name", [name for name, cls in parts("transforms").items() if cls.on == "views"])
def test_layers_can_take_what_is_shown_of_several_views(name):
    """Each sample's middle one, one after the other in memory as in any batch."""
    cls = parts("transforms")[name]
    transform = cls(**cls.examples[0])
    source = Images(pixels(4, *STORED[name]), np.arange(4) % 3, ("a", "b", "c"))
    samples, shape = Samples(source, np.arange(4), (transform,)), transform.output_shape(STORED[name])
    x, _ = samples.seen(3, shape)
    every = np.empty((3 * transform.views, *shape), np.float32)
    samples.fill(0, 3, every)
    assert transform.views > 1
    assert x.flags.c_contiguous
    assert np.array_equal(x, every[transform.views // 2 :: transform.views])
