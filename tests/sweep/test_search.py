"""A search: what it decides, that nothing is asked for twice or lost, and what it answers."""

from __future__ import annotations

import importlib.util
import json
import math
import random
import re
import signal
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from cnntrain.cli import main
from cnntrain.config.dump import plain as plain_of
from cnntrain.config.dump import to_yaml
from cnntrain.config.load import load, load_plain
from cnntrain.core.append_log import AppendLog
from cnntrain.core.errors import ConfigError, MissingExtraError, RunDirectoryError, StorageError
from cnntrain.core.extras import install
from cnntrain.results.report import page_of
from cnntrain.rundir import checkpoint
from cnntrain.sweep.answer import write_answer
from cnntrain.sweep.cells import Sweep, read_sweep
from cnntrain.sweep.executor import Ended
from cnntrain.sweep.scheduler import train
from cnntrain.sweep.search import SearchQueue, _first, searching
from cnntrain.sweep.standing import Standing, read_status
from cnntrain.training.changes import CHANGED
from cnntrain.training.interrupts import Interrupts
from tests.support.experiments import FULL, call, evidence, run, start, write
from tests.sweep.test_processes import kill_everything, needs_proc

SEED = random.randrange(10**6)
TEXT = """\
config: full.yaml
set: {train.epochs: 9}
search:
  count: COUNT
  sampler: SAMPLER
  keys:
    optimizer.lr: {low: 1e-4, high: 1, log: true}
    optimizer.momentum: {low: 0, high: 0.99}
    model.layers.0.filters: {low: 2, high: 8, integer: true}
    train.batch_size: [8, 10, 16]
  prune: {first: 1ep, keep: 1/3}
"""
WITHOUT = importlib.util.find_spec("optuna") is None
needs_optuna = pytest.mark.skipif(WITHOUT, reason="comes with the extra `search`")
SAMPLERS = ["random", pytest.param("tpe", marks=needs_optuna)]


def plan(folder: Path, sampler: str = "random", count: int = 27, text: str = TEXT) -> Sweep:
    write(folder)
    (folder / "sweep.yaml").write_text(text.replace("SAMPLER", sampler).replace("COUNT", str(count)))
    return read_sweep(folder / "sweep.yaml")


class Pretended:
    """An executor that trains nothing: what a run comes to is a function of its settings and epochs."""

    def __init__(self, most: int = 1, diverges: float = math.inf, until: int | None = None) -> None:
        self.running: Collection[Standing] = []
        self.most, self.diverges, self.until = most, diverges, until
        self.begun: list[str] = []

    @property
    def free(self) -> int:
        return self.most - len(self.running) if self.until is None or len(self.begun) < self.until else 0

    def begin(self, standing: Standing, waiting: int) -> bool:
        assert waiting > 0
        self.begun.append(standing.cell.name)
        self.running = [*self.running, standing]
        return True

    def look(self) -> list[Ended]:
        if self.until is not None and len(self.begun) >= self.until:
            raise KeyboardInterrupt
        standing, *self.running = self.running
        settings = dict(standing.cell.settings)
        lr, epochs = float(settings["optimizer.lr"]), 9
        if "--pause-at" in standing.words:
            epochs = int(standing.words[standing.words.index("--pause-at") + 1].removesuffix("ep"))
        if lr > self.diverges:
            return [Ended(standing, 6, "")]
        standing.run_dir.mkdir(parents=True, exist_ok=True)
        loss = abs(math.log10(lr) + 1.5) + float(settings["optimizer.momentum"]) + 1 / epochs
        best = {"metric": "val/accuracy", "value": 1 - loss / 10, "step": 0, "epoch": epochs}
        status = {"state": "finished" if epochs == 9 else "interrupted", "epoch": epochs, "best": best}
        (standing.run_dir / "status.json").write_text(json.dumps(status))
        return [Ended(standing, 0 if epochs == 9 else 75, "")]

    def send(self, number: signal.Signals) -> None:
        raise AssertionError(number)

    def close(self) -> None:
        pass


def searched(sweep: Sweep, folder: Path, executor: Pretended) -> SearchQueue:
    folder.mkdir(exist_ok=True)
    with searching(sweep, folder) as queue:
        train(queue, executor, Interrupts(), lambda *_: None)
        return queue


def journal(folder: Path) -> list[str]:
    return (folder / "search.jsonl").read_text().splitlines()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_halving_trains_the_best_for_longer_and_the_best_of_all_to_the_end(tmp_path, sampler):
    queue = searched(plan(tmp_path, sampler), tmp_path / "out", Pretended())
    assert len(queue.trials) == 27
    assert (queue.metric, queue.larger) == ("val/accuracy", True), "found from checkpoint.best and the metric"
    reached = {rung: [one for one in queue.trials if rung in one.values] for rung in (1, 3, None)}
    assert len(reached[1]) == 27
    learns = sampler != "random"  # and its later trials are among the best so far, in some versions nearly all
    assert 9 <= len(reached[3]) <= (27 if learns else 15), "asynchronous: early ones are promoted among few"
    assert 3 <= len(reached[None]) <= (27 if learns else 6)
    top = sorted(queue.trials, key=lambda one: -one.values[1])[:9]
    assert all(3 in one.values for one in top), "one in three of those on a rung has earned the next"
    assert queue.best in reached[None]
    assert queue.exit_code == 0


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_killed_after_any_decision_it_goes_on_to_the_same_trials(tmp_path, sampler):
    sweep = plan(tmp_path, sampler, 9)
    searched(sweep, tmp_path / "straight", Pretended())
    whole = journal(tmp_path / "straight")
    for kept in range(0, len(whole), 3 if sampler == "tpe" else 1):
        folder = tmp_path / f"killed-{kept}"
        folder.mkdir()
        torn = whole[kept][: kept % 7]  # a line that was being written
        (folder / "search.jsonl").write_text("".join(f"{line}\n" for line in whole[:kept]) + torn)
        searched(sweep, folder, Pretended())
        assert journal(folder) == whole
    again = Pretended()
    searched(sweep, tmp_path / "straight", again)
    assert (again.begun, journal(tmp_path / "straight")) == ([], whole), "done, it begins nothing"


@needs_optuna
@pytest.mark.parametrize(
    ("rule", "name", "arguments"),
    [
        ("pruner: median, first: 1ep", "MedianPruner", ()),
        ("pruner: percentile, keep: 1/4, first: 2ep, every: 3ep", "PercentilePruner", (25.0,)),
        ("pruner: hyperband, first: 1ep, keep: 1/3", "HyperbandPruner", (1, 9, 3)),
    ],
)
def test_optunas_pruners_decide_as_they_do_in_optuna(tmp_path, rule, name, arguments):
    import optuna

    sweep = plan(tmp_path, text=TEXT.replace("first: 1ep, keep: 1/3", rule))
    queue = searched(sweep, tmp_path / "straight", Pretended())
    pruner = getattr(optuna.pruners, name)(*arguments)
    study = optuna.create_study(study_name="search", direction="maximize", pruner=pruner)
    for trial in queue.trials:
        asked = study.ask()
        for epochs in sweep.search.prune.rungs(9):
            asked.report(trial.values[epochs], epochs)
            if asked.should_prune():
                assert (trial.until, trial.finished) == (epochs, False)
                break
        else:
            study.tell(asked, trial.values[None])
    assert 5 <= sum(trial.finished for trial in queue.trials) <= 18
    assert queue.best is not None
    whole = journal(tmp_path / "straight")
    for kept in range(7, len(whole), 23):
        folder = tmp_path / f"killed-{kept}"
        folder.mkdir()
        (folder / "search.jsonl").write_text("".join(f"{line}\n" for line in whole[:kept]))
        searched(sweep, folder, Pretended())
        assert journal(folder) == whole


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_several_at_once_ask_for_no_trial_twice(tmp_path, sampler):
    sweep = plan(tmp_path, sampler, 12)
    for until in (3, 7, 12):
        with pytest.raises(KeyboardInterrupt):
            searched(sweep, tmp_path / "out", Pretended(4, until=until))
    queue = searched(sweep, tmp_path / "out", Pretended(4))
    asked = [json.loads(line)["trial"] for line in journal(tmp_path / "out") if '"ask"' in line]
    assert asked == [*range(12)]
    assert all(trial.told for trial in queue.trials)
    assert len({tuple(trial.texts.items()) for trial in queue.trials}) == 12


def test_more_trials_are_added_where_count_has_grown_but_other_rules_are_refused(tmp_path):
    searched(plan(tmp_path, count=4), tmp_path / "out", Pretended())
    before = journal(tmp_path / "out")
    queue = searched(plan(tmp_path, count=6), tmp_path / "out", Pretended())
    assert journal(tmp_path / "out")[: len(before)] == before
    assert len(queue.trials) == 6
    with pytest.raises(RunDirectoryError, match=r"a search with other rules than the file has now \(keys\)"):
        searched(plan(tmp_path, text=TEXT.replace("0.99", "0.9")), tmp_path / "out", Pretended())
    path = tmp_path / "out/search.jsonl"
    for row in (
        '{"event":"tell","trial":7,"epochs":1,"value":1}',
        '{"event":"ask","trial":0}',
        '{"event":"ask"}',
        "{}",
    ):
        path.write_text("\n".join([before[0], row, ""]))
        with pytest.raises(StorageError, match=r"search.jsonl:2 is damaged, or of another sweep file"):
            searched(plan(tmp_path), tmp_path / "out", Pretended())
    path.write_text("\n".join([*before[:2], '{"event":"demote","trial":0,"epochs":1}', ""]))
    with pytest.raises(StorageError, match=r"search.jsonl:3 is damaged, or of another sweep file: 'demote'"):
        searched(plan(tmp_path), tmp_path / "out", Pretended())


RULES = {
    "prune": {
        "{first: 1ep, keep: 1/3}": ["1ep", "1/3"],
        "{first: 2ep, keep: 1/3}": ["2ep", "1/3"],
        "{first: 1ep, keep: 1/4}": ["1ep", "1/4"],
        "{first: 1ep, pruner: hyperband}": ["hyperband", "1ep", "1/3", "1ep"],
        "{first: 1ep, pruner: median}": ["median", "1ep", "1/2", "1ep"],
        "{first: 1ep, pruner: median, every: 2ep}": ["median", "1ep", "1/2", "2ep"],
    },
    "keys": {
        "{low: 0, high: 0.99}": {"low": 0.0, "high": 0.99, "log": False, "integer": False},
        "{low: 0.1, high: 0.99}": {"low": 0.1, "high": 0.99, "log": False, "integer": False},
        "[0, .5]": ["0", ".5"],
    },
    "set": {"{train.epochs: 9}": {"train.epochs": "9"}, "{train.epochs: 12}": {"train.epochs": "12"}},
    "sampler": {"sampler: random": "random"},
    "seed": {"sampler: random": 0, "seed: 3\n  sampler: random": 3},
}


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        pytest.param(rule, text, marks=needs_optuna if "pruner" in text else ())
        for rule, texts in RULES.items()
        for text in texts
    ],
)
def test_the_rules_of_a_journal_are_those_of_its_first_version(tmp_path, rule, text):
    """So that a search that an earlier version began goes on, and any other rule is told from it."""
    first, expected = next(iter(RULES[rule])), RULES[rule][text]
    whole = TEXT.replace("SAMPLER", "random")
    assert whole.count(first) == 1
    (tmp_path / "out").mkdir()
    with searching(plan(tmp_path, text=whole.replace(first, text)), tmp_path / "out"):
        (line,) = journal(tmp_path / "out")
    found = json.loads(line)
    assert (found["keys"]["optimizer.momentum"] if rule == "keys" else found[rule]) == expected
    assert [*found] == ["event", "metric", "larger", "sampler", "seed", "prune", "keys", "set", "sets", "config"]
    assert [*found["keys"]] == ["optimizer.lr", "optimizer.momentum", "model.layers.0.filters", "train.batch_size"]
    assert load_plain(found["config"], "").experiment.train.epochs == int(found["set"]["train.epochs"])
    if text != first:
        with pytest.raises(RunDirectoryError, match=rf"other rules than the file has now \({rule}\)"):
            searched(plan(tmp_path, text=whole), tmp_path / "out", Pretended())


def test_what_diverges_is_a_result_and_what_always_fails_ends_the_search(tmp_path):
    queue = searched(plan(tmp_path), tmp_path / "some", Pretended(diverges=0.01))
    assert 0 < sum(trial.failed == 6 for trial in queue.trials) < 27
    assert (queue.exit_code, queue.hopeless) == (0, False)
    queue = searched(plan(tmp_path), tmp_path / "all", Pretended(diverges=0))
    assert (len(queue.trials), queue.exit_code, queue.hopeless) == (3, 6, True)


def test_values_that_cannot_stand_together_are_a_trial_that_failed(tmp_path):
    text = TEXT.replace("{low: 0, high: 0.99}", "[0, 0.9]\n    optimizer.nesterov: [false, true]")
    queue = searched(plan(tmp_path, text=text, count=8), tmp_path / "out", Pretended())
    failed = [trial.texts for trial in queue.trials if trial.failed]
    assert failed
    assert all((one["optimizer.momentum"], one["optimizer.nesterov"]) == ("0", "true") for one in failed)
    assert len(queue.trials) == 8
    assert queue.exit_code == 0
    again = Pretended()
    searched(plan(tmp_path, text=text, count=8), tmp_path / "out", again)
    assert again.begun == []


class Scripted(Pretended):
    """Runs that come to what is said of them, in the order in which they are begun: an exit code and a value."""

    def __init__(self, *turns: tuple[int, float]) -> None:
        super().__init__()
        self.turns = [*turns]

    def look(self) -> list[Ended]:
        standing, *self.running = self.running
        code, value = self.turns.pop(0) if self.turns else (0, 0.0)
        standing.run_dir.mkdir(parents=True, exist_ok=True)
        best = {"metric": "val/accuracy", "value": value}
        (standing.run_dir / "status.json").write_text(json.dumps({"best": best}))
        return [Ended(standing, code, "")]


def test_a_search_whose_config_has_changed_is_refused_and_one_that_is_saved_or_named_otherwise_goes_on(tmp_path):
    out = tmp_path / "out"
    searched(plan(tmp_path, count=4), out, Pretended())
    whole = journal(out)
    for before, after, key in (
        ("weight_decay: 1e-3", "weight_decay: 2e-3", "optimizer.weight_decay"),
        ("patience: 50", "patience: 40", "train.early_stopping.patience"),
    ):
        sweep = plan(tmp_path, count=6)
        write(tmp_path, FULL.replace(before, after))
        sweep = read_sweep(tmp_path / "sweep.yaml")
        with pytest.raises(RunDirectoryError, match=rf"other rules than the file has now \(config: {key}\)\. Choose"):
            searched(sweep, out, Pretended())
        assert journal(out) == whole
    first = json.loads(whole[0])
    (tmp_path / "older").mkdir()
    (tmp_path / "older/search.jsonl").write_text(json.dumps({k: first[k] for k in first if k != "config"}) + "\n")
    searched(sweep, tmp_path / "older", Pretended())  # of a version that did not write it
    write(tmp_path, FULL.replace("every: 2st", "every: 3st").replace("name: full", "name: other"))
    assert len(searched(read_sweep(tmp_path / "sweep.yaml"), out, Pretended()).trials) == 6
    (out / "search.jsonl").write_text(json.dumps(first | {"config": {"nodel": 1}}) + "\n")
    with pytest.raises(StorageError, match=r"search.jsonl:1 is damaged: .*unknown key 'nodel'"):
        searched(sweep, out, Pretended())


def test_a_search_of_an_earlier_version_is_told_by_the_runs_that_are_there(tmp_path):
    """Its journal has no config, and its trials would be mixed with others."""
    out = tmp_path / "out"
    queue = searched(plan(tmp_path, count=2), out, Pretended())
    first, *rest = journal(out)
    without = {key: value for key, value in json.loads(first).items() if key != "config"}
    (out / "search.jsonl").write_text("\n".join([json.dumps(without), *rest, ""]))
    trial = queue.standings[1]
    (trial.run_dir / "checkpoints").mkdir(parents=True)
    checkpoint.save(trial.run_dir / "checkpoints/last.npz", {"config": plain_of(trial.cell.loaded.experiment)}, {})
    assert len(searched(plan(tmp_path, count=3), out, Pretended()).trials) == 3
    plan(tmp_path, count=4)
    write(tmp_path, FULL.replace("patience: 50", "patience: 40"))
    said = rf"{trial.cell.name} was begun with other settings .*\(train.early_stopping.patience: 50 -> 40\)"
    with pytest.raises(RunDirectoryError, match=said):
        searched(read_sweep(tmp_path / "sweep.yaml"), out, Pretended())


class Refused(Pretended):
    """Runs that end with exit code 2, and why."""

    def __init__(self, said: str = "", step: int | None = None) -> None:
        super().__init__()
        self.said, self.step = said, step

    def look(self) -> list[Ended]:
        standing, *self.running = self.running
        standing.run_dir.mkdir(parents=True, exist_ok=True)
        (standing.run_dir / "status.json").write_text(json.dumps({} if self.step is None else {"step": self.step}))
        return [Ended(standing, 2, self.said)]


@pytest.mark.parametrize(
    ("said", "step", "of_values"),
    [("a kernel is too large", None, True), (f"{CHANGED} (full.yaml)", None, False), ("lr was 1", 8, False)],
    ids=["cannot be built", "the config was edited or moved meanwhile", "it had begun by another"],
)
def test_a_config_that_changed_is_no_failure_of_the_values(tmp_path, said, step, of_values):
    sweep = plan(tmp_path, count=1)
    queue = searched(sweep, tmp_path / "out", Refused(said, step))
    assert queue.exit_code == 2
    assert [trial.failed for trial in queue.trials] == [2 if of_values else None]
    again = Pretended()
    assert searched(sweep, tmp_path / "out", again).exit_code == (2 if of_values else 0)
    assert bool(again.begun) == (not of_values), "once the config is back, the trial is trained"


def test_the_best_config_is_that_by_which_its_run_was_trained(tmp_path):
    queue = searched(plan(tmp_path, count=3), tmp_path / "out", Pretended())
    trained = load([tmp_path / "full.yaml"], ["optimizer.weight_decay=0.5"]).experiment
    assert queue.best is not None
    write(queue.standings[queue.best.number].run_dir, to_yaml(plain_of(trained)), "config.resolved.yaml")
    write_answer(queue, tmp_path / "out")
    assert load([tmp_path / "out/best.yaml"]).experiment == trained


def test_a_trial_without_a_value_on_a_rung_goes_on_to_the_next(tmp_path):
    """As where the metric is that of averaged weights, of which there are none before half of the training is over."""

    class FromThree(Pretended):
        def look(self):
            (ended,) = super().look()
            status = read_status(ended.standing.run_dir)
            if status["epoch"] < 3:
                status["best"]["value"] = None
            (ended.standing.run_dir / "status.json").write_text(json.dumps(status))
            return [ended]

    sweep = plan(tmp_path, count=9)
    queue = searched(sweep, tmp_path / "out", FromThree())
    assert (queue.exit_code, len(queue.trials)) == (0, 9)
    assert all(3 in trial.values and 1 not in trial.values for trial in queue.trials)
    assert 1 <= sum(trial.finished for trial in queue.trials) <= 5
    whole = journal(tmp_path / "out")
    for kept in range(1, len(whole), 4):
        folder = tmp_path / f"killed-{kept}"
        folder.mkdir()
        (folder / "search.jsonl").write_text("".join(f"{line}\n" for line in whole[:kept]))
        searched(sweep, folder, FromThree())
        assert journal(folder) == whole


def test_a_run_that_ends_before_its_rung_is_finished(tmp_path):
    queue = searched(plan(tmp_path, count=1), tmp_path / "out", Scripted((0, 0.5)))
    assert [(one.until, one.values) for one in queue.trials] == [(None, {None: 0.5})]
    assert (queue.best, queue.exit_code) == (queue.trials[0], 0)


def test_those_that_failed_on_a_rung_are_among_those_that_one_is_the_best_of(tmp_path):
    executor = Scripted((6, 0.0), (6, 0.0), (75, 0.5))
    searched(plan(tmp_path, count=4), tmp_path / "out", executor)
    first, second, third, fourth, *_ = executor.begun
    assert len({first, second, third}) == 3
    assert fourth == third, "the best one in three is promoted before another is begun"


def test_the_highest_rung_with_one_that_has_earned_more_comes_first(tmp_path):
    sweep, folder = plan(tmp_path), tmp_path / "out"
    folder.mkdir()
    with searching(sweep, folder):
        pass
    rows = [{"event": "ask", "trial": n, "values": _first(sweep), "epochs": 1} for n in range(12)]
    rows += [{"event": "tell", "trial": n, "epochs": 1, "value": n / 100} for n in range(12)]
    for n in (9, 10, 11):
        rows += [
            {"event": "promote", "trial": n, "epochs": 3},
            {"event": "tell", "trial": n, "epochs": 3, "value": n / 50},
        ]
    with (folder / "search.jsonl").open("a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    with searching(sweep, folder) as queue:
        begun = [queue.standings.index(queue.next()) for _ in range(3)]
        assert [(n, queue.trials[n].until) for n in begun] == [(11, None), (8, 3), (12, 1)]


def test_a_decision_is_on_the_disk_before_it_is_acted_upon(tmp_path, monkeypatch):
    original, durable = AppendLog.sync, []

    def sync(self):
        original(self)
        durable.append(self.length)

    class Watching(Pretended):
        def begin(self, standing, waiting):
            assert durable[-1] == (tmp_path / "out/search.jsonl").stat().st_size
            return super().begin(standing, waiting)

    monkeypatch.setattr(AppendLog, "sync", sync)
    queue = searched(plan(tmp_path, count=4), tmp_path / "out", Watching())
    assert len(durable) == len(journal(tmp_path / "out")) > len(queue.trials)


def test_where_none_was_promoted_the_best_is_trained_to_the_end(tmp_path):
    queue = searched(plan(tmp_path, count=2), tmp_path / "out", Pretended())
    assert [trial.finished for trial in queue.trials].count(True) == 1
    assert queue.best is max(queue.trials, key=lambda one: one.values[1])


@needs_optuna
def test_tpe_finds_better_values_than_chance(tmp_path):
    found: dict[str, list[float]] = {"random": [], "tpe": []}
    for sampler, values in found.items():
        for seed in range(4):
            text = TEXT.replace("  sampler", f"  seed: {seed}\n  sampler")
            folder = tmp_path / f"{sampler}{seed}"
            best = searched(plan(tmp_path, sampler, 40, text), folder, Pretended()).best
            assert best is not None
            values.append(best.value or 0.0)
    assert sum(found["tpe"]) > sum(found["random"]), found


@needs_optuna
def test_the_answer_is_a_config_ready_to_fit_a_report_and_a_study(tmp_path, capfd):
    import optuna
    from optuna.storages.journal import JournalFileBackend

    queue = searched(plan(tmp_path, "tpe", 12), tmp_path / "out", Pretended())
    document = write_answer(queue, tmp_path / "out")
    assert capfd.readouterr().err == "", "Optuna has nothing to say to the user of a search"
    best = queue.best
    assert best is not None
    assert load([tmp_path / "out/best.yaml"]).experiment == queue.standings[best.number].cell.loaded.experiment
    assert set(document["importances"]) == {key.text for key, _ in queue.sweep.choices}
    assert max(document["importances"], key=document["importances"].get) in ("optimizer.lr", "optimizer.momentum")
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(tmp_path / "out/optuna.journal")))
    study = optuna.load_study(study_name="sweep", storage=storage)
    assert len(study.trials) == 12
    assert study.best_trial.number == best.number
    assert study.best_value == best.value


def test_the_report_shows_the_search(tmp_path, capsys):
    text = TEXT.replace("epochs: 9", "epochs: 2")
    plan(tmp_path, count=4, text=text)
    assert main(["sweep", str(tmp_path / "sweep.yaml"), "-o", str(tmp_path / "out"), "--json", "-q", "-p", "2"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["search"]["best"] in range(4)
    assert {cell["state"] for cell in document["cells"]} == {"finished", "paused"}
    page = page_of([tmp_path / "out"])
    for said in ("Search sweep", "optimizer.momentum", "paused"):
        assert said in page
    (tmp_path / "out/search.json").write_text('{"trials": []}')
    with pytest.raises(StorageError, match=r"search.json is damaged"):
        page_of([tmp_path / "out"])


def test_a_paused_trial_that_was_resumed_by_hand_counts_with_its_result(tmp_path, capsys):
    """And one that was resumed with other settings stands as it did, in every figure."""
    plan(tmp_path, count=4, text=TEXT.replace("epochs: 9", "epochs: 3"))
    words = ["sweep", str(tmp_path / "sweep.yaml"), "-o", str(tmp_path / "out"), "--json", "-q", "-p", "2"]

    def asked():
        assert main(words) == 0
        document = json.loads(capsys.readouterr().out)
        trials = {trial["run"]: trial for trial in document["search"]["trials"]}
        return {cell["name"]: (cell, trials[cell["name"]]) for cell in document["cells"]}, document["search"]

    before, _ = asked()
    first, other, *_ = [name for name, (cell, _) in before.items() if cell["state"] == "paused"]
    run(None, tmp_path / "out" / first, resume=True)
    run(None, tmp_path / "out" / other, ("train.epochs=4",), resume=True)
    now, search = asked()
    cell, trial = now[other]
    assert trial == before[other][1]
    assert (cell["exit_code"], cell["epoch"], cell["best"]["value"]) == (75, 1, trial["value"])
    cell, trial = now[first]
    status = read_status(tmp_path / "out" / first)
    assert (cell["exit_code"], cell["state"], trial["epoch"]) == (0, "finished", 3)
    assert trial["value"] == cell["best"]["value"] == status["best"]["value"]
    finished = [trial for cell, trial in now.values() if cell["state"] == "finished"]
    assert search["best"] == max(finished, key=lambda one: (one["value"], -one["number"]))["number"]
    rows = len(journal(tmp_path / "out"))
    assert asked() == (now, search)
    assert len(journal(tmp_path / "out")) == rows, "it is told once"


def test_a_trial_that_was_resumed_by_hand_beyond_its_rung_is_compared_by_what_it_was_there(tmp_path, capsys):
    """It is sent to the second of its rungs, and has been on the third."""
    sweep = plan(tmp_path, count=4)
    values = [0.5, 0.7, 0.6, 0.9, None]
    (tmp_path / "out").mkdir()
    with searching(sweep, tmp_path / "out") as queue:
        standing = queue.next()
        assert standing is not None
        trial = queue.trials[0]
        trial.until = 3
        standing.run_dir.mkdir()
        rows = [{"event": "eval", "step": 6 * n, "epoch": n, queue.metric: value} for n, value in enumerate(values, 1)]
        lines = [{"event": "start", "schema": "metrics/2"}, *rows]
        (standing.run_dir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
        standing.code = 75
        standing.status = {"epoch": 5, "best": {"metric": queue.metric, "value": 0.9}}
        queue.ended(standing)
        assert trial.values == {3: 0.7}
        assert standing.status == {"epoch": 3, "best": {"metric": queue.metric, "value": 0.7}}
    assert json.loads(journal(tmp_path / "out")[-1]) == {"event": "tell", "trial": 0, "epochs": 3, "value": 0.7}


@needs_proc
def test_killed_with_all_its_processes_and_run_again_it_comes_to_the_same(tmp_path):
    text = TEXT.replace("epochs: 9", "epochs: 3")
    plan(tmp_path, count=4, text=text)
    process = start("sweep", "sweep.yaml", "-p", "1", cwd=tmp_path)
    path = tmp_path / "runs/sweep/search.jsonl"
    rng = random.Random(SEED)
    while not path.exists() or path.read_text().count("tell") < 2:
        time.sleep(0.02)
        assert process.poll() is None
    time.sleep(rng.uniform(0, 1.5))
    kill_everything(process)
    code, out, err = call("sweep", "sweep.yaml", "-p", "1", "--json", cwd=tmp_path)
    assert code == 0, err
    document = json.loads(out)
    killed = journal(tmp_path / "runs/sweep")
    code, _, err = call("sweep", "sweep.yaml", "-p", "1", "-o", "straight", "-q", cwd=tmp_path)
    assert code == 0, err
    assert journal(tmp_path / "straight") == killed, f"seed {SEED}"
    (best,) = (one for one in document["search"]["trials"] if one["number"] == document["search"]["best"])
    run(tmp_path / "runs/sweep/best.yaml", tmp_path / "alone")
    assert evidence(tmp_path / "alone") == evidence(tmp_path / "runs/sweep" / best["run"]), "pausing changed a bit"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("keep: 1/3", "keep: 0.3", "keep must be a share such as 1/3, got '0.3'"),
        ("first: 1ep", "first: 5st", "first must be whole epochs such as 2ep, got 5st"),
        ("keep: 1/3", "every: 1ep", "every is for median and percentile: halving judges on rungs, set by keep"),
        ("keep: 1/3", "keep: 1/3, pruner: median", "keep is for the other pruners: median keeps 1/2."),
        ("search:", "seeds: 2\nsearch:", "seeds and search both say what is run: keep one of the two"),
        ("optimizer.momentum", "optimizer.momentun", "unknown key 'momentun' of sgd; did you mean 'momentum'?"),
        ("high: 0.99", "high: 1.5", "momentum must be"),
        ("train.epochs: 9", "train.epochs: null, train.steps: 9", "search.prune counts in epochs"),
        ("first: 1ep", "first: 9ep", "search.prune.first is 9ep, and training ends after 9 epochs: no trial would"),
        (
            "  prune",
            "  monitor: val/acuracy\n  prune",
            "'val/acuracy' is not computed in this run; did you mean 'val/",
        ),
        (
            "train.batch_size: [8",
            "checkpoint.best.monitor: [val/loss, val/accuracy]\n  monitor: val/loss #",
            "checkpoint.best.monitor undoes checkpoint.best.monitor at line 10: keep one of the two",
        ),
        ("  prune", "  monitor: val/top5\n  prune", "'val/top5' is not computed in this run"),
        (
            "train.batch_size: [8",
            "checkpoint.best.monitor: [val/loss, val/loss, val/accuracy]\n    train.batch_size: [8",
            "checkpoint.best.monitor: trials would be judged by val/loss, of which the smallest is best, and others ",
        ),
        (
            "train.batch_size: [8",
            "checkpoint.best: [{}, {mode: max}]\n    train.batch_size: [8",
            "checkpoint.best: trials would be judged by val/loss, of which the smallest is best, and others by val",
        ),
        ("set: {", "set: {optimizer: sgd, ", ""),
    ],
)
def test_a_mistake_is_told_at_its_place(tmp_path, before, after, expected):
    assert before in TEXT
    if not expected:
        assert plan(tmp_path, text=TEXT.replace(before, after)).search
        return
    with pytest.raises(ConfigError) as raised:
        plan(tmp_path, text=TEXT.replace(before, after))
    assert raised.value.problems[0].message.startswith(expected)
    assert Path(raised.value.problems[0].where.file).name == "sweep.yaml"


AVERAGED = "{train.epochs: 9, checkpoint.best.monitor: null, train.average: {type: ema, decay: 0.9}}"


def test_a_search_is_judged_by_what_its_runs_judge_themselves_by(tmp_path, capsys):
    text = TEXT.replace("{train.epochs: 9}", AVERAGED.replace("9,", "2,", 1))
    plan(tmp_path, count=2, text=text.replace("train.batch_size: [8, 10, 16]", "train.average.decay: [0.5, 0.9]"))
    assert main(["sweep", str(tmp_path / "sweep.yaml"), "-o", str(tmp_path / "out"), "--json", "-q"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["search"]["metric"] == "val_average/loss"
    assert {cell["best"]["metric"] for cell in document["cells"]} == {"val_average/loss"}


def test_a_search_begun_when_the_metric_of_averaged_weights_had_another_name_goes_on(tmp_path):
    text = TEXT.replace("{train.epochs: 9}", AVERAGED)
    searched(plan(tmp_path, count=4, text=text), tmp_path / "out", Pretended())
    path = tmp_path / "out/search.jsonl"
    assert '"metric":"val_average/loss"' in path.read_text()
    path.write_text(path.read_text().replace('"metric":"val_average/loss"', '"metric":"val/loss"', 1))
    again = searched(plan(tmp_path, count=6, text=text), tmp_path / "out", Pretended())
    assert again.metric == "val_average/loss"


def test_values_that_change_the_metric_need_one_that_is_named(tmp_path):
    text = TEXT.replace(
        "{train.epochs: 9}", "{train.epochs: 9, train.early_stopping: null, checkpoint.best.monitor: null}"
    )
    for key, values in (("train.average", "[null, ema]"), ("data.val", "[0.2, null]")):
        varied = text.replace("train.batch_size: [8, 10, 16]", f"{key}: {values}")
        with pytest.raises(ConfigError, match=rf"sweep.yaml:10:5: {key}: trials would be judged by .+ Name one metric"):
            plan(tmp_path, text=varied)
        named = "val/loss" if key == "train.average" else "train/loss"
        sweep = plan(tmp_path, text=varied.replace("search:", f"search:\n  monitor: {named}"))
        assert sweep.trial(0, _first(sweep)).loaded.experiment.checkpoint.best.monitor == named


def test_a_value_of_another_metric_is_none(tmp_path):
    class OfAnother(Pretended):
        def look(self):
            ended = super().look()
            path = ended[0].standing.run_dir / "status.json"
            path.write_text(path.read_text().replace("val/accuracy", "val/loss"))
            return ended

    queue = searched(plan(tmp_path, count=4), tmp_path / "out", OfAnother())
    assert not any(trial.values for trial in queue.trials)
    assert queue.best is None


def test_what_a_run_says_of_the_metric_is_cited_from_the_sweep_file(tmp_path):
    sweep = plan(tmp_path, text=TEXT.replace("search:", "search:\n  monitor: val/loss"))
    cell = sweep.trial(0, _first(sweep))
    assert cell.located("--set:6:25: no").endswith("sweep.yaml:4:12: no")
    assert str(cell.loaded.where("checkpoint.best.monitor")).endswith("sweep.yaml:4:12")


def test_a_trial_whose_values_the_config_refuses_is_told_with_the_reason(tmp_path, capsys):
    text = TEXT.replace("{low: 0, high: 0.99}", "[0, 0.9]\n    optimizer.nesterov: [false, true]")
    sweep = plan(tmp_path, text=text, count=8)
    (tmp_path / "out").mkdir()
    told = []
    with searching(sweep, tmp_path / "out") as queue:
        train(queue, Pretended(), Interrupts(), lambda _, changed: told.append(changed) if changed else None)
    refused = [one for one in told if one.code == ConfigError.exit_code]
    assert refused == [one for one, trial in zip(queue.standings, queue.trials, strict=True) if trial.failed]
    assert refused
    assert all(re.search(r"sweep.yaml:\d+:\d+: .*nesterov", one.said) for one in refused)


@pytest.mark.parametrize(("sampler", "pruner"), [("tpe", "halving"), ("random", "median")])
def test_without_optuna_it_says_what_to_install(tmp_path, monkeypatch, sampler, pruner):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    what = pruner if sampler == "random" else sampler
    text = TEXT.replace("keep: 1/3", f"pruner: {pruner}")
    with (
        pytest.raises(MissingExtraError, match=f"{what} needs optuna. Install with: {re.escape(install('search'))}"),
        searching(plan(tmp_path, sampler, text=text), tmp_path),
    ):
        pass


def test_what_asks_for_the_trials_beforehand_is_refused(tmp_path, capsys):
    plan(tmp_path)
    for flags in (["--dry-run"], ["--print-commands"], ["--slurm", "x.sh"]):
        assert main(["sweep", str(tmp_path / "sweep.yaml"), *flags]) == 2
        assert f"and {flags[0]} needs them before. Leave it out" in capsys.readouterr().err
