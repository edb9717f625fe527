"""`cnntrain fit` trains the network of a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cnntrain.cli.options import as_json, debug, print_json, sets, threads


@click.command(
    epilog="Examples: cnntrain fit configs/quickstart.yaml  |  "
    "cnntrain fit my.yaml -s optimizer.lr=0.1 -o runs/a --resume-or-start"
)
@click.argument("configs", nargs=-1, type=click.Path())
@sets
@click.option(
    "-o", "--run-dir", type=click.Path(path_type=Path), help="Where to write; by default runs/NAME/DATE-HASH."
)
@threads
@click.option("--resume", is_flag=True, help="Go on with the run in --run-dir.")
@click.option("--resume-or-start", is_flag=True, help="Start, go on, or when finished do nothing: for scripts.")
@click.option("--overwrite", is_flag=True, help="Replace the run that --run-dir holds.")
@click.option("-n", "--dry-run", is_flag=True, help="Build everything, read the data, and stop before training.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "bar", "plain", "none"]),
    default="auto",
    help="A bar on a terminal, plain lines elsewhere.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say only what is wrong.")
@click.option("--strict-env", is_flag=True, help="Refuse to resume on other versions or another kind of processor.")
@click.option("--allow-data-change", is_flag=True, help="Resume although the training data has changed.")
@as_json
@debug
def command(configs: tuple[str, ...], sets: tuple[str, ...], as_json: bool, dry_run: bool, **flags: Any) -> None:
    """Train the network of CONFIG. Several configs are merged, later ones over earlier ones."""
    from cnntrain.session import Options, fit, rehearse

    options = Options(**flags)
    if dry_run:
        result, lines = rehearse(configs, sets, options)
        if as_json:
            print_json(result)
        else:
            click.echo("\n".join(lines))
        return
    result = fit(configs, sets, options)
    if as_json:
        print_json(result)
