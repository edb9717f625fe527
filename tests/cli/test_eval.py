"""`cnntrain eval`: which checkpoint, which split, which data, and what is printed of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from cnntrain.rundir.checkpoint import read_meta
from tests.support.experiments import FULL, write

THERE = "{type: npz, path: there.npz}"


def test_a_run_directory_means_its_best_checkpoint_and_says_so(cnntrain, finished):
    best, last = finished / "checkpoints" / "best.npz", finished / "checkpoints" / "last.npz"
    outcome = cnntrain("eval", finished)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == f"checkpoint  {best} (step 8)"
    assert lines[1] == "split       test, 18 samples"
    assert [line.split()[0] for line in lines[2:5]] == ["loss", "accuracy", "error"]
    assert lines[6] == "class  samples  recall  precision      f1"
    best.unlink()
    assert cnntrain("eval", finished).out.splitlines()[0] == f"checkpoint  {last} (step 8)"


def test_json_has_what_scripts_need(cnntrain, finished):
    outcome = cnntrain("eval", finished, "--json")
    document = json.loads(outcome.out)
    assert document.pop("schema") == "eval/1"
    assert document["weights"] == "trained"
    assert {"checkpoint", "weights", "split", "samples", "loss", "accuracy", "error", "confusion", "per_class"} == set(
        document
    )
    assert (document["split"], document["samples"]) == ("test", 18)
    assert document["accuracy"] + document["error"] == pytest.approx(1)
    matrix = np.array(document["confusion"])
    assert matrix.sum() == 18
    assert matrix.dtype == np.int64
    assert np.trace(matrix) / 18 == pytest.approx(document["accuracy"])
    assert [row["class"] for row in document["per_class"]] == ["0", "1", "2"]
    recalls = [row["recall"] for row in document["per_class"]]
    assert recalls == pytest.approx(list(np.diag(matrix) / matrix.sum(axis=1)))


def test_more_than_five_classes_have_a_top_5(cnntrain, config):
    sets = ["-s", "data.source.classes=6", "-s", "train.epochs=1"]
    assert cnntrain("fit", config, "-o", "run", "-q", *sets).code == 0
    assert "top5" in json.loads(cnntrain("eval", "run", "--json").out)


def test_validation_gives_what_training_reported(cnntrain, finished):
    """The same samples, preprocessing and arithmetic, to the last bit."""
    document = json.loads(cnntrain("eval", finished / "checkpoints" / "last.npz", "--split", "val", "--json").out)
    reported = read_meta(finished / "checkpoints" / "last.npz")["values_of_epoch"]
    for name in ("loss", "accuracy", "error"):
        assert document[name] == reported[f"val/{name}"]


def test_the_training_split_is_what_it_was_trained_on(cnntrain, finished):
    document = json.loads(cnntrain("eval", finished, "--split", "train", "--json").out)
    assert document["samples"] == 72  # of 90, less the fifth that validated


@pytest.mark.parametrize("threads", ["1", "3"])
def test_threads_change_no_bit(cnntrain, finished, threads):
    assert cnntrain("eval", finished, "--json", "-j", threads).out == cnntrain("eval", finished, "--json").out


def test_without_validation_there_is_none_to_measure(cnntrain, tmp_path):
    text = FULL.replace("  val: 0.2\n", "").replace(", early_stopping: {monitor: val/loss, patience: 50}", "")
    config = write(tmp_path, text.replace(", best: {monitor: val/accuracy}", ""))
    assert cnntrain("fit", config, "-o", "run", "-q", "-s", "train.epochs=1").code == 0
    outcome = cnntrain("eval", "run", "--split", "val")
    assert outcome.code == 3
    assert "trained without a validation split. Use --split train or --split test" in outcome.error


@pytest.mark.parametrize(
    "override", ["optimizer.lr=1", "data.val=0.5", "model.layers.0.filters=3", "data.sourcery.x=1"]
)
def test_only_the_place_of_the_data_can_be_set(cnntrain, finished, override):
    outcome = cnntrain("eval", finished, "-s", override)
    assert outcome.code == 2
    assert outcome.error.startswith(f"--set {override}: a trained network cannot be changed; only where its data lies")


@pytest.mark.parametrize("key", ["data.source", "data.val.root", "data.source.lists", "data.source.source.path"])
def test_other_data_and_the_place_of_the_training_data_are_two_things(cnntrain, finished, key):
    outcome = cnntrain("eval", finished, "--data", "other", "-s", f"{key}=elsewhere")
    assert outcome.code == 2
    assert outcome.error == "--data names other data and --set says where the training data is. Choose one"


def test_a_mistyped_key_of_the_data_is_the_users_error(cnntrain, finished):
    outcome = cnntrain("eval", finished, "-s", "data.source.sead=1")
    assert outcome.code == 2
    assert outcome.err.startswith("--set:1:13: unknown key 'sead' of synthetic; did you mean 'seed'?\n")


class TestDataOnDisk:
    """A run on data that moves about."""

    @pytest.fixture(autouse=True)
    def _run(self, cnntrain, config, desk):
        rng = np.random.default_rng(0)
        self.arrays = {
            f"{name}_{split}": values
            for split, n in (("train", 30), ("test", 12))
            for name, values in (("x", rng.integers(0, 256, (n, 8, 8), np.uint8)), ("y", np.arange(n) % 3))
        }
        np.savez(desk / "data.npz", **self.arrays)
        source = "data.source={type: npz, path: data.npz}"
        assert cnntrain("fit", config, "-o", "run", "-q", "-s", source, "-s", "train.epochs=1").code == 0

    def test_data_that_moved_is_found_by_set(self, cnntrain, desk):
        before = cnntrain("eval", "run", "--json").out
        (desk / "data.npz").rename(desk / "moved.npz")
        assert cnntrain("eval", "run", "--json", "-s", "data.source.path=moved.npz").out == before
        outcome = cnntrain("eval", "run", "--json", "-s", "data.source={type: npz, path: moved.npz}")
        assert outcome.out == before

    @pytest.mark.parametrize("split", ["train", "val", "test"])
    def test_data_that_is_gone_is_named_with_what_to_type(self, cnntrain, desk, split):
        (desk / "data.npz").unlink()
        outcome = cnntrain("eval", "run", "--split", split)
        assert outcome.code == 3
        assert outcome.error == (
            f"{desk / 'data.npz'} does not exist: the data of run/checkpoints/best.npz is looked for there. Say where "
            "it lies with --set data.source.path=PATH; relative paths count from the working directory"
        )

    @pytest.mark.parametrize(
        ("source", "key"),
        [
            ("{type: subset, fraction: 0.5, source: " + THERE + "}", "source.source.path"),
            ("{type: concat, sources: [{type: npz, path: data.npz}, " + THERE + "]}", "source.sources.1.path"),
        ],
    )
    def test_so_it_is_where_another_source_draws_from_it(self, cnntrain, desk, config, source, key):
        np.savez(desk / "there.npz", **self.arrays)
        sets = ("-s", f"data.source={source}", "-s", "train.epochs=1")
        assert cnntrain("fit", config, "-o", "other", "-q", *sets).code == 0
        (desk / "there.npz").rename(desk / "moved.npz")
        assert f"it lies with --set data.{key}=PATH;" in cnntrain("eval", "other").error
        assert cnntrain("eval", "other", "-s", f"data.{key}=moved.npz").code == 0

    def test_a_split_the_data_does_not_have(self, cnntrain, desk):
        np.savez(desk / "data.npz", x_train=self.arrays["x_train"], y_train=self.arrays["y_train"])
        outcome = cnntrain("eval", "run")
        assert outcome.code == 3
        assert outcome.error == "the npz data has no split 'test', it has train. Use --split val or --split train"

    def test_data_of_another_shape(self, cnntrain, desk):
        larger = {name: np.zeros((len(self.arrays[name]), 9, 8), np.uint8) for name in ("x_train", "x_test")}
        np.savez(desk / "other.npz", **self.arrays | larger)
        outcome = cnntrain("eval", "run", "-s", "data.source.path=other.npz")
        assert outcome.code == 3
        assert "is 9x8x1 of 3 classes, run/checkpoints/best.npz was trained on 8x8x1 of 3 classes" in outcome.error

    def test_data_of_another_kind(self, cnntrain, desk):
        folder = desk / "pictures"
        for name in ("0", "1", "zwei"):
            (folder / "train" / name).mkdir(parents=True)
            for number in range(5):
                _picture(folder / "train" / name / f"{number}.png")
        outcome = cnntrain(
            "eval", "run", "--split", "train", "-s",
            "data.source={type: image_folder, root: pictures, size: 8, channels: 1}",
        )  # fmt: skip
        assert outcome.code == 3
        assert outcome.error == (
            "the data is not as it was when run was trained, and 24 of its 24 training samples are gone or altered: "
            "those there now may have been trained on. Restore the data, or measure on other data with --data"
        )


def _picture(path):
    Image.new("L", (8, 8)).save(path)


@pytest.mark.parametrize(
    ("target", "network", "heads"),
    [
        ("mask", "model: {preset: {type: unet, width: 2, depth: 1}}", [["name", "pixels"], ["true"]]),
        ("boxes", "model: {preset: {type: fcos_small, strides: [16], width: 2}}\nloss: fcos", [["class", "boxes"]]),
    ],
)
def test_what_pixels_and_boxes_fare_like_is_a_table_too(cnntrain, tmp_path, target, network, heads):
    data = f"data: {{source: {{type: shapes, target: {target}, size: 32, samples: 10}}}}"
    config = write(
        tmp_path, f"{data}\n{network}\noptimizer: {{type: sgd, lr: 1e-3}}\ntrain: {{epochs: 1, batch_size: 8}}\n"
    )
    assert cnntrain("fit", config, "-q", "-o", "run").code == 0
    tables = [part.split() for part in cnntrain("eval", "run").out.split("\n\n")[1:]]
    assert [part[: len(head)] for part, head in zip(tables, heads, strict=True)] == heads
    assert cnntrain("eval", "run", "--csv").out.startswith(",".join(heads[0]))
