"""`cnntrain lr-find` tries increasing learning rates and suggests one."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from cnntrain.cli.options import PATH, Command, Number, WholeNumber, as_json, debug, print_json, sets, threads
from cnntrain.cli.text import show
from cnntrain.core import bounds, shell


@click.command(
    cls=Command,
    examples=["cnntrain lr-find configs/quickstart.yaml", "cnntrain lr-find my.yaml --low 1e-5 --high 1 --steps 200"],
)
@click.argument("configs", nargs=-1, required=True, type=PATH, metavar="CONFIG...")
@sets
@click.option("--low", type=Number(bounds.RATE), metavar="RATE", default=1e-6, show_default=True, help="First rate.")
@click.option("--high", type=Number(bounds.RATE), metavar="RATE", default=10.0, show_default=True, help="Last rate.")
@click.option(
    "--steps",
    type=WholeNumber(bounds.RANGE_TEST),
    metavar="N",
    default=100,
    show_default=True,
    help="Steps of training to take.",
)
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
    from cnntrain.api.beforehand import lr_find
    from cnntrain.checks.lr_find import in_a_line
    from cnntrain.core.extras import install
    from cnntrain.results.report import paper

    picture = png or paper.available()
    found = lr_find(configs, low=low, high=high, steps=steps, picture=picture, set=sets, threads=threads, warn=None)
    if as_json:
        print_json(found)
        return
    show(in_a_line(found["steps"]))
    if found["suggestion"] is None:
        show("no suggestion: the loss never fell. Try other bounds, --low and --high, or look at the data")
    else:
        show(f"suggested: {found['suggestion']:g}, a tenth of {found['lowest']:.2g}, where the loss is smallest")
        words = [*map(shell.word, configs), *(f"-s {shlex.quote(text)}" for text in sets)]
        show(f"try: cnntrain fit {' '.join(words)} -s optimizer.lr={found['suggestion']:g}")
    missing = f"no chart: it needs Matplotlib. Install it with: {install('report')}"
    show(f"chart: {found['png']}" if found["png"] else missing)
