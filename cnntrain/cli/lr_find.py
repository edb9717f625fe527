"""`cnntrain lr-find` tries increasing learning rates and suggests one."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from cnntrain.cli.options import PATH, Command, as_json, debug, print_json, sets, threads
from cnntrain.cli.text import show


@click.command(
    cls=Command,
    examples=["cnntrain lr-find configs/quickstart.yaml", "cnntrain lr-find my.yaml --low 1e-5 --high 1 --steps 200"],
)
@click.argument("configs", nargs=-1, required=True, type=PATH, metavar="CONFIG...")
@sets
@click.option("--low", type=click.FloatRange(0, min_open=True), default=1e-6, show_default=True, help="First rate.")
@click.option("--high", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True, help="Last rate.")
@click.option("--steps", type=click.IntRange(10), default=100, show_default=True, help="Steps of training to take.")
@click.option("--png", type=PATH, help="Where the chart goes; by default runs/NAME/lr-find.png.")
@threads
@as_json
@debug
def command(
    configs: tuple[Path, ...],
    sets: tuple[str, ...],
    low: float,
    high: float,
    steps: int,
    png: Path | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Train for some steps with an increasing learning rate, plot the loss, and suggest a rate.

    The steps are discarded, and no config or run is changed. The suggestion is a tenth of the rate with the smallest
    loss, for these batches and this seed; it is the start of a search, not its result.
    """
    from cnntrain.checks.lr_find import find, in_a_line
    from cnntrain.core import files, machine
    from cnntrain.core.directories import make_directory
    from cnntrain.core.errors import UsageError
    from cnntrain.results.report import paper, range_test
    from cnntrain.rundir.directory import RUNS
    from cnntrain.training.job import prepare

    if low >= high:
        raise UsageError(f"--low {low:g} is not below --high {high:g}. Lower the one or raise the other")
    if png:
        paper.require()
    usable = machine.threads(threads)
    job = prepare(configs, sets, usable)
    found = find(job, usable, low, high, steps)
    target = None
    if paper.available():
        target = png or RUNS / job.loaded.experiment.name / "lr-find.png"
        make_directory(target.parent)
        files.write_atomic(target, paper.png(range_test.chart(found)))
    if as_json:
        print_json(found.document() | {"png": str(target) if target else None})
        return
    show(in_a_line(found))
    if found.suggestion is None:
        show("no suggestion: the loss never fell. Try other bounds, --low and --high, or look at the data")
    else:
        show(f"suggested: {found.suggestion:g}, a tenth of {found.lowest:.2g}, where the loss is smallest")
        words = [*map(str, configs), *(word for text in sets for word in ("-s", text))]
        show(f"try: cnntrain fit {shlex.join(words)} -s optimizer.lr={found.suggestion:g}")
    from cnntrain.core.extras import install

    missing = f"no chart: it needs Matplotlib. Install it with: {install('report')}"
    show(f"chart: {target}" if target else missing)
