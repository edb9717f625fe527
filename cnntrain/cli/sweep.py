"""`cnntrain sweep` trains many variants of an experiment, several at once."""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnntrain.cli.compare import show_groups
from cnntrain.cli.options import PATH, Command, WholeNumber, as_json, debug, print_json, sets, threads
from cnntrain.cli.text import duration, show, table
from cnntrain.core import bounds, letters, shell, terminal
from cnntrain.core.counts import counted, foremost
from cnntrain.core.errors import StorageError, printable
from cnntrain.core.figures import figure

if TYPE_CHECKING:
    from cnntrain.sweep.cells import Sweep
    from cnntrain.sweep.executor import Executor
    from cnntrain.sweep.scheduler import Outcome
    from cnntrain.sweep.search import SearchQueue
    from cnntrain.sweep.standing import Standing

_REFRESH = 0.5  # seconds between two states of the live table

_GONE = (OSError, StorageError)  # what printing raises where the terminal of a sweep that was stopped has been closed


@click.command(
    cls=Command,
    examples=[
        "cnntrain sweep configs/experiments/dropout.yaml --dry-run",
        "cnntrain sweep configs/experiments/dropout.yaml",
        "cnntrain sweep configs/experiments/dropout.yaml -p 2 --print-commands | parallel -j 2",
        "cnntrain sweep configs/experiments/dropout.yaml --slurm dropout.sh -j 4",
    ],
)
@click.argument("sweep", type=PATH, metavar="SWEEP")
@sets
@click.option(
    "-o", "--output", "--run-dir", "run_dir", type=PATH, help="The folder of all run directories; by default runs/NAME."
)
@threads
@click.option(
    "-p",
    "--processes",
    type=WholeNumber(bounds.JOBS),
    metavar="N",
    help="Runs at the same time, which share the threads; by default one per thread.",
)
@click.option("-n", "--dry-run", is_flag=True, help="List the runs and how long they will take; train nothing.")
@click.option("--print-commands", is_flag=True, help="Print a shell line for each run; train nothing.")
@click.option(
    "--slurm",
    type=PATH,
    metavar="FILE",
    help="Write a script for sbatch, which trains each run as a task of an array; train nothing.",
)
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Train on the workers of a Dask cluster, such as tcp://host:8786; local:4 starts one with 4 workers.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only the table at the end, warnings and errors.")
@as_json
@debug
@click.pass_context
def command(
    context: click.Context,
    sweep: Path,
    sets: tuple[str, ...],
    run_dir: Path | None,
    threads: int | None,
    processes: int | None,
    dry_run: bool,
    print_commands: bool,
    slurm: Path | None,
    dask: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train every experiment that the file SWEEP describes, each in a run directory of its own.

    A run that fails does not stop the others. After Ctrl-C, or whatever killed it, the same command goes on: finished
    runs stay, others resume. Ends with a table, and with the worst exit code. configs/README.md says what SWEEP holds.
    """
    from cnntrain.core import machine
    from cnntrain.core.errors import UsageError
    from cnntrain.rundir.directory import RUNS
    from cnntrain.sweep.cells import read_sweep
    from cnntrain.sweep.standing import require_unchanged

    answers = {"--dry-run": dry_run, "--print-commands": print_commands, "--slurm": slurm is not None}
    asked = [name for name, given in answers.items() if given]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)} are two answers. Choose one")
    plan = read_sweep(sweep, sets)
    folder = run_dir or RUNS / plan.name
    require_unchanged(plan, folder)
    usable = machine.threads(threads)
    at_once = min(processes or usable, plan.search.count if plan.search else len(plan.cells))
    if dask and asked:
        raise UsageError(f"--dask trains and {asked[0]} does not. Leave one of them out")
    if plan.search and asked:
        raise UsageError(f"a search decides on its trials as it goes, and {asked[0]} needs them before. Leave it out")
    if print_commands:
        _print_commands(plan, folder, max(usable // at_once, 1))
    elif slurm:
        from cnntrain.sweep.slurm import write_script

        write_script(plan, folder, slurm, threads or 1, processes)
        further = f"Review it, then: sbatch {shell.word(slurm)}"
        _Board(quiet).say(f"{slurm} trains {_runs(plan)} in {folder}. {further}")
    elif dry_run:
        _dry_run(plan, folder, usable, at_once, as_json)
    elif dask:
        from cnntrain.sweep.cluster import DaskExecutor

        board = _Board(quiet)
        cluster = functools.partial(DaskExecutor, dask, plan, folder, usable, board.warn, processes)
        context.exit(_train(plan, folder, cluster, f"on {dask}", board, as_json))
    else:
        from cnntrain.sweep.processes import LocalExecutor

        here = functools.partial(LocalExecutor, usable, at_once)
        context.exit(_train(plan, folder, here, f"{at_once} at a time", _Board(quiet), as_json))


def _train(plan: Sweep, folder: Path, start: Callable[[], Executor], where: str, board: _Board, as_json: bool) -> int:
    """Train all cells where `start` begins them, show how they stand, and return the exit code."""
    from cnntrain.core.errors import StoppedError
    from cnntrain.rundir.history import is_run
    from cnntrain.sweep.answer import write_answer
    from cnntrain.sweep.scheduler import Cells, held, train
    from cnntrain.sweep.search import searching
    from cnntrain.training.interrupts import Interrupts

    os.getcwd()  # where its runs begin: that it has been removed is said once, and not by each of them
    with Interrupts() as interrupts, held(folder), contextlib.ExitStack() as stack:
        search = stack.enter_context(searching(plan, folder)) if plan.search else None
        executor = start()
        board.say(f"{_runs(plan)} in {folder}, {where}{_left_out(plan)}")
        trained = train(search or Cells(plan, folder), executor, interrupts, board.watch)
        answer = write_answer(search, folder) if search else None
    board.clear()
    with contextlib.suppress(*_GONE) if trained.stopped else contextlib.nullcontext():
        compared = {"groups": []} if search else _compared(trained.standings)
        if as_json:
            document = _document(plan, folder, trained) | {"groups": compared["groups"]}
            print_json(document | ({"search": answer} if answer else {}))
        else:
            _show(trained.standings)
            show_groups(compared)
    if trained.stopped:
        raise StoppedError(_stopped(trained.standings, trained.stopped.name), trained.stopped)
    if search:
        _tell_answer(search, folder, board)
        return search.exit_code
    if any(is_run(folder / cell.name) for cell in plan.cells):
        board.say(f"next: cnntrain compare {shell.word(folder)}")
    return trained.worst


def _stopped(standings: Sequence[Standing], name: str) -> str:
    """The message of a sweep that was stopped; a run whose status says that it still trains left without saving."""
    unsaved = [one.cell.name for one in standings if one.code not in (None, 0) and one.status.get("state") == "running"]
    how = "the runs under way are saved"
    if unsaved:
        how = f"{foremost(unsaved)} left without saving, and will go on from the last checkpoint"
    return f"stopped by {name}; {how}. Go on with the same command"


def _tell_answer(search: SearchQueue, folder: Path, board: _Board) -> None:
    """Say what the best trial is, and what to look at next."""
    from cnntrain.sweep.answer import BEST

    if search.hopeless:
        board.say("the search was ended: no trial could be trained")
    if search.best is not None:
        standing = search.standings[search.best.number]
        board.say(f"best {search.metric}: {search.best.value:.6g}, {standing.cell.name}; config: {folder / BEST}")
        board.say(f"next: cnntrain report {shell.word(folder)}")


def _runs(plan: Sweep) -> str:
    if plan.search:
        return f"a search of {counted(plan.search.count, 'trial')}"
    return counted(len(plan.cells), "run")


def _left_out(plan: Sweep) -> str:
    if not plan.repeated:
        return ""
    return f"; {plan.repeated} equal to another {'is' if plan.repeated == 1 else 'are'} left out"


def _print_commands(plan: Sweep, folder: Path, threads: int) -> None:
    """Print a shell line for each cell, which starts this very program with a run's share of the threads."""
    from cnntrain.core.errors import UsageError
    from cnntrain.sweep import child

    for cell in plan.cells:
        words = plan.arguments(cell, folder)
        wrong = next((word for word in words if not word.isprintable()), None)
        if wrong is not None:
            raise UsageError(f"{wrong!r} cannot be printed in a line for a shell. Train without --print-commands")
        terminal.out(shlex.join(child.typed([*words, "--threads", str(threads)])))


def _dry_run(plan: Sweep, folder: Path, threads: int, processes: int, as_json: bool) -> None:
    from cnntrain.sweep.forecast import altogether, forecast

    seconds = forecast(plan, threads, processes)
    total = altogether(seconds, processes)
    if as_json:
        cells = [
            {"name": cell.name, "settings": dict(cell.settings), "run_dir": str(folder / cell.name), "seconds": length}
            for cell, length in zip(plan.cells, seconds, strict=True)
        ]
        document = {"name": plan.name, "cells": cells, "repeated": plan.repeated, "seconds": total}
        print_json(document, " --dry-run")
        return
    show(
        table(
            [["run", "time"], *([cell.name, duration(s)] for cell, s in zip(plan.cells, seconds, strict=True))],
            right={1},
            fold=0,
        )
    )
    show(
        f"\n{_runs(plan)} in {folder}, {processes} at a time{_left_out(plan)}: about {duration(total)} "
        "altogether, as predicted from a few steps"
    )


def _document(plan: Sweep, folder: Path, trained: Outcome) -> dict[str, Any]:
    """What `sweep --json` prints."""
    cells = [
        {
            "name": one.cell.name,
            "settings": dict(one.cell.settings),
            "run_dir": str(one.run_dir),
            "state": one.state,
            "exit_code": one.code,
            "epoch": one.result.get("epoch"),
            "step": one.result.get("step"),
            "best": one.result.get("best"),
            "seconds": one.seconds,
        }
        for one in trained.standings
    ]
    return {
        "name": plan.name,
        "run_dir": str(folder),
        "cells": cells,
        "repeated": plan.repeated,
        "exit_code": trained.worst,
    }


def _compared(standings: Sequence[Standing]) -> dict[str, Any]:
    """What `compare` says about the finished runs; it is left to `compare` to report what cannot be read."""
    from cnntrain.core.errors import CnntrainError
    from cnntrain.results.compare import compare

    with contextlib.suppress(CnntrainError):
        finished = [one.run_dir for one in standings if one.code == 0]
        if len(finished) > 1:
            return compare(finished, warn=lambda _text: None)
    return {"groups": []}


def _show(standings: Sequence[Standing]) -> None:
    """The table at the end."""
    show(table([_head(standings), *map(_row, standings)], right={1, 3, 4, 5}, fold=0))


def _head(standings: Sequence[Standing]) -> list[str]:
    metrics = {str(_best(one).get("metric")) for one in standings if _best(one)}
    return ["run", "exit", "outcome", "epochs", f"best {metrics.pop()}" if len(metrics) == 1 else "best", "time"]


def _row(one: Standing) -> list[str]:
    best = _best(one).get("value")
    return [
        one.cell.name,
        "-" if one.code is None else str(one.code),
        one.state,
        str(one.result.get("epoch", "-")),
        figure(best) if isinstance(best, (int, float)) else "-",
        duration(one.seconds) if one.since is not None or one.kept else "-",
    ]


def _best(one: Standing) -> dict[str, Any]:
    best = one.result.get("best")
    return best if isinstance(best, dict) else {}


class _Board:
    """What is shown on stderr meanwhile: on a terminal a table, refreshed; elsewhere a line per event."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._live = not quiet and terminal.watched()
        self._lines = 0  # of the table on the screen
        self._rendered = 0.0
        self._said: set[str] = set()

    def say(self, text: str) -> None:
        """Print a line, above the table."""
        if not self._quiet:
            self._write(text)

    def warn(self, text: str) -> None:
        """Print a line that --quiet does not silence."""
        self._write(f"cnntrain: warning: {text}")

    def watch(self, standings: Sequence[Standing], changed: Standing | None) -> None:
        """Show how the cells stand, and what has just happened."""
        if changed is not None:
            self._tell(changed)
        elif self._live and time.monotonic() - self._rendered > _REFRESH:
            self._render(standings)

    def _tell(self, one: Standing) -> None:
        if one.code is None:
            where = f" of {one.where}" if one.where else ""
            self.say(f"{one.cell.name}: begins, on {counted(one.threads, 'thread')}{where}")
            return
        if one.kept:
            self.say(f"{one.cell.name}: was finished already")
            if one.said:
                self.warn(f"{one.cell.name}: {one.said}")
            return
        paused = one.state == "paused"
        for line in () if paused else one.said.splitlines():
            if line.strip() and line not in self._said:  # what all cells say is worth saying once
                self._said.add(line)
                self._write(f"{one.cell.name}: {line}")
        _, code, outcome, epochs, best, seconds = _row(one)
        exit_code = "" if code == "0" or paused else f", exit code {code}"
        measured = f", best {_best(one).get('metric')} {best}" if best != "-" else ""
        length = "" if epochs == "-" else f" after {epochs} epoch{'s' * (epochs != '1')}"
        took = "" if seconds == "-" else f", {seconds}"
        self.say(f"{one.cell.name}: {outcome}{exit_code}{length}{measured}{took}")

    def _render(self, standings: Sequence[Standing]) -> None:
        self._rendered = time.monotonic()
        columns, height = terminal.size()
        begun = [one for one in standings if one.since is not None]
        shown = standings if len(standings) + 4 < height else begun[-max(height - 6, 1) :]
        done = sum(one.code is not None for one in standings)
        rows = table([_head(standings), *map(_row, shown)], right={1, 3, 4, 5}).splitlines()
        lines = [*rows, f"{done} of {len(standings)} runs done"]
        self.clear()
        self._lines = len(lines)
        terminal.err("\n".join(letters.cut(line, columns - 1) for line in lines))

    def clear(self) -> None:
        """Take the table away."""
        if self._lines:
            terminal.raw(f"\x1b[{self._lines}A\x1b[J", end="")
            self._lines = 0

    def _write(self, text: str) -> None:
        self.clear()
        terminal.err(printable(text))
