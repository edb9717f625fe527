"""A search is a queue that makes up its cells: a sampler proposes values, and runs are paused and resumed.

Pruning is asynchronous successive halving (ASHA; Li et al. 2018, "A System for Massively Parallel Hyperparameter
Tuning", algorithm 2): a trial pauses at every rung, and a free worker resumes a paused one that is among the best
`keep` of its rung, on the highest rung that has one, or begins another trial. Where one of Optuna's pruners judges, a
trial goes on from where it paused unless it is pruned there. A paused run is a run like any other: `fit --resume`
finishes it.

Every decision is a line of search.jsonl, on disk before it is acted upon. So no kill loses a trial or asks for it
twice; and where one trial runs at a time, a repeated search makes the same trials.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnntrain.config.dump import plain
from cnntrain.config.load import load_plain
from cnntrain.core import strict_json
from cnntrain.core.append_log import AppendLog
from cnntrain.core.errors import (
    ConfigError,
    DivergedError,
    OutOfMemoryError,
    PausedError,
    RunDirectoryError,
    StorageError,
    first_line,
)
from cnntrain.data.manifest import Listings
from cnntrain.rundir.json_files import read_rows
from cnntrain.sweep.cells import Cell, Sweep
from cnntrain.sweep.judge import Judge
from cnntrain.sweep.sampler import SearchTrial, propose, require_optuna
from cnntrain.sweep.space import Pruning, Spread
from cnntrain.sweep.standing import Standing, require_comparable, rows_until
from cnntrain.sweep.value_text import to_text
from cnntrain.sweep.yardstick import Yardstick
from cnntrain.training.changes import CHANGED, decides, differing

JOURNAL = "search.jsonl"
_RESULTS = (ConfigError.exit_code, DivergedError.exit_code, OutOfMemoryError.exit_code)  # caused by values
_HOPELESS = 3  # this many trials without a value, and none with one, end a search


@contextmanager
def searching(sweep: Sweep, folder: Path) -> Iterator[SearchQueue]:
    """The queue of a search in its folder, continued if there is one. Raises RunDirectoryError, StorageError."""
    assert sweep.search is not None
    require_optuna(sweep.search)
    log = AppendLog(folder / JOURNAL)
    try:
        yield SearchQueue(sweep, folder, log)
    finally:
        log.close()


class SearchQueue:
    """What to train next: the rules, and all trials so far."""

    def __init__(self, sweep: Sweep, folder: Path, log: AppendLog) -> None:
        assert sweep.search is not None
        self.sweep, self.search, self._folder, self._log = sweep, sweep.search, folder, log
        self.trials: list[SearchTrial] = []
        self.standings: list[Standing] = []
        self._under_way: set[int] = set()
        self._put_off: dict[int, int] = {}  # trials that ended through no fault of theirs, until the search runs again
        self._example = example(sweep)
        experiment = self._example.loaded.experiment
        self._yardstick = Yardstick.of(experiment)
        self.metric, self.larger = self._yardstick.metric, self._yardstick.larger
        self._judge: Judge | None = None
        if self.search.prune and self.search.prune.pruner != "halving":
            self._judge = Judge(self.search.prune, experiment.train.epochs or 1, self.larger)
        self._replay(read_rows(log.path))

    # -- the queue ---------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many trials are still to be asked for."""
        return max(self.search.count - len(self.trials), 0)

    def next(self) -> Standing | None:
        """A trial that was left over, else the best paused one that has earned more training, else a new one.

        One whose values the config refuses has its exit code already, and is not to be begun.
        """
        trial = next(self._left(), None)
        if trial is None and not self.hopeless:
            trial = self._promoted() or self._asked() or self._best_paused()
        if trial is None:
            return None
        standing = self.standings[trial.number]
        if trial.failed is not None:
            return standing
        self._under_way.add(trial.number)
        standing.code, standing.since, standing.said, standing.kept = None, None, "", False
        standing.words = self._words(standing.cell, trial)
        return standing

    def ended(self, standing: Standing) -> None:
        """Take note of how a trial ended."""
        trial = next(one for one, its in zip(self.trials, self.standings, strict=True) if its is standing)
        self._under_way.discard(trial.number)
        code = standing.code
        value = self._value(trial, standing)
        if code in (0, PausedError.exit_code) and value is not None:
            if code == 0:
                trial.until = None  # it may have ended early
            self._write({"event": "tell", "trial": trial.number, "epochs": trial.until, "value": value})
            self._note(trial, value)
            if trial.until is not None:
                self._show_as_told(trial, standing)
        elif code == PausedError.exit_code and trial.until is not None:
            self._promote(trial)  # to where the metric may have a value, as averaged weights have one from some step on
        elif code in _RESULTS and _is_of_values(standing):
            self._write({"event": "fail", "trial": trial.number, "exit_code": code})
            self._note_failure(trial, code)
        else:
            self._put_off[trial.number] = code or 1

    def _value(self, trial: SearchTrial, standing: Standing) -> float | None:
        """The metric of a run as far as it was to be trained; None where it has none by then."""
        best, epoch, until = standing.status.get("best"), standing.status.get("epoch"), trial.until
        if standing.code == PausedError.exit_code and until is not None and isinstance(epoch, int) and epoch > until:
            return self._yardstick.best_of(rows_until(standing.run_dir, until))  # it was resumed by hand meanwhile
        value = best.get("value") if isinstance(best, dict) and best.get("metric") in self._yardstick.values() else None
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None

    # -- results -----------------------------------------------------------------------------------------------------

    @property
    def hopeless(self) -> bool:
        """Whether several trials have ended without a value, and none with one."""
        ended = [trial for trial in self.trials if trial.failed is not None or trial.number in self._put_off]
        return len(ended) >= _HOPELESS and not any(trial.values for trial in self.trials)

    @property
    def best(self) -> SearchTrial | None:
        """The best of those that were trained to the end."""
        return min((one for one in self.trials if one.finished), key=lambda one: self._rank(one, None), default=None)

    @property
    def exit_code(self) -> int:
        """0 if the search has an answer and nothing is left to do; otherwise the largest of the trials'."""
        if self._put_off:
            return max(self._put_off.values())
        return 0 if self.best else max((trial.failed or 0 for trial in self.trials), default=0)

    # -- decisions ---------------------------------------------------------------------------------------------------

    def _left(self) -> Iterator[SearchTrial]:
        """Trials that were decided on but have not come as far yet: those that a killed search had under way."""
        taken = self._under_way | self._put_off.keys()
        return (trial for trial in self.trials if not trial.told and trial.number not in taken)

    def _promoted(self) -> SearchTrial | None:
        """A paused trial among the best of its rung, of the highest rung that has one."""
        if self.search.prune is None:
            return None
        if self._judge is not None:
            paused = (one for one in self.trials if one.told and one.failed is None and not one.finished)
            trial = next((one for one in paused if not one.pruned), None)
            return self._promote(trial) if trial else None
        for rung in reversed(self._rungs()):
            there = sorted((one for one in self.trials if rung in one.values), key=lambda one: self._rank(one, rung))
            failed = sum(one.failed is not None and one.until == rung for one in self.trials)
            earned = there[: (len(there) + failed) // self.search.prune.factor]
            for trial in earned:
                if trial.until == rung:
                    return self._promote(trial)
        return None

    def _best_paused(self) -> SearchTrial | None:
        """The best trial, if all is done and none has reached the end, so that the search has an answer."""
        if self._under_way or self._put_off or any(trial.finished for trial in self.trials):
            return None
        for rung in reversed(self._rungs()):
            paused = [one for one in self.trials if one.until == rung and one.told and one.failed is None]
            if paused:
                return self._promote(min(paused, key=lambda one: self._rank(one, rung)))
        return None

    def _promote(self, trial: SearchTrial) -> SearchTrial:
        """Have a paused trial train to the next rung, or to its end."""
        further = [rung for rung in self._rungs_of(trial) if trial.until is not None and rung > trial.until]
        target = further[0] if further else None
        self._write({"event": "promote", "trial": trial.number, "epochs": target})
        trial.until = target
        return trial

    def _asked(self) -> SearchTrial | None:
        """Another trial, if one may be asked for; one whose values do not go together has failed."""
        if not self.waiting or self.hopeless:
            return None
        number = len(self.trials)
        texts = propose(self.search, self.sweep.choices, self.trials, self.larger)
        trial = self._add(SearchTrial(number, texts, None))
        if trial.failed is None:
            trial.until = next(iter(self._rungs_of(trial)), None)
        self._write({"event": "ask", "trial": number, "values": texts, "epochs": trial.until})
        return trial

    def _rank(self, trial: SearchTrial, rung: int | None) -> tuple[float, int]:
        """The sort key that puts the best first."""
        return (-trial.values[rung] if self.larger else trial.values[rung], trial.number)

    def _rungs(self) -> list[int]:
        return sorted({rung for trial in self.trials for rung in trial.values if rung is not None})

    def _rungs_of(self, trial: SearchTrial) -> list[int]:
        epochs = self.standings[trial.number].cell.loaded.experiment.train.epochs
        return [] if self.search.prune is None or epochs is None else self.search.prune.rungs(epochs)

    # -- the journal -------------------------------------------------------------------------------------------------

    def _add(self, trial: SearchTrial) -> SearchTrial:
        said = ""
        try:
            cell = self.sweep.trial(trial.number, trial.texts)
        except ConfigError as error:
            trial.failed, said = error.exit_code, str(error)
            cell = replace(self._example, name=f"{trial.number:04d}")
        self.trials.append(trial)
        if self._judge is not None:
            self._judge.begin()
            if trial.failed is not None:
                self._judge.end(trial.number, None)
        self.standings.append(Standing(cell, self._folder / cell.name, [], code=trial.failed, said=said))
        return trial

    def _note(self, trial: SearchTrial, value: float) -> None:
        """Take note of a trial's value after the training that was asked for."""
        trial.values[trial.until] = value
        if self._judge is None:
            return
        if trial.until is None:
            self._judge.end(trial.number, value)
        else:
            trial.pruned = not self._judge.goes_on(trial.number, trial.until, value)

    def _note_failure(self, trial: SearchTrial, code: int) -> None:
        trial.failed = code
        if self._judge is not None:
            self._judge.end(trial.number, None)

    def _words(self, cell: Cell, trial: SearchTrial) -> list[str]:
        pause = [] if trial.until is None else ["--pause-at", f"{trial.until}ep"]
        return [*self.sweep.words(cell, self._folder), *pause]

    def _write(self, row: dict[str, Any]) -> None:
        self._log.append(strict_json.encode(row))
        self._log.sync()

    def _replay(self, rows: Sequence[dict[str, Any]]) -> None:
        """Take up the decisions of the journal. Raises RunDirectoryError if they were made by other rules."""
        rules = self._rules()
        if not rows:
            self._write(rules)
            return
        then, now = dict(rows[0]), strict_json.decode(strict_json.encode(rules))
        if then.get("metric") in self._yardstick.values():
            then["metric"] = self.metric  # earlier versions wrote val/loss for val_average/loss
        config = then.pop("config", now["config"])
        changed = [key for key in rules if key != "config" and then.get(key) != now[key]]
        if changed := changed or [f"config: {key}" for key in self._decided_otherwise(config)]:
            raise RunDirectoryError(
                f"{self._folder} holds a search with other rules than the file has now ({', '.join(changed)}). "
                "Choose another --run-dir, or undo the change; only count may grow"
            )
        for number, row in enumerate(rows[1:], 2):
            try:
                self._take_up(row)
            except (KeyError, IndexError, TypeError, AttributeError) as error:
                raise StorageError(
                    f"{self._log.path}:{number} is damaged, or of another sweep file: {error}. Restore it from a copy"
                ) from error
        if "config" not in rows[0]:  # as earlier versions wrote it: then the trials say by what they were begun
            require_comparable(self.standings)
        listings = Listings()
        for trial, standing in zip(self.trials, self.standings, strict=True):
            if trial.told:
                self._take_stock(trial, standing, listings)

    def _take_stock(self, trial: SearchTrial, standing: Standing, listings: Listings) -> None:
        """Note how a trial stands that has been told of; one that was paused may have been resumed by hand since.

        Where that has brought it to its end, its result counts; otherwise it stands as the journal has it.
        """
        paused = trial.failed is None and not trial.finished
        if paused and standing.keep_if_finished(listings):
            self.ended(standing)
            return
        standing.end(trial.failed or (PausedError.exit_code if paused else 0), 0.0)
        standing.kept = True
        if paused:
            self._show_as_told(trial, standing)

    def _show_as_told(self, trial: SearchTrial, standing: Standing) -> None:
        """Have a paused trial stand as it was told of, where its run has been resumed by hand since."""
        if standing.status.get("epoch") != trial.until:
            standing.status = {"epoch": trial.until, "best": {"metric": self.metric, "value": trial.value}}

    def _decided_otherwise(self, config: Any) -> list[str]:
        """The keys of a config that earlier trials had otherwise, and that decide what a trial comes to."""
        try:
            before = load_plain(config, f"{self._log.path}:1").experiment
        except ConfigError as error:
            raise StorageError(f"{self._log.path}:1 is damaged: {first_line(error)}. Restore it from a copy") from error
        return [*filter(decides, differing(plain(before), plain(self._example.loaded.experiment)))]

    def _take_up(self, row: dict[str, Any]) -> None:
        event = row["event"]
        if event == "ask":
            self._add(SearchTrial(row["trial"], row["values"], row["epochs"]))
            return
        trial = self.trials[row["trial"]]
        if event == "promote":
            trial.until = row["epochs"]
        elif event == "tell":
            trial.until = row["epochs"]
            self._note(trial, row["value"])
        elif event == "fail":
            self._note_failure(trial, row["exit_code"])
        else:
            raise KeyError(event)

    def _rules(self) -> dict[str, Any]:
        """The settings that decide on trials, except their number; the config with the first values of the keys."""
        keys: dict[str, Any] = {}
        for key, choice in self.sweep.choices:
            keys[key.text] = vars(choice) if isinstance(choice, Spread) else [*map(to_text, choice)]
        prune = self.search.prune
        return {
            "event": "search",
            "metric": self.metric,
            "larger": self.larger,
            "sampler": self.search.sampler,
            "seed": self.search.seed,
            "prune": None if prune is None else _rule(prune),
            "keys": keys,
            "set": {key.text: to_text(node) for key, node in self.sweep.constant},
            "sets": [*self.sweep.sets],
            "config": plain(self._example.loaded.experiment),
        }


def _is_of_values(standing: Standing) -> bool:
    """Whether a run's exit code is caused by its values.

    A refusal is not where the config has changed under the search, or where the run had begun to train before.
    """
    refused = standing.code == ConfigError.exit_code
    return not refused or (CHANGED not in standing.said and standing.status.get("step") is None)


def _rule(prune: Pruning) -> list[str]:
    """What decides on pruning, as the journal has it."""
    rule = [str(prune.first), f"1/{prune.factor}"]
    return rule if prune.pruner == "halving" else [prune.pruner, *rule, str(prune.every or "1ep")]


def example(sweep: Sweep) -> Cell:
    """A trial of a search, as good as any other to see what all of them need. Raises ConfigError."""
    return sweep.trial(0, _first(sweep))


def _first(sweep: Sweep) -> dict[str, str]:
    """Any values that the keys may take."""
    return {
        key.text: choice.text(choice.low) if isinstance(choice, Spread) else to_text(choice[0])
        for key, choice in sweep.choices
    }
