"""`cnntrain sweep`: what it lists and prints; what it trains is in tests/sweep."""

from __future__ import annotations

import json
import re
import shlex
import statistics
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cnntrain.cli import main
from cnntrain.cli.sweep import _head, _row, _tell_answer
from cnntrain.results.compare import spread
from cnntrain.sweep.cells import Cell
from cnntrain.sweep.search import SearchQueue
from cnntrain.sweep.standing import Standing
from tests.support.experiments import write

SWEEP = """\
config: full.yaml
set: {train.steps: 3, train.epochs: null, schedule: constant}
grid: {optimizer.lr: [0.1, 0.2]}
seeds: 2
"""


@pytest.fixture
def sweep(config, tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SWEEP)
    return path


def test_print_commands_prints_a_line_for_each_run_that_a_shell_can_run(cnntrain, sweep, desk):
    outcome = cnntrain("sweep", sweep, "--print-commands", "-s", "name=a b", "-o", "some where", "-j", "1")
    assert outcome.code == 2, "a name with a space is refused for every cell at once"
    outcome = cnntrain("sweep", sweep, "--print-commands", "-o", "some where", "-j", "1")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert len(lines) == 4
    words = shlex.split(lines[3])
    words = words[words.index("fit") - 1 :]  # before it stands what starts this very program
    assert words[-5:] == ["--run-dir", "some where/lr=0.2,seed=1", "--resume-or-start", "--threads", "1"]
    assert not list(desk.iterdir())
    assert main([*words[1:], "-q"]) == 0
    assert (desk / "some where/lr=0.2,seed=1/checkpoints/last.npz").exists()


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_runs_that_were_begun_with_other_settings_are_told_before_anything_is_trained(cnntrain, sweep, desk, flags):
    line = next(
        line for line in cnntrain("sweep", sweep, "--print-commands").out.splitlines() if "lr=0.2,seed=1" in line
    )
    words = shlex.split(line)
    assert main([*words[words.index("fit") :], "-q"]) == 0
    sweep.write_text(SWEEP.replace("schedule: constant", "schedule: constant, optimizer.momentum: 0.5"))
    outcome = cnntrain("sweep", sweep, *flags)
    assert outcome.code == 2
    assert outcome.out == ""
    place, _, message = outcome.err.splitlines()[0].partition(" ")
    assert place.startswith(f"{sweep}:2:")
    assert message == (
        "optimizer.momentum was 0.9 when runs/small/lr=0.2,seed=1 was started and is 0.5 now: choose another folder "
        "(-o FOLDER) or name, remove runs/small, or undo the change"
    )
    sweep.write_text(SWEEP.replace("train.steps: 3", "train.steps: 4"))  # a run may become longer
    assert cnntrain("sweep", sweep, *flags).code == 0


def test_a_refused_run_does_not_show_what_lies_in_its_directory():
    one = Standing(cast(Cell, SimpleNamespace(name="a")), Path("a"), [], code=2)
    one.status = {"epoch": 3, "best": {"metric": "val/loss", "value": 0.5}}
    assert _row(one)[1:5] == ["2", "wrong config", "-", "-"]


def test_dry_run_lists_the_runs_with_the_time_they_will_take(cnntrain, sweep, desk):
    outcome = cnntrain("sweep", sweep, "--dry-run", "-j", "1", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    document = json.loads(outcome.out)
    assert [cell["name"] for cell in document["cells"]] == [
        *("lr=0.1,seed=0", "lr=0.1,seed=1", "lr=0.2,seed=0", "lr=0.2,seed=1")
    ]
    assert document["cells"][2]["settings"] == {
        "train.steps": "3",
        "train.epochs": "null",
        "schedule": "constant",
        "optimizer.lr": "0.2",
        "seed": "0",
    }
    (seconds,) = {cell["seconds"] for cell in document["cells"]}
    assert seconds > 0
    assert document["seconds"] == pytest.approx(4 * seconds)
    shown = cnntrain("sweep", sweep, "-n", "-p", "2").out
    assert shown.splitlines()[0].split() == ["run", "time"]
    assert re.search(r"4 runs in runs/small, 2 at a time: about \d+ s altogether", shown)
    assert not list(desk.iterdir())


def test_two_answers_at_once_are_refused(cnntrain, sweep):
    assert cnntrain("sweep", sweep, "-n", "--print-commands").error == (
        "--dry-run and --print-commands are two answers. Choose one"
    )


def test_what_is_wrong_with_one_run_alone_is_told_with_its_name_and_the_others_are_trained(cnntrain, sweep):
    sweep.write_text(SWEEP.replace("0.2]", "0.1]").replace("seeds: 2", "list: [{model.layers.0.groups: 5}, {}]"))
    outcome = cnntrain("sweep", sweep, "-q")
    assert outcome.code == 2
    first = outcome.err.splitlines()[0]
    assert first.startswith("groups=5,lr=0.1: ")
    assert f"/{sweep.name}:4:" in first
    rows = [line.split() for line in outcome.out.splitlines()[2:]]
    assert [row[:3] for row in rows] == [["groups=5,lr=0.1", "2", "wrong"], ["lr=0.1", "0", "finished"]]


FOLDS = """\
config: full.yaml
set:
  {train.steps: 2, train.epochs: null, schedule: constant, data.val: null,
   data.source: {type: k_fold, folds: 3, source: {type: synthetic, size: 8, classes: 3, samples: 60}}}
grid: {optimizer: [{type: sgd, lr: 0.1}, {type: adam, lr: 0.01}], data.source.fold: [0, 1, 2]}
"""


def test_folds_and_seeds_end_in_mean_and_deviation(cnntrain, sweep, desk):
    sweep.write_text(FOLDS)
    document = json.loads(cnntrain("sweep", sweep, "-q", "--json").out)
    accuracies: dict[str, list[float]] = {"sgd": [], "adam": []}
    for cell in document["cells"]:
        accuracies["adam" if "adam" in cell["name"] else "sgd"].append(cell["best"]["value"])
    assert {group["config"]["optimizer.type"]: group["best"] for group in document["groups"]} == {
        name: {"metric": "val/accuracy"} | spread(values) for name, values in accuracies.items()
    }
    shown = cnntrain("sweep", sweep, "-q").out.split("\n\n")
    assert len(shown) == 2
    for line, (name, values) in zip(shown[1].splitlines()[2:], accuracies.items(), strict=True):
        assert line.startswith(f"type {name}, lr 0.")
        assert f"   3     {statistics.mean(values):.4f} ±{statistics.stdev(values):.4f}" in line


def test_cross_validation_as_the_page_of_configs_has_it(cnntrain, desk):
    repository = Path(__file__).parents[2]
    page = (repository / "configs/README.md").read_text(encoding="utf-8")
    recipe = " ".join(page.partition("For cross-validation, ")[2].partition(".\n")[0].split())
    val, source, fold = (text for text in re.findall(r"`(\S+: [^`]+|\{[^`]+)`", recipe))
    digits = f"{{type: idx, root: {repository}/data/mnist-mini, shape: [28, 28], classes: 10}}"
    sets = f"{{train.steps: 1, train.epochs: null, schedule: constant, {val}, data.source: {source}}}"
    text = f"config: {repository}/configs/quickstart.yaml\nset: {sets}\ngrid: {{{fold}}}\n"
    write(desk, text.replace("source: ...", f"source: {digits}"), "folds.yaml")
    assert cnntrain("sweep", "folds.yaml", "-q", "-o", "runs").code == 0
    samples = [json.loads(path.read_text())["samples"] for path in sorted(desk.glob("runs/*/data.json"))]
    assert samples == [{"train": 4800, "val": 1200}] * 5


def test_the_table_at_the_end_names_the_metric_where_it_is_one():
    def standing(code, **status):
        cell = SimpleNamespace(name="lr=0.1")
        return Standing(cast(Cell, cell), Path("lr=0.1"), [], code=code, since=1.0, seconds=61.0, status=status)

    best = {"best": {"metric": "val/accuracy", "value": 0.5}, "epoch": 3}
    assert _head([standing(0, **best), standing(6)])[4] == "best val/accuracy"
    assert _head([standing(0, **best), standing(0, best={"metric": "val/loss"})])[4] == "best"
    assert _head([standing(None)])[4] == "best"
    assert _row(standing(0, **best)) == ["lr=0.1", "0", "finished", "3", "0.5000", "61 s"]
    assert _row(standing(6, best="?")) == ["lr=0.1", "6", "diverged", "-", "-", "61 s"]
    assert _row(Standing(cast(Cell, SimpleNamespace(name="b")), Path("b"), []))[1:] == ["-", "waiting", "-", "-", "-"]


@pytest.mark.parametrize("hopeless", [False, True])
def test_a_search_says_what_it_found_or_that_there_is_nothing(hopeless):
    trial = None if hopeless else SimpleNamespace(number=0, value=0.25)
    cell = SimpleNamespace(cell=SimpleNamespace(name="0000,lr=0.1"))
    search = SimpleNamespace(hopeless=hopeless, best=trial, metric="val/loss", standings=[cell])
    said: list[str] = []
    _tell_answer(cast(SearchQueue, search), Path("runs/a b"), cast(Any, SimpleNamespace(say=said.append)))
    assert said == (
        ["the search was ended: no trial could be trained"]
        if hopeless
        else [
            "best val/loss: 0.25, 0000,lr=0.1; config: runs/a b/best.yaml",
            "next: cnntrain report 'runs/a b'",
        ]
    )


def test_without_a_working_directory_it_says_so_once(tmp_path, monkeypatch, capsys):
    write(tmp_path)
    (tmp_path / "sweep.yaml").write_text("config: full.yaml\nseeds: 2\n")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["sweep", str(tmp_path / "sweep.yaml"), "-o", str(tmp_path / "out"), "-q"]) == 5
    assert capsys.readouterr().err.count("the working directory has been removed") == 1
    assert not (tmp_path / "out").exists()
