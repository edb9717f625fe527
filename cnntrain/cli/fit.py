"""`cnntrain fit` trains the network of a config."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnntrain.cli.options import PATH, Command, as_json, debug, print_json, sets, threads
from cnntrain.cli.require import check, figures, require
from cnntrain.core import launcher, shell, terminal

if TYPE_CHECKING:
    from cnntrain.cli.watch import Watching
    from cnntrain.config.fields import Duration


def _seconds(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """A wall-clock time such as 90s, 20m, 7.5h or 2d. A number without a unit is ambiguous, and is refused."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd])", text, re.ASCII)
    if match is None:
        raise click.BadParameter(f"expected a time such as 90s, 20m, 7.5h or 2d, got {text!r}")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def _place(_context: click.Context, _option: click.Parameter, text: str | None) -> Duration | None:
    """A place in the training, as a duration from its beginning."""
    if text is None:
        return None
    from cnntrain.config.fields import place

    try:
        return place(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(
    cls=Command,
    examples=[
        "cnntrain fit configs/quickstart.yaml",
        "cnntrain fit my.yaml -s optimizer.lr=0.1 -s train.epochs=20",
        "cnntrain fit my.yaml -o runs/a --resume-or-start",
        "cnntrain fit my.yaml --watch",
        "cnntrain fit -o runs/a --resume",
        "cnntrain fit my.yaml -o runs/a --resume-or-start --max-time 7.5h",
    ],
    sections={
        "Pausing and resuming": (
            "resume",
            "resume_or_start",
            "max_time",
            "pause_at",
            "overwrite",
            "strict_env",
            "allow_data_change",
        ),
        "Output": ("progress", "quiet", "verbose", "print_run_dir", "as_json", "debug", "help"),
    },
)
@click.argument("configs", nargs=-1, type=PATH, metavar="CONFIG...")
@sets
@click.option(
    "-o", "--output", "--run-dir", "run_dir", type=PATH, help="Where to write; by default runs/NAME/DATE-HASH."
)
@threads
@click.option(
    "-n",
    "--dry-run",
    "rehearse",
    is_flag=True,
    help="Build everything, read the data, report the memory, disk and time that the run will take, and stop.",
)
@click.option("--resume", is_flag=True, help="Resume the run in --run-dir; its config is in the checkpoint.")
@click.option("--resume-or-start", is_flag=True, help="Start, resume, or do nothing if finished: for scripts.")
@click.option(
    "--max-time",
    metavar="TIME",
    callback=_seconds,
    help="Pause after this long, such as 90s, 20m or 7.5h; exit code 75, resumable.",
)
@click.option(
    "--pause-at",
    metavar="DURATION",
    callback=_place,
    help="Pause after this much of the training, such as 2ep, 500st or 10%; exit code 75, resumable.",
)
@click.option("--overwrite", is_flag=True, help="Replace the run that --run-dir holds.")
@click.option("--strict-env", is_flag=True, help="Refuse to resume with other versions or another kind of processor.")
@click.option("--allow-data-change", is_flag=True, help="Resume although the training data has changed.")
@click.option("--fingerprint", metavar="HASH", hidden=True, help="Refuse any other config: for the runs of a sweep.")
@click.option("--report", is_flag=True, help="At the end, write report.html into the run directory.")
@click.option("--watch", is_flag=True, help="Serve a page on this machine that shows the training as it goes.")
@click.option("--tensorboard", is_flag=True, help="Write event files for TensorBoard to RUN_DIR/tensorboard.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "bar", "plain", "none"]),
    default="auto",
    show_default=True,
    help="How to show progress; auto: a bar on a terminal, plain lines elsewhere.",
)
@require("val/accuracy>=0.98")
@click.option("-q", "--quiet", is_flag=True, help="Print only warnings and errors.")
@click.option("-v", "--verbose", is_flag=True, help="Print more: versions, threads, memory, every save.")
@click.option("--print-run-dir", is_flag=True, help="Print the run directory on stdout as soon as it is known.")
@as_json
@debug
def command(
    configs: tuple[Path, ...],
    sets: tuple[str, ...],
    as_json: bool,
    rehearse: bool,
    print_run_dir: bool,
    requirements: tuple[str, ...],
    **flags: Any,
) -> None:
    """Train the network of CONFIG. Several configs are merged, later ones over earlier ones."""
    report, watch = flags.pop("report"), flags.pop("watch")
    from cnntrain.cli import tell
    from cnntrain.cli.watch import watching
    from cnntrain.core.errors import UnfinishedError, UsageError
    from cnntrain.training.interrupts import Interrupts

    began = time.perf_counter()
    with Interrupts(flags["max_time"]) as interrupts:
        with interrupts.at_once():  # importing NumPy takes a while
            from cnntrain.api.fit import fit
            from cnntrain.cli.check import show_rehearsal

            _check_flags(dry_run=rehearse, as_json=as_json, print_run_dir=print_run_dir, **flags)
            if rehearse and requirements:
                raise UsageError("--require judges a training and --dry-run does not train. Choose one")
            if rehearse and watch:
                raise UsageError("--watch shows a training and --dry-run does not train. Choose one")
            if rehearse:
                from cnntrain.checks.preflight import dry_run

                document = dry_run(configs, sets, flags["threads"], flags["run_dir"], began)
                if as_json:
                    print_json(document, " --dry-run")
                else:
                    show_rehearsal(document)
                return
        try:
            with watching(watch and launcher.rank() == 0) as page:  # which one process shows
                announce = _announce(print_run_dir, page, flags["quiet"])
                needed = figures(requirements)
                run = fit(configs, set=sets, figures=needed, announce=announce, warn=None, live=watch, **flags)
        except UnfinishedError as error:
            code = tell(error)  # before the next of a burst of signals ends the process without a word
            if as_json and error.result is not None:
                print_json(error.result)
            raise click.exceptions.Exit(code) from error
    if report and launcher.rank() == 0:
        from cnntrain.core.console import Console

        console = Console("none", flags["quiet"])
        place = Path(run.result["run_dir"])  # as it was given, unlike the run's path
        with _reporting(place):
            written = run.report(threads=flags["threads"], warn=console.warn)
            console.say(f"report: {place / written.name}")
    if as_json:
        print_json(run.result)
    check(requirements, run.result["final"])


@contextlib.contextmanager
def _reporting(run: Path) -> Iterator[None]:
    """Within it, an error of writing says that the report is what is left to do: the run would not begin again."""
    from cnntrain.core.errors import StorageError
    from cnntrain.core.storage import AGAIN

    try:
        yield
    except StorageError as error:
        error.args = (str(error).replace(AGAIN, f"run: cnntrain report {shell.word(run)}"),)
        raise


def _announce(aloud: bool, page: Watching | None, quiet: bool) -> Callable[[Path], None]:
    """What to do as soon as the run directory is known."""

    def announce(path: Path) -> None:
        if aloud:
            terminal.out_first(str(path))
        if page:
            from cnntrain.core.console import Console

            page.begin(path)
            Console("none", quiet).say(f"watch it at: {page.address}")

    return announce


def _check_flags(**flags: Any) -> None:
    """Raise UsageError for a flag that would be ignored: what the user writes takes effect, or is an error."""
    from cnntrain.core.errors import UsageError

    chosen = [f"--{name.replace('_', '-')}" for name in ("resume", "resume_or_start", "overwrite") if flags[name]]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} contradict each other. Choose one")
    if chosen and flags["run_dir"] is None:
        raise UsageError(f"{chosen[0]} needs --run-dir, to know which run is meant")
    if str(flags["run_dir"]).startswith("~"):
        raise UsageError(f"--run-dir {flags['run_dir']}: the shell did not expand the ~. Write $HOME instead")
    if flags["quiet"] and flags["verbose"]:
        raise UsageError("--quiet and --verbose contradict each other. Choose one")
    if flags["print_run_dir"] and (flags["as_json"] or flags["dry_run"]):
        other = "--json prints it, too" if flags["as_json"] else "--dry-run makes none"
        raise UsageError(f"--print-run-dir prints the run directory; {other}. Choose one")
    if flags["dry_run"] and flags["resume"]:
        raise UsageError("--dry-run rehearses a new run and --resume continues one. Choose one")
    for name in ("max_time", "pause_at"):
        if flags["dry_run"] and flags[name] is not None:
            raise UsageError(f"--{name.replace('_', '-')} pauses a training and --dry-run does not train. Choose one")
    for name in ("strict_env", "allow_data_change"):
        if flags[name] and not (flags["resume"] or flags["resume_or_start"]):
            raise UsageError(f"--{name.replace('_', '-')} is for resuming. Add --resume, or leave it out")
