"""A summary counts what a network is made of; the numbers are those of a calculation by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnntrain.checks.summary import described_without_data, summarize
from cnntrain.config.load import load_text
from cnntrain.core.errors import ConfigError
from tests.support.experiments import write

SMALL = """\
name: small
data: {source: {type: synthetic, size: [6, 8], channels: 3, classes: 4}, val: 0.2}
model:
  layers:
    - {type: conv2d, name: first, filters: 5, kernel_size: 3, freeze: true}
    - batch_norm
    - relu
    - flatten
    - {type: dense, name: head, units: auto}
optimizer: adam
train: {epochs: 1, batch_size: 20}
"""


def summary(folder: Path, text: str = SMALL, *sets: str, threads: int = 2):
    return summarize([write(folder, text)], sets, threads)


def test_nodes_parameters_and_work(tmp_path):
    document = summary(tmp_path)
    assert document["input"] == "6x8x3"
    assert document["task"] == "classify"
    assert document["classes"] == ["0", "1", "2", "3"]
    nodes = {node["name"]: node for node in document["nodes"]}
    assert [node["output"] for node in document["nodes"]] == ["4x6x5", "4x6x5", "4x6x5", "120", "4"]
    assert nodes["first"]["parameters"] == 3 * 3 * 3 * 5 + 5
    assert nodes["batch_norm_1"]["parameters"] == 2 * 5  # scale and shift; running statistics are not counted
    assert nodes["head"]["parameters"] == 120 * 4 + 4
    assert nodes["first"]["inputs"] == ["input"]
    assert nodes["head"]["inputs"] == ["flatten_1"]
    assert document["parameters"] == 140 + 10 + 484
    assert document["trained_parameters"] == 10 + 484
    assert nodes["head"]["flops"] == 2 * 120 * 4 + 4
    assert document["flops"] == sum(node["flops"] for node in document["nodes"])
    assert (document["batch_size"], document["threads"]) == (20, 2)


def test_memory_grows_with_batch_threads_and_slots(tmp_path):
    adam = summary(tmp_path)["memory_bytes"]
    plain = summary(tmp_path, SMALL, "optimizer=sgd")["memory_bytes"]
    assert adam - plain >= 2 * 4 * 634  # two slots of float32
    assert summary(tmp_path, SMALL, "train.batch_size=200")["memory_bytes"] > adam
    assert summary(tmp_path, threads=8)["memory_bytes"] > adam


def test_a_source_that_does_not_tell_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", x_train=np.zeros((6, 8, 8), np.uint8), y_train=np.arange(6) % 3)
    document = summary(tmp_path, SMALL, "data.source={type: npz, path: data.npz}", "data.val=null")
    assert document["input"] == "8x8x1"


def test_without_data_the_config_must_tell():
    text = SMALL.replace("{type: synthetic, size: [6, 8], channels: 3, classes: 4}", "{type: npz, path: nowhere.npz}")
    with pytest.raises(ConfigError, match=r"test.yaml:2:16: the config alone does not tell shape and classes"):
        described_without_data(load_text(text, "test.yaml"))
