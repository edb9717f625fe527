"""`cnntrain summary`: of configs, runs and checkpoints."""

from __future__ import annotations

import json

import pytest


def test_the_table_shows_every_node_and_what_it_reads_where_that_is_not_obvious(cnntrain, config):
    outcome = cnntrain("summary", config, "-j", "2")
    assert (outcome.code, outcome.err) == (0, "")
    memory = json.loads(cnntrain("summary", config, "-j", "2", "--json").out)["memory"]
    table, totals = outcome.out.split("\n\n")
    rows = [line.split() for line in table.splitlines()]
    assert rows[0] == ["#", "node", "layer", "output", "parameters", "FLOPs", "reads"]
    assert rows[2] == ["1", "conv2d_1", "conv2d", "8x8x6", "54", "6,912"]
    place = {row[1]: row[0] for row in rows}
    assert [row[2:3] + row[6:] for row in rows[2:] if len(row) > 6] == [
        ["add", f"{place['residual_1.batch_norm_1']},", place["dropout_1"]]
    ]
    assert totals == (
        "input       8x8x1\n"
        "parameters  429\n"
        f"FLOPs       {json.loads(cnntrain('summary', config, '--json').out)['flops']:,} a sample, forward\n"
        "shard       8 samples\n"
        f"memory      {memory} for a training step of 10 on 2 threads, besides the data\n"
    )


def test_a_chain_needs_no_column_for_what_is_read(cnntrain, config):
    outcome = cnntrain("summary", config, "-s", "model.layers=[flatten, {type: dense, units: auto}]")
    assert outcome.out.splitlines()[0].split() == ["node", "layer", "output", "parameters", "FLOPs"]


@pytest.mark.parametrize("place", ["", "checkpoints/best.npz"])
def test_a_run_or_a_checkpoint_is_its_config(cnntrain, config, finished, place):
    assert cnntrain("summary", finished / place).out == cnntrain("summary", config).out


def test_a_checkpoint_can_be_summarized_as_changed(cnntrain, finished):
    document = json.loads(cnntrain("summary", finished, "--json", "-s", "train.batch_size=64").out)
    assert document["batch_size"] == 64
    outcome = cnntrain("summary", finished, "-s", "model.layers.0.filters=0")
    assert outcome.code == 2
    assert outcome.err.startswith("--set:1:24: filters must be at least 1, got 0\n")


def test_frozen_parameters_are_told_apart(cnntrain, config):
    outcome = cnntrain("summary", config, "-s", "model.layers.0.freeze=true")
    assert "parameters  429, 375 of them trained\n" in outcome.out


def test_one_run_or_configs(cnntrain, config, finished):
    outcome = cnntrain("summary", config, finished)
    assert outcome.code == 2
    assert outcome.error == (f"{finished} stands among several targets: give one run or checkpoint, or only configs")


def test_several_configs_are_merged(cnntrain, config, desk):
    (desk / "more.yaml").write_text("train: {batch_size: 3}\n")
    assert json.loads(cnntrain("summary", config, "more.yaml", "--json").out)["batch_size"] == 3
