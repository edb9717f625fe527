"""The monitor: the best epoch, thresholds and patience, judged alike by a straight run and a resumed one."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntrain.config.load import load_text
from cnntrain.core.description import CLASSES, VALUES, Description
from cnntrain.core.errors import ConfigError
from cnntrain.core.masks import MASKS
from cnntrain.core.registry import make, parts
from cnntrain.data import build_data
from cnntrain.network import build
from cnntrain.parts.schedules.base import Horizon
from cnntrain.training.monitor import Monitor
from cnntrain.training.rates import Rates

TEXT = """\
data:
  source: {type: synthetic, size: 8, classes: 3}
  val: 0.2
model:
  layers: [flatten, {type: dense, units: auto}]
"""
OF_MASKS = """\
data:
  source: {type: shapes, target: mask, size: 16}
  val: 0.2
model:
  layers: [{type: conv2d, filters: auto, kernel_size: 1}]
"""
DATA = {  # the targets that a metric may score -> a config and what there is to know of its data
    CLASSES: (TEXT, None),
    MASKS: (OF_MASKS, None),
    VALUES: (f"loss: mse\n{TEXT}", Description((8, 8, 1), (), 3)),
}
NAN = math.nan


def monitor(train: str = "", checkpoint: str = "{}", validates: bool = True, of: str = CLASSES) -> Monitor:
    """The monitor of an experiment with these rules, whose targets are of that kind."""
    text, description = DATA[of]
    loaded = load_text(f"{text}train: {{epochs: 9, {train}}}\ncheckpoint: {checkpoint}\n", "test.yaml")
    description = description or build_data.describe(loaded)
    assert description is not None
    return Monitor(loaded, build.network(loaded, description).tally, validates)


def judged(of: Monitor, name: str, values: list[float]) -> list[bool]:
    """For each epoch's value, whether it was the best so far."""
    return [of.judge({name: value}, 10 * epoch, epoch)[0] for epoch, value in enumerate(values, 1)]


def ended(of: Monitor, name: str, values: list[Any]) -> tuple[int, str] | None:
    """The epoch at whose end training is over, and why."""
    for epoch, value in enumerate(values, 1):
        _, reason = of.judge({name: value}, 10 * epoch, epoch)
        if reason:
            return epoch, reason
    return None


# -- the best --------------------------------------------------------------------------------------------------------


def test_by_default_the_smallest_validation_loss_is_best_and_without_validation_the_training_loss():
    of = monitor()
    assert of.best == "val/loss"
    assert judged(of, "val/loss", [3.0, 2.0, 2.5, 1.0]) == [True, True, False, True]
    assert of.summary() == {"metric": "val/loss", "value": 1.0, "step": 40, "epoch": 4}
    assert monitor(validates=False).best == "train/loss"


def test_of_equal_values_the_first_is_best():
    of = monitor()
    assert judged(of, "val/loss", [1.0, 1.0, 1.0]) == [True, False, False]
    assert of.standing.best_epoch == 1
    upwards = monitor(checkpoint="{best: {monitor: val/accuracy}}")
    assert judged(upwards, "val/accuracy", [0.5, 0.5, 0.6, 0.6]) == [True, False, True, False]


@pytest.mark.parametrize(
    ("metric", "mode", "larger"),
    [
        ("val/accuracy", "auto", True),
        ("val/error", "auto", False),
        ("train/loss", "auto", False),
        ("val/accuracy", "min", False),
        ("val/loss", "max", True),
    ],
)
def test_auto_knows_whether_more_is_better_and_a_mode_overrules_it(metric, mode, larger):
    of = monitor(checkpoint=f"{{best: {{monitor: {metric}, mode: {mode}}}}}")
    assert judged(of, metric, [0.5, 0.6, 0.4]) == ([True, True, False] if larger else [True, False, True])


@pytest.mark.parametrize("odd", [NAN, math.inf, -math.inf, None])
def test_what_is_no_number_is_never_the_best(odd):
    of = monitor(checkpoint="{best: {monitor: val/loss, mode: min}}")
    assert judged(of, "val/loss", [odd, 2.0, odd, 1.0]) == [False, True, False, True]
    of = monitor()
    assert judged(of, "val/loss", [odd]) == [False]
    assert of.summary() == {"metric": "val/loss", "value": None, "step": None, "epoch": None}


# -- thresholds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "rule", "values", "epoch", "words"),
    [
        (
            "train/error",
            "at_most: 0.01",
            [0.5, 0.011, 0.01],
            3,
            "train/error 0.01 reached the threshold of at most 0.01",
        ),
        ("train/error", "at_most: 0.01", [0.5, 0.0], 2, "train/error 0 reached the threshold of at most 0.01"),
        ("val/accuracy", "at_least: 0.9", [0.89, 0.9], 2, "val/accuracy 0.9 reached the threshold of at least 0.9"),
        ("val/loss", "at_most: 0", [NAN, -math.inf, None, 0.0], 4, "val/loss 0 reached the threshold of at most 0"),
    ],
)
def test_a_threshold_ends_training_where_it_is_reached(metric, rule, values, epoch, words):
    assert ended(monitor(f"until: {{metric: {metric}, {rule}}}"), metric, values) == (epoch, words)


def test_a_threshold_that_is_not_reached_ends_nothing():
    assert ended(monitor("until: {metric: train/error, at_most: 0.01}"), "train/error", [0.5, 0.02, NAN]) is None
    assert ended(monitor("until: {metric: val/loss, at_least: 3}"), "val/loss", [2.9, math.inf]) is None


# -- patience --------------------------------------------------------------------------------------------------------


def test_early_stopping_waits_for_its_patience():
    rule = "early_stopping: {monitor: val/loss, patience: 2}"
    assert ended(monitor(rule), "val/loss", [3.0, 2.0, 2.5, 1.9, 1.9, 1.95, 0.0]) == (
        6,
        "val/loss has not improved for 2 epochs",
    )
    assert ended(monitor(rule), "val/loss", [5.0, 4.0, 4.5, 3.0, 3.5, 2.0]) is None


def test_progress_of_min_delta_is_none_but_counts_for_the_best():
    of = monitor("early_stopping: {monitor: val/loss, patience: 3, min_delta: 0.5}")
    standings = []
    for value in (3.0, 2.75, 2.5, 2.25, 2.0, 1.75, 1.5):
        improved, reason = of.judge({"val/loss": value}, 0, 0)
        assert improved
        assert reason is None
        standings.append((of.standing.record, of.standing.stale))
    assert standings == [(3.0, 0), (3.0, 1), (3.0, 2), (2.25, 0), (2.25, 1), (2.25, 2), (1.5, 0)]


def test_early_stopping_follows_accuracies_upwards_unless_told_otherwise():
    rule = "early_stopping: {monitor: val/accuracy, patience: 1}"
    assert ended(monitor(rule), "val/accuracy", [0.1, 0.2, 0.3, 0.25]) == (
        4,
        "val/accuracy has not improved for 1 epoch",
    )
    rule = "early_stopping: {monitor: val/accuracy, patience: 1, mode: min}"
    assert ended(monitor(rule), "val/accuracy", [0.3, 0.2, 0.25])[0] == 3


@pytest.mark.parametrize("nothing", [NAN, None, math.inf, -math.inf])
def test_an_epoch_without_a_number_is_not_one_without_progress(nothing):
    rule = "early_stopping: {monitor: val/loss, patience: 2}"
    assert ended(monitor(rule), "val/loss", [1.0, *[nothing] * 20]) is None
    assert ended(monitor(rule), "val/loss", [nothing] * 20) is None
    assert ended(monitor(rule), "val/loss", [*[nothing] * 5, 1.0, nothing, 1.0, nothing, 1.0])[0] == 10


def test_a_metric_that_never_had_a_value_is_told_at_the_end():
    of = monitor("early_stopping: {monitor: val/accuracy, patience: 2}", "{best: {monitor: val/accuracy}}")
    assert of.unseen(early=True) == [
        "val/accuracy had no value in any epoch: it was not decided which epoch is the best and whether to stop early"
    ]
    of.judge({"val/accuracy": 0.5}, 1, 1)
    assert of.unseen(early=True) == []


# -- directions and bounds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", parts("metrics"))
def test_every_metric_that_can_be_monitored_improves_the_way_it_says_wherever_it_is(name):
    """Best, early stopping and both plateaus, on each split, agree about what is better."""
    metric: Any = make("metrics", name)
    if not isinstance(metric.value(metric.zeros(3)), float):
        return
    label = metric.label()
    for split in ("train", "val"):
        watched = f"{split}/{label}"
        of = monitor(
            f"metrics: [{name}], early_stopping: {{monitor: {watched}, patience: 2}}",
            f"{{best: {{monitor: {watched}}}}}",
            of=metric.scores[0],
        )
        better, worse = (0.6, 0.4) if metric.larger_is_better else (0.4, 0.6)
        assert of.judge({watched: worse}, 1, 1)[0]
        assert of.judge({watched: better}, 2, 2)[0]
        assert not of.judge({watched: worse}, 3, 3)[0]
        assert of.standing.record == better
        plateau: Any = make("schedules", "plateau", monitor=watched, patience=0).directed(of.larger[watched])
        state = plateau.judge(plateau.judge(plateau.begin(), {watched: worse}), {watched: better})
        assert state["factor"] == 1
        assert plateau.judge(state, {watched: worse})["factor"] == pytest.approx(0.1)


@pytest.mark.parametrize("key", ["schedule", "momentum_schedule"])
@pytest.mark.parametrize("mode", [None, "min", "max"])
def test_a_plateau_finds_out_which_way_its_metric_improves(key, mode):
    chosen = "" if mode is None else f", mode: {mode}"
    text = f"{TEXT}train: {{epochs: 9}}\noptimizer: {{type: sgd, momentum: 0.9}}\n"
    loaded = load_text(f"{text}{key}: {{type: plateau, monitor: val/accuracy, patience: 0{chosen}}}\n", "test.yaml")
    rates, horizon = Rates(loaded, {"val/accuracy": True}), Horizon(9, 1)
    before = rates.at(0, horizon)
    for value in (0.1, 0.2, 0.3):
        rates.judge({"val/accuracy": value})
    assert (rates.at(3, horizon) == before) == (mode != "min")


@pytest.mark.parametrize("nothing", [NAN, None])
def test_a_plateau_does_not_count_epochs_without_a_value(nothing):
    plateau: Any = make("schedules", "plateau", monitor="val/auc", patience=1, mode="max")
    state = plateau.begin()
    for _ in range(20):
        state = plateau.judge(state, {} if nothing is None else {"val/auc": nothing})
    assert state == plateau.begin()


@pytest.mark.parametrize(
    ("metric", "rule", "message"),
    [
        ("val/accuracy", "at_least: 98", "is never reached: for 98 % write 0.98"),
        ("val/accuracy", "at_most: 98", "is reached at once: for 98 % write 0.98"),
        ("train/accuracy", "at_least: 1.01", "is never reached"),
        ("val/error", "at_most: 2", "is reached at once: for 2 % write 0.02"),
        ("val/error", "at_most: -0.1", "is never reached"),
        ("val/accuracy", "at_least: 0", "is reached at once"),
    ],
)
def test_a_threshold_beyond_the_bounds_of_the_metric_is_an_error(metric, rule, message):
    with pytest.raises(ConfigError, match=message):
        monitor(f"until: {{metric: {metric}, {rule}}}")


@pytest.mark.parametrize("rule", ["at_least: 1", "at_least: 0.98"])
def test_a_threshold_within_the_bounds_is_none(rule):
    monitor(f"until: {{metric: val/accuracy, {rule}}}")
    with pytest.raises(ConfigError, match="never improves by 1"):
        monitor("early_stopping: {monitor: val/accuracy, min_delta: 1}")


def test_a_reached_threshold_is_the_reason_before_patience_is():
    of = monitor("until: {metric: val/loss, at_most: 1}, early_stopping: {monitor: val/error, patience: 1}")
    of.judge({"val/loss": 2.0, "val/error": 0.5}, 1, 1)
    _, reason = of.judge({"val/loss": 1.0, "val/error": 0.5}, 2, 2)
    assert reason == "val/loss 1 reached the threshold of at most 1"


# -- rules about metrics that are not there --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "checkpoint", "validates", "pointed", "words"),
    [
        ("", "{best: {monitor: val/acuracy}}", True, "val/acuracy", "did you mean 'val/accuracy'?"),
        ("", "{best: {monitor: val/loss}}", False, "val/loss", "'val/loss' is not computed in this run"),
        ("until: {metric: test/loss, at_most: 1}", "{}", True, "test/loss", "'test/loss' is not computed in this run"),
        ("early_stopping: {patience: 3}", "{}", False, "{patience: 3}", "'val/loss' is not computed in this run"),
        ("metrics: [confusion], until: {metric: val/confusion, at_most: 1}", "{}", True, "val/c", "is not computed"),
    ],
)
def test_a_rule_about_an_unknown_metric_is_an_error_at_its_place(train, checkpoint, validates, pointed, words):
    with pytest.raises(ConfigError) as raised:
        monitor(train, checkpoint, validates)
    (problem,) = raised.value.problems
    assert problem.where.text[problem.where.column - 1 :].startswith(pointed)
    assert words in problem.message


# -- its state -------------------------------------------------------------------------------------------------------


def test_what_is_forgotten_leaves_nothing_behind():
    rules = "average: swa, early_stopping: {monitor: val/loss, patience: 3}"
    of = monitor(rules)
    of.judge({"val/loss": 0.5, "val_average/loss": 0.25}, 10, 1)
    assert of.summary() == {"metric": "val_average/loss", "value": 0.25, "step": 10, "epoch": 1}
    of.forget(best=True, early=True)
    assert (of.state(), of.summary()) == (monitor(rules).state(), monitor(rules).summary())


@given(
    values=st.lists(st.one_of(st.floats(-3, 3), st.sampled_from([NAN, math.inf, 1.0])), min_size=1, max_size=12),
    cut=st.integers(0, 12),
)
def test_a_resumed_run_judges_as_the_straight_one(values, cut):
    rules = "early_stopping: {monitor: val/loss, patience: 3, min_delta: 0.1}"
    straight, of = monitor(rules), monitor(rules)
    for epoch, value in enumerate(values):
        if epoch == cut:
            state = json.loads(json.dumps(of.state()))
            of = monitor(rules)
            of.restore(state)
        assert of.judge({"val/loss": value}, epoch, epoch) == straight.judge({"val/loss": value}, epoch, epoch)
    assert of.state() == straight.state()
    assert of.summary() == straight.summary()
