"""`cnntrain config`: the resolved config, where each value comes from, and what differs from another."""

from __future__ import annotations

import json

from cnntrain.config.load import load


def test_the_resolved_config_is_a_config_again(cnntrain, config, desk):
    outcome = cnntrain("config", config, "-s", "optimizer.lr=0.25")
    assert (outcome.code, outcome.err) == (0, "")
    (desk / "again.yaml").write_text(outcome.out)
    assert load(["again.yaml"]).experiment == load([config], ["optimizer.lr=0.25"]).experiment
    assert cnntrain("config", "again.yaml").out == outcome.out


def test_json_is_the_same_document(cnntrain, config):
    document = json.loads(cnntrain("config", config, "--json").out)
    assert document["optimizer"]["lr"] == 0.1
    assert document["model"]["layers"][1] == {
        "type": "batch_norm", "eps": 1e-05, "momentum": 0.1, "affine": True, "scale": True, "name": None, "from": None,
        "init": None, "bias_init": None, "freeze": False, "lr_mult": 1.0,
    }  # fmt: skip


def test_origin_names_the_place_of_every_value(cnntrain, config, desk):
    (desk / "upper.yaml").write_text(f"extends: {config}\nseed: 3\n")
    outcome = cnntrain("config", "upper.yaml", "--origin", "-s", "train.clip_norm=null")
    rows = [line.split() for line in outcome.out.splitlines()]
    assert rows[0] == ["key", "value", "from"]
    assert ["seed", "3", "upper.yaml:2:7"] in rows
    assert ["optimizer.lr", "0.1", f"{config}:19:28"] in rows
    assert ["train.clip_norm", "null", "--set:1:17"] in rows
    assert ["train.accumulate", "1", "default"] in rows
    assert ["model.layers.0.bias", "false", f"{config}:10:71"] in rows
    document = json.loads(cnntrain("config", "upper.yaml", "--origin", "--json").out)
    assert document["seed"] == {"value": 3, "from": "upper.yaml:2:7"}


def test_origin_folds_long_values(cnntrain, config, desk, monkeypatch):
    config.rename(desk / "c.yaml")
    monkeypatch.setenv("COLUMNS", "100")
    classes = ", ".join(f"name{number}" for number in range(40))
    source = f"data.source={{type: idx, root: x, classes: [{classes}]}}"
    outcome = cnntrain("config", "c.yaml", "--origin", "-s", source)
    assert max(map(len, outcome.out.splitlines())) <= 100
    assert '"name39"]' in outcome.out


def test_diff_shows_what_there_was_and_what_there_is(cnntrain, config):
    assert cnntrain("config", config, "--diff", config).out == ""
    arguments = ["config", config, "--diff", config, "-s", "seed=1", "-s", "schedule=constant", "-s", "name=other"]
    outcome = cnntrain(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "name: full -> other",
        "seed: 7 -> 1",
        "schedule.type: cosine -> constant",
        "schedule.warmup: 5st -> null",
        "schedule.min: 0.0 -> null",
    ]
    assert json.loads(cnntrain(*arguments, "--json").out)["seed"] == [7, 1]
