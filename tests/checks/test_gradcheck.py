"""The gradient check: right networks pass, every kind of seeded bug is found, and named with its node and line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from cnntrain.checks.gradcheck import Finding, _compare, check
from cnntrain.cli import main
from cnntrain.config.load import load
from cnntrain.core import registry
from cnntrain.core.errors import Mark
from cnntrain.engine import program

QUICKSTART = Path(__file__).parents[2] / "configs" / "quickstart.yaml"
CONFIG = """\
data: {source: {type: synthetic, size: 6, channels: 3, classes: 3}}
model:
  layers:
    - {type: conv2d, name: stem, filters: 4, kernel_size: 3, padding: same, bias: false}
    - {type: batch_norm, name: norm}
    - {type: relu, name: bend}
    - type: residual
      name: block
      body:
        - {type: conv2d, filters: 4, kernel_size: 3, padding: same}
        - {type: tanh, name: squash}
        - {type: dropout, rate: 0.4}
    - {type: max_pool2d, name: pool, kernel_size: 2}
    - {type: batch_norm, name: still, freeze: true}
    - flatten
    - {type: dense, name: head, units: auto}
loss: {type: cross_entropy, label_smoothing: 0.1}
train: {epochs: 1}
"""
LINES = {"stem": 4, "norm": 5, "bend": 6, "block.squash": 11, "block.dropout_1": 12, "pool": 13, "head": 16}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(CONFIG)
    return path


def test_a_right_network_passes(config):
    report = check(load([config]))
    assert not report.failed
    assert {finding.scope for finding in report.findings} == {"node", "network"}
    trained = {(f.node, f.what) for f in report.findings if f.scope == "network"}
    assert ("norm", "scale") in trained
    assert ("still", "scale") not in trained
    assert max(finding.worst for finding in report.findings) < 1e-6
    assert all(finding.checked for finding in report.findings)


def test_masks_whose_classes_are_balanced(tmp_path):
    path = tmp_path / "masks.yaml"
    path.write_text(
        "data: {source: {type: shapes, samples: 8, size: 16, target: mask}}\n"
        "model: {layers: [{type: conv2d, filters: auto, kernel_size: 1}]}\n"
        "loss: {type: cross_entropy, class_weight: balanced}\n"
        "train: {epochs: 1}\n"
    )
    assert not check(load([path]), 3).failed


def test_the_same_seed_checks_the_same_values(config):
    first, second = check(load([config]), 3).document(), check(load([config]), 3).document()
    assert first == second


def wrong_sign(f):
    if f.dx is not None:
        f.dx *= -1


def wrong_axis(f):
    f.dp["weight"][...] = f.dp["weight"].T.reshape(f.dp["weight"].shape)


def missing_term(f):
    f.dx += 0.01 * f.dy.mean()


def not_a_number(f):
    f.dx[0] = np.nan


@pytest.mark.parametrize(
    ("layer", "node", "spoil", "what"),
    [
        ("relu", "bend", wrong_sign, "input"),
        ("tanh", "block.squash", wrong_sign, "input"),
        ("max_pool2d", "pool", wrong_sign, "input"),
        ("dropout", "block.dropout_1", wrong_sign, "input"),
        ("dense", "head", wrong_axis, "weight"),
        ("dense", "head", not_a_number, "input"),
        ("batch_norm", "norm", missing_term, "input"),
    ],
)
def test_a_seeded_bug_is_named_with_its_node_and_line(config, monkeypatch, capsys, layer, node, spoil, what):
    cls = registry.lookup("layers", layer)
    right = cls.backward

    def backward(self, f):
        right(self, f)
        if f.dx is not None and f.training:
            spoil(f)

    monkeypatch.setattr(cls, "backward", backward)
    assert main(["gradcheck", str(config)]) == 9
    out, err = capsys.readouterr()
    assert f"{config}:{LINES[node]}:" in err
    assert f"the gradient of {node} ({layer}) with respect to its {what} is wrong by itself: backward gives " in err
    assert "WRONG" in out
    assert f"worst: {node}, {what}" in out


def test_a_gradient_lost_between_nodes_is_found_in_the_network(config, monkeypatch):
    def forgetful(self, number, call, frames, slot, real):
        frames.additions[call.node] = []
        return right(self, number, call, frames, slot, real)

    right = program._Running._call
    monkeypatch.setattr(program._Running, "_call", forgetful)
    report = check(load([config]))
    assert {finding.scope for finding in report.failed} == {"network"}
    assert {finding.node for finding in report.failed} == {"stem", "norm"}  # the nodes before the one that feeds two


@pytest.mark.parametrize("name", ["l1", "l2", "l1_l2"])
def test_a_penalty_whose_gradient_is_wrong_is_found_in_the_network(config, monkeypatch, name):
    loaded = load([config], [f"train.regularize=[{{type: {name}, match: head}}]"])
    assert not check(loaded).failed
    cls = registry.lookup("regularizers", name)
    right = cls.add_gradient
    monkeypatch.setattr(
        cls, "add_gradient", lambda self, p, g, scratch: right(self, p, g, scratch) or right(self, p, g, scratch)
    )
    assert {(finding.node, finding.what) for finding in check(loaded).failed} == {("head", "weight")}


def test_a_teacher_is_made_up_for_distillation(config, monkeypatch):
    loaded = load([config], ["loss={type: distillation, teacher: nowhere.npz, temperature: 2}"])
    assert not check(loaded).failed
    cls = registry.lookup("losses", "distillation")
    right = cls.score

    def forgetful(self, outputs, targets, weights, losses, d_outputs):
        right(self, outputs, targets, weights, losses, None)
        right(self, outputs, self.own_targets(targets), weights, losses.copy(), d_outputs)

    monkeypatch.setattr(cls, "score", forgetful)
    assert "head" in {finding.node for finding in check(loaded).failed}


def test_a_loss_that_balances_classes_is_checked(config):
    assert not check(load([config], ["loss={type: cross_entropy, class_weight: balanced}"])).failed


def finding() -> Finding:
    return Finding("n", "l", "input", "node", Mark("f", 1, 1))


@pytest.mark.parametrize(("at", "skipped"), [(0.0, 1), (1e-8, 1), (2e-7, 0), (2e-6, 0), (1.0, 0)])
def test_at_a_kink_there_is_nothing_to_compare_beside_it_there_is(at, skipped):
    t, found = np.array([at]), finding()
    _compare(found, t, np.array([1.0]), lambda: abs(float(t[0])) - at, [0], 0.0)
    assert (found.skipped, found.failed) == (skipped, False)


def test_curvature_is_no_kink():
    t, found = np.array([1.0]), finding()
    _compare(found, t, np.array([math.exp(3) * 3.01]), lambda: math.exp(3 * float(t[0])) - math.exp(3), [0], 0.0)
    assert found.failed
    assert not found.skipped
    assert found.worst == pytest.approx(0.01 / 3.01, rel=1e-3)


def test_json_holds_every_finding_and_no_text(config, capsys):
    assert main(["gradcheck", "--json", "--coordinates", "2", str(config)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["passed"]
    assert document["checked"] == sum(entry["checked"] for entry in document["findings"])
    assert {entry["where"] for entry in document["findings"] if entry["node"] == "head"} == {f"{config}:16:7"}


def test_works_from_the_config_where_the_data_is_absent(capsys):
    absent = ["-s", "data.source.root=/nowhere", "--coordinates", "1", "--json", str(QUICKSTART)]
    assert main(["gradcheck", *absent]) == 0
    assert json.loads(capsys.readouterr().out)["passed"]


def test_absent_data_of_unknown_shape_says_what_to_add(config, capsys):
    assert main(["gradcheck", "-s", "data.source={type: idx, root: /nowhere}", str(config)]) == 2
    assert "give 'shape' and 'classes' here" in capsys.readouterr().err
    assert main(["gradcheck", "-s", "data.source={type: image_folder, root: /nowhere}", str(config)]) == 3
    assert "/nowhere does not exist, expected a folder" in capsys.readouterr().err
