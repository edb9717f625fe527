"""`cnntrain compare`: what differs, which was better, over seeds; sorted, filtered, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cnntrain.cli.compare import _spread, _time
from cnntrain.core import strict_json
from cnntrain.parts.metrics.base import larger_is_better
from cnntrain.results.compare import ComparedRun, column_keys, compare, short_names, telling_keys
from cnntrain.results.report.overview import of_several
from cnntrain.rundir.history import Record, read


def variant(source: Path, to: Path, accuracy: float, *changes: tuple[str, str], loss: float = 0.5) -> Path:
    """A copy of a run with another config and another result."""
    shutil.copytree(source, to)
    path = to / "config.resolved.yaml"
    text = path.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    path.write_text(text)
    path = to / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if row["event"] == "eval":
            row |= {"val/accuracy": accuracy, "val/loss": loss, "best": True}
    path.write_text("".join(f"{strict_json.encode(row)}\n" for row in rows))
    return to


@pytest.fixture
def runs(finished: Path, desk: Path) -> None:
    """Three seeds of one setting, and one of another that was stopped."""
    for seed, accuracy in ((7, 0.5), (8, 0.6), (9, 0.7)):
        variant(finished, desk / f"all/{seed}", accuracy, ("seed: 7", f"seed: {seed}"))
    other = variant(finished, desk / "all/other", 0.65, ("lr: 0.1", "lr: 0.25"), loss=0.25)
    (other / "status.json").write_text((other / "status.json").read_text().replace('"finished"', '"interrupted"'))


TABLE = """\
run                      seed    lr  best val/accuracy  epoch  val/loss  val/accuracy
-----------------------  ----  ----  -----------------  -----  --------  ------------
all/9                       9   0.1             0.7000    1/1    0.5000        0.7000
all/other (interrupted)     7  0.25             0.6500    1/1    0.2500        0.6500
all/8                       8   0.1             0.6000    1/1    0.5000        0.6000
all/7                       7   0.1             0.5000    1/1    0.5000        0.5000
"""
GROUPS = """\
group   runs  best val/accuracy        val/loss    val/accuracy
------  ----  -----------------  --------------  --------------
lr 0.1     3     0.6000 ±0.1000  0.5000 ±0.0000  0.6000 ±0.1000
"""


def cut(text: str) -> str:
    """A table without the columns that depend on this machine."""
    lines = text.splitlines()
    end = lines[0].index("train/loss") if "train/loss" in lines[0] else lines[0].index("  time")
    return "".join(f"{line[:end].rstrip()}\n" for line in lines)


@pytest.mark.usefixtures("runs")
def test_a_table_of_what_differs_the_best_first_and_groups_over_seeds(cnntrain):
    outcome = cnntrain("compare", "all")
    assert outcome.code == 0
    first, second = outcome.out.split("\n\n")
    assert cut(first) == TABLE
    assert cut(second) == GROUPS


@pytest.mark.usefixtures("runs")
def test_it_fits_the_terminal(cnntrain, monkeypatch):
    for columns in (100, 80, 64):
        monkeypatch.setenv("COLUMNS", str(columns))
        first, _ = cnntrain("compare", "all").out.split("\n\n")
        assert max(map(len, first.splitlines())) <= columns
    assert "more keys differ" in first


@pytest.mark.usefixtures("runs")
def test_a_metric_that_runs_are_sorted_by_is_shown_however_narrow_the_terminal(cnntrain, monkeypatch):
    for columns in ("200", "80", "64", "40"):
        monkeypatch.setenv("COLUMNS", columns)
        for metric in ("train/loss", "val/error"):
            first, second = cnntrain("compare", "all", "--sort", f"-{metric}").out.split("\n\n")
            header = first.splitlines()[0].split()
            assert header[header.index("epoch") + 1] == metric
            assert metric in second.splitlines()[0]


@pytest.mark.parametrize("measure", ["val/accuracy", "val/ap", "val/mean_iou", "val/mae"])
def test_what_the_task_measures_is_shown_where_the_training_loss_tells_the_best(cnntrain, finished, desk, measure):
    """As in the config that `init` writes for few pictures."""
    for seed in (7, 8):
        run = variant(finished, desk / f"all/{seed}", 0.25, ("seed: 7", f"seed: {seed}"))
        for name, before, after in (
            ("status.json", "val/accuracy", "train/loss"),
            ("metrics.jsonl", "val/accuracy", measure),
            ("metrics.jsonl", "val/error", "val/another"),
        ):
            (run / name).write_text((run / name).read_text().replace(before, after))
    first, second = cnntrain("compare", "all").out.split("\n\n")
    assert first.splitlines()[0].split()[-4:] == [measure, "val/loss", "train/loss", "time"]
    assert re.search(rf" best train/loss +{measure} +val/loss +time$", second.splitlines()[0])
    assert "0.2500 ±0.0000" in second


@pytest.mark.usefixtures("runs")
def test_json_has_everything(cnntrain):
    document = json.loads(cnntrain("compare", "all", "--json").out)
    assert document["metric"] == "val/accuracy"
    assert document["differs"] == ["seed", "optimizer.lr"]
    best = document["runs"][0]
    assert (best["run"], best["state"], best["epochs"], best["step"]) == ("all/9", "finished", 1, 8)
    assert best["config"] == {"seed": 9, "optimizer.lr": 0.1}
    assert best["best"] == {"metric": "val/accuracy", "value": 0.7, "epoch": 1}
    assert best["final"]["val/loss"] == 0.5
    assert best["seconds"] > 0 < best["images_per_second"]
    (group,) = document["groups"]
    assert (group["runs"], group["config"]) == (["all/9", "all/8", "all/7"], {"optimizer.lr": 0.1})
    assert group["best"] == {"metric": "val/accuracy", "n": 3, "mean": 0.6, "std": statistics.stdev([0.5, 0.6, 0.7])}


@pytest.mark.usefixtures("runs")
def test_csv_has_a_line_for_each_run(cnntrain):
    rows = list(csv.DictReader(io.StringIO(cnntrain("compare", "all", "--csv").out)))
    assert [row["run"] for row in rows] == ["all/9", "all/other", "all/8", "all/7"]
    assert rows[1]["optimizer.lr"] == "0.25"
    assert rows[1]["best"] == rows[1]["val/accuracy"] == "0.65"


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(("arguments", "found"), [
    (("--sort", "seed"), ["all/7", "all/other", "all/8", "all/9"]),
    (("--sort", "-optimizer.lr"), ["all/other", "all/9", "all/8", "all/7"]),
    (("--sort", "val/loss"), ["all/other", "all/9", "all/8", "all/7"]),
    (("--filter", "optimizer.lr=0.1", "--filter", "best>=0.6"), ["all/9", "all/8"]),
    (("--filter", "state!=finished"), ["all/other"]),
    (("--filter", "seed < 8"), ["all/other", "all/7"]),
    (("--filter", "optimizer.nesterov=false"), ["all/9", "all/other", "all/8", "all/7"]),
    (("--filter", "optimizer.type=adam"), []),
])  # fmt: skip
def test_sorting_and_filtering(cnntrain, arguments, found):
    outcome = cnntrain("compare", "all", "--json", *arguments)
    order = [run["run"] for run in json.loads(outcome.out)["runs"]]
    if arguments[:2] in (("--sort", "-optimizer.lr"), ("--sort", "val/loss")):  # equal ones stay as they were found
        order[1:] = sorted(order[1:], reverse=True)
    assert (outcome.code, order) == (0, found)


@pytest.mark.usefixtures("runs")
def test_no_run_is_left_is_said(cnntrain):
    asked = ("compare", "all", "--filter", "epochs>5")
    assert cnntrain(*asked).out == "no run meets the conditions\n"
    table = cnntrain(*asked, "--csv")
    assert (table.code, table.out, table.err) == (0, "", "no run meets the conditions\n")


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(("arguments", "said"), [
    (("all", "--filter", "val/accurcy>0"), "--filter 'val/accurcy>0': no run has 'val/accurcy'; did you mean"),
    (("all", "--filter", "best"), "--filter 'best' is not a condition. Write a name, one of = != < > <= >=, and a"),
    (("all", "--sort", "sed"), "--sort sed: no run has 'sed'; did you mean 'seed'?"),
    (("all", "--json", "--csv"), "--csv and --json are two forms of one answer. Choose one"),
    (("nowhere",), "nowhere is no run directory"),
])  # fmt: skip
def test_what_it_cannot_do_it_says(cnntrain, arguments, said):
    outcome = cnntrain("compare", *arguments)
    assert (outcome.code, outcome.error[: len(said)]) == (2, said)


@pytest.mark.usefixtures("runs")
def test_of_the_names_that_runs_have_only_the_first_are_told(cnntrain):
    outcome = cnntrain("compare", "all", "--filter", "nosuch!=3")
    assert re.match(r"--filter 'nosuch!=3': no run has 'nosuch'; known: best, \S+, \S+ and \d+ more\b", outcome.error)


def test_runs_without_a_common_measure_are_not_ranked_which_is_said(cnntrain, finished, desk):
    for name, accuracy in (("a", 0.5), ("b", 0.6)):
        variant(finished, desk / "all" / name, accuracy)
    changed(desk / "all/b", lambda config: config.update(loss={"type": "focal"}))
    said = "not ranked, for there is no measure by which all of them judge themselves: try --sort -val/accuracy"
    assert said not in cnntrain("compare", "all").out  # both judge themselves by their accuracy
    for name in "ab":
        status = desk / "all" / name / "status.json"
        status.write_text(status.read_text().replace("val/accuracy", "val/loss"))
    assert said in cnntrain("compare", "all").out.splitlines()
    assert json.loads(cnntrain("compare", "all", "--json").out)["metric"] is None
    assert said not in cnntrain("compare", "all", "--sort", "-val/accuracy").out


def test_runs_of_different_networks_can_be_compared(finished, desk):
    shutil.copytree(finished, desk / "a")
    variant(finished, desk / "b", 0.9, ("filters: 6", "filters: 9"))
    document = compare([desk / "a", desk / "b"])
    assert document["differs"] == ["model.layers.0.filters"]
    assert document["groups"] == []


def test_a_run_without_results_comes_last(finished, desk):
    variant(finished, desk / "a", 0.1)
    variant(finished, desk / "b", 0.1, ("seed: 7", "seed: 8"))
    for name in ("metrics.jsonl", "timing.jsonl"):
        (desk / "b" / name).unlink()
    document = compare([desk / "b", desk / "a"])
    assert [run["best"]["value"] for run in document["runs"]] == [0.1, None]
    assert document["runs"][1]["seconds"] is None
    assert document["groups"][0]["best"]["n"] == 1


def test_equal_seeds_are_one_measurement_and_no_group(finished, desk):
    for name in ("a", "b"):
        variant(finished, desk / name, 0.5)
    assert compare([desk / "a", desk / "b"])["groups"] == []
    variant(finished, desk / "c", 0.7, ("seed: 7", "seed: 8"))
    (group,) = compare([desk / "a", desk / "b", desk / "c"])["groups"]
    assert (group["best"]["n"], group["best"]["mean"], len(group["runs"])) == (2, pytest.approx(0.6), 2)


def stopped(run: Path, epochs: int = 0) -> Path:
    """A run that was stopped after some of its epochs."""
    status = run / "status.json"
    status.write_text(status.read_text().replace('"finished"', '"interrupted"'))
    path = run / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [row for row in rows if row["event"] == "start" or row.get("epoch", 0) <= epochs]
    path.write_text("".join(f"{strict_json.encode(row)}\n" for row in kept))
    return run


@pytest.mark.parametrize("finished_first", [True, False])
def test_a_finished_run_stands_for_a_stopped_one_and_means_are_of_finished_runs(finished, desk, finished_first):
    whole, part = ("a", "b") if finished_first else ("b", "a")
    variant(finished, desk / "all" / whole, 0.5)
    stopped(variant(finished, desk / "all" / part, 0.5))
    variant(finished, desk / "all/c", 0.7, ("seed: 7", "seed: 8"))
    stopped(variant(finished, desk / "all/d", 0.9, ("seed: 7", "seed: 9")), epochs=1)
    document = compare([desk / "all"])
    (group,) = document["groups"]
    assert [Path(run).name for run in group["runs"]] == ["c", whole]
    assert (group["best"]["n"], group["best"]["mean"]) == (2, pytest.approx(0.6))
    assert len(document["runs"]) == 4


def test_runs_whose_metrics_differ_although_config_and_seed_are_equal_are_no_group(finished, desk):
    """They differ in what no config says, such as the data, and none of them is known to be like the other seeds."""
    for name, accuracy in (("a", 0.5), ("b", 0.8)):
        variant(finished, desk / name, accuracy)
    assert compare([desk / "a", desk / "b"])["groups"] == []
    for name, accuracy, seed in (("c", 0.6, 8), ("d", 0.7, 9)):
        variant(finished, desk / name, accuracy, ("seed: 7", f"seed: {seed}"))
    (group,) = compare([desk / name for name in "abcd"])["groups"]
    assert [Path(run).name for run in group["runs"]] == ["d", "c"]


def changed(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the config that a run says it was trained with."""
    path = run / "config.resolved.yaml"
    config = yaml.safe_load(path.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config))


def test_folds_are_a_group(finished, desk):
    for fold, accuracy in enumerate((0.5, 0.6, 0.9)):
        run = variant(finished, desk / f"{fold}", accuracy)

        def split(config, fold=fold):
            config["data"] |= {"source": {"type": "k_fold", "fold": fold, "source": config["data"]["source"]}}
            config["data"]["val"] = None

        changed(run, split)
    document = compare([desk / "0", desk / "1", desk / "2"])
    assert document["differs"] == ["data.source.fold"]
    (group,) = document["groups"]
    assert group["config"] == {}
    assert (group["best"]["n"], group["best"]["mean"]) == (3, pytest.approx(2 / 3))


def test_a_layer_with_a_name_is_called_by_it_as_in_set(cnntrain, finished, desk):
    for name, rate in (("a", 0.2), ("b", 0.5)):
        shutil.copytree(finished, desk / name)
        changed(desk / name, lambda config, r=rate: config["model"]["layers"][3].update(name="drop", rate=r))
    assert compare([desk / "a", desk / "b"])["differs"] == ["model.layers.drop.rate"]
    assert cnntrain("compare", "a", "b").out.split()[:2] == ["run", "drop.rate"]
    for key in ("model.layers.drop.rate", "model.layers.3.rate"):
        (run,) = compare([desk / "a", desk / "b"], [f"{key}=0.5"])["runs"]
        assert run["run"].endswith("b")


@pytest.mark.parametrize(("metric", "larger"), [
    ("val/accuracy", True), ("val/loss", False), ("train/error", False), ("val/top5", True), ("val/f1_micro", True),
    ("val/calibration_error_4", False), ("train/objective", False), ("val/mse", False), ("val/ap", True),
    ("val_average/ap", True)])  # fmt: skip
def test_which_way_is_better(metric, larger):
    assert larger_is_better(metric) is larger


def test_groups_are_called_by_what_was_written_and_not_by_the_defaults_of_a_part(cnntrain, finished, desk):
    """Of two optimizers neither has the other's keys; of Adam's, one was written."""
    for number, (seed, optimizer) in enumerate([(s, o) for s in (7, 8) for o in ("sgd", "adam")]):
        run = variant(finished, desk / f"all/{number}", 0.5, ("seed: 7", f"seed: {seed}"))
        chosen = {"type": optimizer, "lr": 0.1} | ({"eps": 1e-6} if optimizer == "adam" else {})
        changed(run, lambda config, chosen=chosen: config.update(optimizer=chosen))
        origins = dict.fromkeys(read(run).settings, "default")
        (run / "origins.json").write_text(json.dumps(origins | {f"optimizer.{key}": "--set:1:1" for key in chosen}))
    groups = compare([desk / "all"])["groups"]
    assert [group["config"] for group in groups] == [
        {"optimizer.type": "sgd"},
        {"optimizer.type": "adam", "optimizer.eps": 1e-6},
    ]
    shown = cnntrain("compare", "all").out
    assert "\ntype sgd " in shown
    assert "\ntype adam, eps 1e-06 " in shown


def test_among_unlike_runs_a_group_is_called_by_what_sets_groups_apart(cnntrain, finished, desk):
    """Everything that another network lacks is left out; where nothing is left, a run stands for its group."""
    for number, (lr, seed) in enumerate((lr, seed) for lr in ("0.1", "0.2") for seed in (7, 8)):
        variant(finished, desk / f"all/{number}", 0.5, ("seed: 7", f"seed: {seed}"), ("lr: 0.1", f"lr: {lr}"))
    variant(finished, desk / "all/other", 0.5)
    changed(
        desk / "all/other", lambda config: config.update(model={"layers": ["flatten", {"type": "dense", "units": 3}]})
    )
    groups = cnntrain("compare", "all").out.split("\n\n")[1].splitlines()[2:]
    assert [line.partition("  ")[0] for line in groups] == ["lr 0.1", "lr 0.2"]
    groups = cnntrain("compare", "all", "--filter", "optimizer.lr!=0.2").out.split("\n\n")[1].splitlines()[2:]
    assert [line.partition("  ")[0] for line in groups] == ["like all/0"]


def test_a_short_key_has_the_name_of_a_layer_and_of_a_list():
    keys = {
        "optimizer.lr": "lr",
        "data.source.type": "source.type",
        "data.train_transforms.0.type": "train_transforms.0.type",
        "data.eval_transforms.0.mean": "eval_transforms.0.mean",
        "data.source.shape.1": "shape.1",
        "model.layers.3.kernel_size": "layers.3.kernel_size",
        "model.layers.3.weight_init.scale": "layers.3.weight_init.scale",
        "model.layers.drop.rate": "drop.rate",
    }
    assert short_names([*keys]) == keys


def test_short_names_are_found_in_time_that_grows_with_the_keys():
    """Networks of thousands of layers differ in tens of thousands of keys: each was looked for in every other."""
    keys = [f"model.layers.{n}.{key}" for n in range(5000) for key in ("filters", "stride", "weights.type")]
    began = time.process_time()
    found = short_names([*keys, "optimizer.lr", "model.layers.stem.filters"])
    assert time.process_time() - began < 5  # 0.1 s where it was written; minutes before
    assert found["optimizer.lr"] == "lr"
    assert found["model.layers.stem.filters"] == "stem.filters"
    assert found["model.layers.7.weights.type"] == "layers.7.weights.type"


def test_columns_are_found_in_time_that_grows_with_the_keys():
    """Each key was looked for in a list of all: 12 s of 40,000, and 28 for the names of groups."""
    layers = [f"model.layers.{n}.filters" for n in range(20_000)]
    short, long = ({"optimizer.lr": lr} | dict.fromkeys(keys, lr) for lr, keys in ((1, layers[::2]), (2, layers)))
    record = Record(Path("run"), {}, {}, [], [], {}, {}, {})
    lines = [ComparedRun(record, {}, {}, settings) for settings in (short, long)]
    began = time.process_time()
    found = column_keys(lines, [*long])
    told = telling_keys(lines, [*long])
    assert time.process_time() - began < 2  # 0.1 s where it was written
    assert found == ["optimizer.lr", *layers[::2], *layers[1::2]]
    assert told == ["optimizer.lr", *layers]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.04, "0.0s"),
        (59.4, "59.4s"),
        (59.97, "1m00s"),
        (119.7, "2m00s"),
        (125.2, "2m05s"),
        (7260, "121m00s"),
    ],
)
def test_a_time_has_no_sixtieth_second(seconds, text):
    assert _time(seconds) == text


@pytest.mark.parametrize(
    ("spread", "text"),
    [
        (None, "-"),
        ({"mean": None, "std": None}, "-"),
        ({"mean": 0.5, "std": None}, "0.5000"),
        ({"mean": 0.5, "std": 0.25}, "0.5000 ±0.2500"),
    ],
)
def test_a_mean_has_its_deviation_if_there_is_one(spread, text):
    assert _spread(spread) == text


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"init": {"weights": {"type": "normal", "std": 0.3}}}, {"init": {"weights": {"type": "he_normal"}}}, "0.3 -"),
        ({"train": {"clip_norm": 5}}, {"train": {"clip_norm": None}}, "5.0 -"),
    ],
    ids=["a key of one part only", "null"],
)
def test_a_key_that_was_varied_has_a_column_although_a_run_lacks_it(cnntrain, finished, desk, one, other, expected):
    """The defaults of a part that the other run lacks have none."""
    for name, chosen, accuracy in (("a", one, 0.7), ("b", other, 0.5)):
        run = variant(finished, desk / name, accuracy)

        def choose(config, chosen=chosen):
            for section, keys in chosen.items():
                config[section].update(keys)

        changed(run, choose)
        keys = read(run).settings
        written = [key for key in keys if key.endswith((".std", "weights.type", ".clip_norm"))]
        (run / "origins.json").write_text(json.dumps(dict.fromkeys(keys, "default") | dict.fromkeys(written, "a:1:1")))
    key = "init.weights.std" if "init" in one else "train.clip_norm"
    document = compare([desk / "a", desk / "b"])
    assert key in document["columns"]
    assert {*document["columns"]} <= {*document["differs"]}
    header, _, *rows = cnntrain("compare", "a", "b").out.splitlines()
    end = header.index(key.rpartition(".")[2]) + len(key.rpartition(".")[2])
    assert [row[:end].split()[-1] for row in rows[:2]] == expected.split()
    page = of_several([read(desk / "a"), read(desk / "b")])
    assert f'title="{key}"' in page
