"""`cnntrain check`: figures and counts, with and without the data."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.parts.datasets.test_boxed_pictures import yolo
from tests.support.experiments import write


def test_it_counts_every_split_by_class(cnntrain, config, desk):
    outcome = cnntrain("check", config)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (
        "input       8x8x1\n"
        "task        classify\n"
        "classes     3\n"
        "layers      10\n"
        "parameters  429\n"
        f"memory      {json.loads(cnntrain('check', config, '--json').out)['memory']} besides the data\n"
        "train       72 samples\n"
        "val         18 samples\n"
        "test        18 samples\n"
        "\n"
        "class  train  val  test\n"
        "-----  -----  ---  ----\n"
        "0         24    6     6\n"
        "1         24    6     6\n"
        "2         24    6     6\n"
        "\n"
        "full: ready to train\n"
    )
    assert not list(desk.iterdir())


def test_of_many_classes_it_shows_the_extremes(cnntrain, config):
    sets = ["-s", "data.source.classes=21", "-s", "data.source.samples=100", "-s", "data.val=null"]
    outcome = cnntrain("check", config, *sets, "-s", "train.early_stopping=null", "-s", "checkpoint.best.monitor=null")
    assert outcome.code == 0
    assert "train       100 samples, 4 to 5 a class\n" in outcome.out
    assert "class  " not in outcome.out
    assert outcome.err.endswith("[no-validation]\n")


def test_json(cnntrain, config):
    document = json.loads(cnntrain("check", config, "--json").out)
    assert document["data"]["val"] == {"samples": 18, "per_class": {"0": 6, "1": 6, "2": 6}}
    assert (document["name"], document["parameters"]) == ("full", 429)


def test_without_data_it_says_what_it_cannot_tell(cnntrain, config):
    source = "data.source={type: idx, root: nowhere, shape: [28, 28], classes: 10}"
    outcome = cnntrain("check", config, "--no-data", "-s", source)
    assert (outcome.code, outcome.err) == (0, "")
    assert "input       28x28x1\n" in outcome.out
    assert outcome.out.endswith("full: sound, as far as can be told without its data\n")
    assert "data" not in json.loads(cnntrain("check", config, "--no-data", "--json", "-s", source).out)


@pytest.mark.parametrize("val", ["null", "0.1"])
def test_without_data_nothing_is_looked_for_on_disk(cnntrain, config, val):
    sets = ["-s", f"data.val={val}", "-s", "train.early_stopping=null", "-s", "checkpoint.best.monitor=null"]
    source = "data.source={type: idx, root: nowhere, shape: [28, 28], classes: 10}"
    assert cnntrain("check", config, "--no-data", "-s", source, *sets).code == 0


def test_without_data_shape_and_classes_must_be_in_the_config(cnntrain, config):
    outcome = cnntrain("check", config, "--no-data", "-s", "data.source={type: idx, root: nowhere}")
    assert outcome.code == 2
    assert "the config alone does not tell shape and classes: give 'shape' and 'classes' here" in outcome.err
    for source in ("audio_folder, root: nowhere", "npz, path: nowhere.npz"):
        outcome = cnntrain("check", config, "--no-data", "-s", f"data.source={{type: {source}}}")
        assert outcome.code == 2
        assert "does not tell shape and classes: its files do; leave out --no-data" in outcome.err


def test_values_have_no_classes_to_count(cnntrain, tmp_path, desk):
    x = np.random.default_rng(0).random((20, 4, 4), np.float32)
    np.savez(desk / "values.npz", x_train=x, y_train=np.linspace(0, 1, 40, dtype=np.float32).reshape(20, 2))
    config = write(
        tmp_path,
        "data: {source: {type: npz, path: values.npz}, val: 0.2}\nloss: mse\n"
        "model: {layers: [flatten, {type: dense, units: auto}]}\ntrain: {epochs: 1}\n",
    )
    outcome = cnntrain("check", config)
    assert (outcome.code, outcome.err) == (0, "")
    assert "train       16 samples\n" in outcome.out
    assert "class " not in outcome.out


def test_what_was_mended_in_annotations_is_in_the_document_too(cnntrain, desk):
    yolo(desk / "cells")
    (desk / "cells/labels/train/a.txt").write_text("1 0.5 0.5 0.0 0.1\n")
    source = "source: {type: yolo, root: cells, size: 32}"
    model = "model: {preset: {type: fcos_small, width: 4, strides: [8]}}"
    (desk / "c.yaml").write_text(f"task: detect\ndata: {{{source}}}\n{model}\ntrain: {{epochs: 1, batch_size: 3}}\n")
    outcome = cnntrain("check", "c.yaml", "--json")
    told = json.loads(outcome.out)["warnings"]
    assert ["has no area and is left out" in line for line in told] == [True] + [False] * (len(told) - 1)
    assert all(f"cnntrain: warning: {line}\n" in outcome.err for line in told)
