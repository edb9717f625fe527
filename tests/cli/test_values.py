"""Values and several labels a sample, from arrays to predictions, by the config that `cnntrain init` writes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnntrain import load
from cnntrain.core.errors import UsageError


@pytest.fixture
def trained(cnntrain, desk):
    """Write arrays whose targets are functions of the pictures, train on them, and give the test targets."""

    def make(function, kind):
        x = np.random.default_rng(0).random((300, 8, 8), np.float32)
        x += np.random.default_rng(1).random((300, 2, 1), np.float32).repeat(4, axis=1) * 3 - 1.5  # upper, lower half
        y = function(x).astype(np.float32)
        np.savez(desk / "data.npz", x_train=x[:240], y_train=y[:240], x_test=x[240:], y_test=y[240:])
        assert cnntrain("init", "--data", "data.npz").code == 0
        assert f"loss: {kind}" in (desk / "config.yaml").read_text()
        sets = ("-s", "train.epochs=8", "-s", "optimizer.lr=0.01")
        fitted = cnntrain("fit", "config.yaml", "-o", "run", "-q", *sets)
        assert (fitted.code, fitted.err) == (0, "")
        return y[240:]

    return make


def predicted(cnntrain):
    answers = json.loads(cnntrain("predict", "run", "data.npz", "--json").out)["predictions"]
    assert [answer["path"] for answer in answers] == [f"data.npz:test[{index}]" for index in range(60)]
    return np.array([answer["values"] for answer in answers])


def halves(x):
    return np.stack([x[:, :4].mean(axis=(1, 2)), x[:, 4:].mean(axis=(1, 2))], axis=1)


def test_values_are_learned_measured_and_predicted(cnntrain, trained):
    truth = trained(halves, "mse")
    measured = json.loads(cnntrain("eval", "run", "--json").out)
    said = predicted(cnntrain)
    refused = cnntrain("predict", "run", "data.npz", "--top", "3")
    assert refused.code == 2
    only = "--top is for classes of which one is the answer, and the task of this network is regress"
    assert only in refused.err
    for images in ("data.npz", np.load("data.npz")["x_test"][..., np.newaxis]):  # as from Python, too
        with load("run") as model, pytest.raises(UsageError, match=f"^{only}"):
            model.predict(images, 3)
    assert measured["mae"] == pytest.approx(np.abs(said - truth).mean(), rel=1e-5)
    assert measured["mse"] == pytest.approx(np.square(said - truth).mean(), rel=1e-5)
    spread = np.square(truth - truth.mean(axis=0)).sum(axis=0)
    assert measured["r2"] == pytest.approx((1 - np.square(said - truth).sum(axis=0) / spread).mean(), rel=1e-5)
    assert measured["r2"] > 0.5
    assert measured["loss"] == pytest.approx(measured["mse"], rel=1e-5)
    table = cnntrain("predict", "run", "data.npz", "--csv").out.splitlines()
    assert table[0] == "path,value_1,value_2"
    assert [float(cell) for cell in table[1].split(",")[1:]] == said[0].tolist()
    assert "values      2\n" in cnntrain("check", "config.yaml").out
    assert "8x8x1, 2 values\n" in cnntrain("inspect", "run").out


def test_several_labels_are_learned_measured_and_predicted(cnntrain, trained):
    truth = trained(lambda x: halves(x) > 0.5, "binary_cross_entropy")
    measured = json.loads(cnntrain("eval", "run", "--json").out)
    said = predicted(cnntrain)
    assert ((said >= 0) & (said <= 1)).all()
    assert measured["binary_accuracy"] == pytest.approx(((said > 0.5) == truth).mean())
    assert measured["binary_accuracy"] > 0.8
    hit, wrong = ((said > 0.5) * truth).sum(), ((said > 0.5) != truth).sum()
    assert measured["binary_f1"] == pytest.approx(2 * hit / (2 * hit + wrong))
    entropy = -np.log(np.where(truth > 0.5, said, 1 - said)).mean()
    assert measured["loss"] == pytest.approx(entropy, rel=1e-4)
    outcome = cnntrain("eval", "run")
    figures = outcome.out.split("\n\n")[0].splitlines()[2:]
    assert [line.split()[0] for line in figures] == ["loss", "binary_accuracy", "binary_f1", "mean_ap", "mean_auc"]
