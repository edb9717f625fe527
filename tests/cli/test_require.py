"""`--require`: a command that is done, and exits with 9 where its figures are not good enough."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from cnntrain.cli.require import check
from cnntrain.core.errors import CheckFailedError, UsageError

VALUES = {"loss": 0.5, "val/accuracy": 0.98, "samples": 3, "split": "test", "odd": math.nan}


@pytest.mark.parametrize(
    "text", ["val/accuracy>=0.98", "loss<=0.5", " loss < 1 ", "loss>-1e-3", "samples>=3", "samples=3", "odd!=1"]
)
def test_what_holds(text):
    check([text, text], VALUES)


@pytest.mark.parametrize("text", ["val/accuracy>0.98", "loss<0.5", "loss>=1", "samples<=2", "odd<1", "odd>=0", "odd=1"])
def test_what_does_not(text):
    with pytest.raises(CheckFailedError, match="was required, but ") as caught:
        check(["loss<=1", text], VALUES)
    assert caught.value.exit_code == 9


@pytest.mark.parametrize("name", ["train/loss", "val_average/loss", "loss", "val/loss"])
def test_only_a_figure_of_validation_is_judged_by_the_averaged_weights(name):
    values = {"train/loss": 0.5, "val_average/loss": 0.5, "loss": 0.5, "val/loss": 0.25}
    with pytest.raises(CheckFailedError) as caught:
        check([f"{name}<0.1"], values)
    averaged = ", of the averaged weights, which eval measures"
    judged = "val_average/loss is 0.5" + averaged if name == "val/loss" else f"{name} is 0.5"
    assert str(caught.value) == f"{name}<0.1 was required, but {judged}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accuracy=>1", "is not a condition. Write a name"),
        ("accuracy", "is not a condition. Write a name"),
        ("0.5<loss<1", "is not a condition. Write a name"),
        ("accuracy>=", "expected a number after >="),
        ("accuracy>=1-1", "expected a number after >="),
        ("accuracy<inf", "expected a number after <"),
        ("split=test", "expected a number after ="),
        ("val/acuracy>=1", "there is no figure 'val/acuracy'; did you mean 'val/accuracy'?"),
        ("split>=1", "there is no figure 'split'"),
    ],
)
def test_what_cannot_be_judged(text, message):
    with pytest.raises(UsageError) as caught:
        check([text], VALUES)
    assert message in str(caught.value)


def test_eval_prints_its_result_and_then_judges_it(cnntrain, finished):
    good = cnntrain("eval", finished, "--json", "--require", "accuracy>=0", "--require", "loss<1e9")
    bad = cnntrain("eval", finished, "--json", "--require", "accuracy>=0", "--require", "accuracy>=1.5")
    assert (good.code, bad.code) == (0, 9)
    assert json.loads(good.out) == json.loads(bad.out)
    assert "accuracy>=1.5 was required, but accuracy is " in bad.err
    assert cnntrain("eval", finished, "--require", "nonsense").code == 2


def test_fit_judges_its_last_figures(cnntrain, config):
    short = ("-q", "-s", "train={steps: 2}")
    assert cnntrain("fit", config, "-o", "good", *short, "--require", "val/loss<1e9").code == 0
    outcome = cnntrain("fit", config, "-o", "bad", *short, "--require", "val/accuracy>=1.5")
    assert outcome.code == 9
    assert "val/accuracy>=1.5 was required" in outcome.err
    for name, meant in (("val/acuracy", "'val/accuracy'"), ("accuracy", "'val/accuracy'")):
        outcome = cnntrain("fit", config, "-o", "none", *short, "--require", f"{name}>=0.5")
        assert outcome.code == 2
        assert f"this run has no figure '{name}'" in outcome.err
        assert meant in outcome.err
    assert not Path("none").exists(), "it is found before there is a run"
    resumed = cnntrain("fit", "-o", "good", "--resume", "-q", "--require", "val/acuracy>=0.5")
    assert "this run has no figure" in resumed.err
    assert cnntrain("fit", "-o", "good", "--resume", "-q", "--require", "val/accuracy>=0").code == 0
    assert "'val/accuracy>=0.98'" in cnntrain("fit", "--help").out
    assert "'accuracy>=0.98'" in cnntrain("eval", "--help").out
    assert cnntrain("fit", config, "-o", "dry", "-n", "--require", "val/loss<1").code == 2


@pytest.mark.parametrize("text", ["20", "m", "1h30m", "-1s", "1e3s", ""])
def test_a_time_needs_a_number_and_a_unit(cnntrain, config, text):
    outcome = cnntrain("fit", config, "-o", "run", "--max-time", text)
    assert outcome.code == 2
    assert "expected a time such as 90s, 20m, 7.5h or 2d" in outcome.err


def test_fit_pauses_and_goes_on(cnntrain, config):
    outcome = cnntrain("fit", config, "-o", "run", "--resume-or-start", "--max-time", "0s")
    assert outcome.code == 75
    assert "paused by --max-time after step 1, which is saved. Go on with: cnntrain fit --run-dir" in outcome.err
    assert cnntrain("fit", "-o", "run", "--resume", "--max-time", "0.5d", "-q").code == 0
    assert cnntrain("fit", config, "-o", "other", "-n", "--max-time", "1h").code == 2


@pytest.mark.parametrize("condition", ["accuracy>=98", "val/accuracy>90", "error<=2", "val/f1>=98"])
def test_a_percentage_of_a_share_is_refused_before_anything_is_done(cnntrain, condition):
    result = cnntrain("eval", "nowhere", "--require", condition)
    assert result.code == 2
    assert "lies between 0 and 1. For " in result.err


@pytest.mark.parametrize("condition", ["loss<=2", "mse<=50", "accuracy>=1", "accuracy>=0.98"])
def test_what_may_be_is_not(cnntrain, condition):
    assert "lies between 0 and 1" not in cnntrain("eval", "nowhere", "--require", condition).err
