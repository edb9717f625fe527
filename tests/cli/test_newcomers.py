"""What a newcomer types, out of habit or from another program, is answered with what to type here."""

from __future__ import annotations

import re
import shlex

import pytest

from cnntrain.cli.text import table


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("--epochs 3", "-s train.epochs=3"),
        ("--batch-size=5", "-s train.batch_size=5"),
        ("--learning-rate 0.5", "-s optimizer.lr=0.5"),
        ("--seed 3", "-s seed=3"),
    ],
)
def test_an_option_that_is_a_key(cnntrain, config, options, wanted):
    outcome = cnntrain("config", config, *options.split())
    assert outcome.code == 2
    assert f"it is a key of the config: {wanted}. See" in outcome.error
    assert cnntrain("config", config, *shlex.split(wanted)).code == 0


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("lr", "did you mean 'optimizer.lr'?"),
        ("learning_rate", "did you mean 'optimizer.lr'?"),
        ("train.lr", "did you mean 'optimizer.lr'?"),
        ("data.batch_size", "did you mean 'train.batch_size'?"),
        ("momentum", "did you mean 'optimizer.momentum'?"),
        ("device", "on the CPU only; leave it out"),
        ("train.device", "on the CPU only; leave it out"),
        ("train.num_workers", "on the command line, with --threads N"),
        ("tta", "as the transform spatial_views in data.eval_transforms"),
        ("output_dir", "on the command line, with --run-dir DIR"),
        ("model.layers.0.dropout", "it is a layer of its own, the next in the list: '- {type: dropout, rate: 1}'"),
        ("model.layers.0.batch_norm", "it is a layer of its own, the next in the list: '- batch_norm'"),
    ],
)
def test_a_key_of_elsewhere(cnntrain, config, key, hint):
    outcome = cnntrain("config", config, "-s", f"{key}=1")
    assert outcome.code == 2
    assert outcome.err.startswith("--set:1:")
    assert hint in outcome.err


def test_an_activation_is_a_layer(cnntrain, config):
    outcome = cnntrain("config", config, "-s", "model.layers.0.activation=ReLU")
    assert "it is a layer of its own, the next in the list: '- relu'" in outcome.err


def test_a_type_set_alone(cnntrain, config):
    outcome = cnntrain("config", config, "-s", "optimizer.type=adam")
    assert outcome.code == 2
    assert outcome.err.startswith("--set:1:16: adam has no 'momentum'")
    (words,) = re.findall(r"--set (.*)", outcome.err.splitlines()[0])
    assert cnntrain("config", config, "-s", *shlex.split(words)).code == 0
    assert cnntrain("config", config, "-s", "optimizer.type=nadam", "-s", "optimizer={type: adam}").code == 0


@pytest.mark.parametrize("text", ["{type: sgd, lr:0.1}", "\n  type: sgd\n  lr:0.1", "\n  lr:0.1"])
def test_a_colon_without_a_space(cnntrain, config, text):
    config.write_text(re.sub(r"^optimizer:.*$", f"optimizer: {text}", config.read_text(), flags=re.MULTILINE))
    assert "put a space after the colon: 'lr: 0.1'" in cnntrain("config", config).err


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("{type: sgd, lr=0.1}", "write a colon and a space for '=': 'lr: 0.1'"),
        ("lr=0.1", "write a colon and a space for '=': 'lr: 0.1'"),
        ("{type: sgd, \xa0lr: 0.1}", "it has spaces of another kind (U+00A0), which YAML counts among the letters"),
    ],
)
def test_a_key_that_is_joined_to_others(cnntrain, config, text, advice):
    config.write_text(re.sub(r"^optimizer:.*$", f"optimizer: {text}", config.read_text(), flags=re.MULTILINE))
    assert advice in cnntrain("config", config).err


def test_the_keys_beside_a_wrong_type_are_checked(cnntrain, config):
    outcome = cnntrain("config", config, "-s", "optimizer={type: sgdd, lrr: 1}")
    assert "did you mean 'sgd'?" in outcome.err
    assert "unknown key 'lrr' of sgd; did you mean 'lr'?" in outcome.err


def test_list_answers_with_the_name_of_a_part(cnntrain):
    assert cnntrain("list", "adam").out == cnntrain("list", "optimizers", "adam").out
    for kind in ("losses", "metrics"):
        assert cnntrain("list", kind, "mae").out.strip() in cnntrain("list", "mae").out


def test_the_folder_of_runs_offers_the_latest(cnntrain, finished):
    folder = finished.parent / "runs"
    folder.mkdir()
    (folder / "latest").symlink_to(finished)
    asked = {("eval",): 4, ("verify",): 4, ("replay",): 4, ("fit", "--resume", "--run-dir"): 8}
    for command, code in asked.items():
        outcome = cnntrain(*command, folder)
        assert outcome.code == code
        assert outcome.error.endswith(f"Did you mean {folder / 'latest'}?")


def test_a_piped_table_has_no_endless_rule(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert max(map(len, table([["a", "b"], ["1", "x" * 500]]).splitlines()[1].split())) == 40
