"""Several runs in one chart: labels by what differs, seeds as mean and band, the best in colour and first."""

from __future__ import annotations

import dataclasses
import re
import statistics
from pathlib import Path

import numpy as np
import pytest

from cnntrain.core.description import Description
from cnntrain.core.registry import parts
from cnntrain.parts.tasks.base import measures
from cnntrain.parts.tasks.classify import Classify
from cnntrain.results.report import curves, overview
from cnntrain.results.report.charts import QUIET, SERIES, Band, Curve
from cnntrain.results.report.page import _STYLE
from cnntrain.results.report.series import legend, series_of
from cnntrain.results.report.svg import rendered
from cnntrain.rundir.history import Record

LOSSES = {0: [3.0, 2.0, 1.0], 1: [3.5, 1.0, 0.5], 2: [4.0, 1.5, 0.6]}  # by seed


def a_run(lr: float, seed: int = 0, worse: float = 0.0, **settings: object) -> Record:
    """A run of three epochs of ten steps that judges itself by its accuracy."""
    rows = [{"event": "start", "steps_per_epoch": 10}]
    rows += [
        {"event": "eval", "step": 10 * n, "epoch": n, "train/loss": loss, "val/loss": loss + worse,
         "val/accuracy": 1 / (1 + loss + worse), "best": True}
        for n, loss in enumerate(LOSSES[seed % 3], 1)
    ]  # fmt: skip
    config = {"name": "one", "seed": seed, "optimizer": {"type": "sgd", "lr": lr}, **settings}
    status = {"state": "finished", "best": {"metric": "val/accuracy"}}
    return Record(Path(f"runs/lr={lr},seed={seed}"), config, {}, rows, [], {}, {}, status)


def test_seeds_are_one_line_with_a_band_and_labels_say_what_differs():
    several = series_of([a_run(lr, seed, worse=lr) for lr in (0.2, 0.1) for seed in LOSSES])
    assert [one.label for one in several] == ["lr 0.1 (3 runs)", "lr 0.2 (3 runs)"]  # the better first
    loss = curves.charts_of(several)[0]
    (solid,) = (line for line in loss.content if isinstance(line, Curve) and line.label == several[0].label)
    (band,) = (line for line in loss.content if isinstance(line, Band) and line.color == several[0].color)
    for epoch in range(3):
        values = [losses[epoch] + 0.1 for losses in LOSSES.values()]
        middle, wide = statistics.mean(values), statistics.stdev(values)
        assert solid.x[epoch] == band.x[epoch] == epoch + 1
        assert solid.y[epoch] == pytest.approx(middle)
        assert band.high[epoch] == pytest.approx(middle + wide)
        assert band.low[epoch] == pytest.approx(max(middle - wide, min(values)))
    best = [1 / (1 + losses[-1] + 0.1) for losses in LOSSES.values()]
    assert f"{statistics.mean(best):.4f} ±{statistics.stdev(best):.4f}" in overview.of_seeds(several)


@pytest.mark.parametrize(
    ("key", "values", "bounds"),
    [
        ("val/accuracy", (0.7, 0.99, 1.0), (0, 1)),
        ("val/calibration_error", (0.0, 0.01, 0.9), (0, 1)),
        ("val/r2", (0.2, 0.99, 1.0), (-1, 1)),
        ("val/ap50", (0.7, 0.99, 1.0), (0, 1)),
        ("dead_relu", (0.5, 1.0, 1.0), (0, 1)),
        ("dead_relu", (0.0, 0.2, 0.9), (0, 1)),
    ],
)
def test_a_band_stays_within_what_there_can_be_and_within_its_chart(key, values, bounds):
    records = []
    for seed, value in enumerate(values):
        record = a_run(0.1, seed)
        rows = [row | {key: value} for row in record.rows if row["event"] == "eval"]
        records.append(dataclasses.replace(record, rows=[record.rows[0], *rows]))
    (chart,) = (one for one in curves.charts_of(series_of(records)) if one.name == key.rpartition("/")[2])
    (band,) = (what for what in chart.content if isinstance(what, Band))
    assert bounds[0] <= min(band.low) < max(band.high) <= bounds[1]
    assert chart.y.high is None or max(band.high) <= chart.y.high <= 1.02


def test_every_metric_and_measure_has_a_sentence_under_its_chart():
    names = [*measures(), "top5", "f1_micro"]
    names += [name for name, part in parts("metrics").items() if part(**part.examples[0]).label() == name]
    assert {"ap", "ap50", "ap75", "accuracy", "mse"} <= set(names)
    for name in names:
        record = a_run(0.1)
        rows = [row | {f"val/{name}": 0.5} for row in record.rows]
        shown = curves.charts(dataclasses.replace(record, rows=rows))
        assert all(chart.note for chart in shown)
        assert name in {"error", "loss", *(chart.name for chart in shown)}


def test_runs_that_differ_in_structure_go_by_their_names():
    several = series_of([a_run(0.1), a_run(0.2, model={"preset": "resnet20"})])
    assert {one.label for one in several} == {"runs/lr=0.1,seed=0", "runs/lr=0.2,seed=0"}


def test_seeds_among_runs_of_other_networks_go_by_what_sets_the_groups_apart():
    one, another = ({f"key{n}": (n, word) for n in range(9)} for word in ("one", "another"))
    other = a_run(0.3, model=another)
    several = series_of([other, *(a_run(lr, seed, lr, model=one) for lr in (0.2, 0.1) for seed in LOSSES)])
    assert {one.label for one in several} == {"runs/lr=0.3,seed=0", "lr 0.1 (3 runs)", "lr 0.2 (3 runs)"}
    several = series_of([other, *(a_run(0.1, seed, model=one) for seed in LOSSES)])
    assert {one.label for one in several} == {"runs/lr=0.3,seed=0", "like runs/lr=0.1,seed=0 (3 runs)"}


def called(name: str, record: Record, epochs: int = 3, state: str = "finished", worse: float = 0.0) -> Record:
    """The record under another name, as it was after some epochs."""
    rows = [row | {key: row[key] + worse for key in row if key == "val/loss"} for row in record.rows[: epochs + 1]]
    return dataclasses.replace(record, path=Path(name), rows=rows, status=record.status | {"state": state})


def test_equal_runs_are_one_line_of_the_longest_and_the_legend_counts_them():
    part, whole = called("a", a_run(0.1), 1, "paused"), called("b", a_run(0.1))
    for records in ([part, whole], [whole, part]):
        (one,) = series_of(records)
        assert (one.label, one.records) == ("b (2 equal runs)", (whole,))
    (one,) = series_of([part, whole, a_run(0.1, 1)])
    assert (one.label, one.records) == ("all (2 runs and 1 equal to one of them)", (whole, a_run(0.1, 1)))
    several = series_of([part, called("c", a_run(0.1), 2, "paused"), a_run(0.1, 1), a_run(0.1, 2)])
    assert [[record.path.name for record in one.records] for one in several] == [
        ["lr=0.1,seed=1", "lr=0.1,seed=2"],
        ["c"],
    ]


def test_runs_of_one_config_and_seed_with_different_metrics_are_lines_of_their_own():
    runs = [called(name, a_run(0.1), worse=worse) for name, worse in (("a", 0.0), ("b", 0.5))]
    assert {one.label for one in series_of(runs)} == {"a", "b"}
    assert {one.label for one in series_of([*runs, a_run(0.2)])} == {"lr 0.1: a", "lr 0.1: b", "lr 0.2"}


def test_no_colour_of_a_series_is_that_of_the_others():
    for colours in re.findall(r":root\{.*?--s7:#\w+", _STYLE, re.DOTALL):  # by day and by night
        known = {
            name: np.array([*bytes.fromhex(digits)]) for name, digits in re.findall(r"--(\w+):#(\w{6})\b", colours)
        }
        series = [known[f"s{number}"] for number in range(len(SERIES))]
        assert min(int(abs(one - known["quiet"].astype(int)).max()) for one in series) > 40
    assert len({*SERIES, QUIET}) == len(SERIES) + 1


@pytest.mark.parametrize("count", [2, 8, 9, 40])
def test_any_number_of_runs_has_one_legend_and_the_best_have_colours(count):
    several = series_of([a_run(0.1 + n, worse=n / 10) for n in range(count)])
    assert [one.label for one in several] == [f"lr {0.1 + n}" for n in range(count)]
    assert [one.color for one in several] == [*SERIES[:count], *([QUIET] * (count - len(SERIES)))]
    names = legend(several)
    assert names.count("<li>") == min(count, len(SERIES)) + (count > len(SERIES))
    assert ("32 others" in names) == (count == 40)
    assert (">1 other<" in names) == (count == 9)
    for chart in curves.charts_of(several):
        text = rendered(chart)
        assert "<title>lr 0.1</title>" in text  # under the pointer
        assert ">lr 0.1</text>" not in text
    assert ("The 8 best have colours" in curves.note_of(several)) == (count > 8)
    table = overview.of_several([one.records[0] for one in several[::-1]])
    assert table.index("lr=0.1,") < table.index(f"lr={0.1 + count - 1},")


def test_the_name_of_a_column_breaks_after_its_words_and_dots():
    found = overview.of_several([a_run(0.1, data={"train_transforms": [{"type": kind}]}) for kind in ("a", "b")])
    assert '<span title="data.train_transforms.0.type">train_<wbr>transforms.<wbr>0.<wbr>type</span>' in found
    assert 'data-name="train_transforms.0.type"' in found


def test_names_in_any_script_stand_by_themselves():
    record = dataclasses.replace(a_run(0.1), path=Path("runs/שלום"))
    several = series_of([record, a_run(0.2, model={"preset": "resnet20"})])
    assert "<bdi>runs/שלום</bdi>" in legend(several)
    assert "<bdi>runs/שלום</bdi>" in overview.of_several([record, a_run(0.2)])
    text = Classify().answer(np.array([2.0, 1.0]), Description((1, 1, 1), ("שלום", "停车")), top=2).text
    assert text == "\u2068שלום\u2069 0.7311  停车 0.2689"


def test_runs_that_judge_themselves_by_different_metrics_are_in_no_order():
    runs = [a_run(0.1 + n) for n in range(9)]
    runs.append(dataclasses.replace(a_run(5.0), status={"state": "finished", "best": {"metric": "val/loss"}}))
    assert "The 8 first have colours" in curves.note_of(series_of(runs))
