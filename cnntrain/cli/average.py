"""`cnntrain average` averages several checkpoints of a network into one."""

from __future__ import annotations

from pathlib import Path

import click

from cnntrain.cli.options import PATH, Command, as_json, debug, print_json
from cnntrain.cli.text import show
from cnntrain.core.counts import counted


@click.command(cls=Command, examples=["cnntrain average runs/a/checkpoints/epoch-*.npz --output averaged.npz"])
@click.argument("checkpoints", metavar="CHECKPOINT|RUN...", nargs=-1, required=True, type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="The checkpoint to write.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
@as_json
@debug
def command(checkpoints: tuple[Path, ...], output: Path, overwrite: bool, as_json: bool) -> None:
    """Write the mean of the checkpoints' parameters as a new checkpoint, for eval and predict.

    All must be of the same network. Running statistics are averaged like the weights, since no data is read.
    """
    from cnntrain.api.finished import average

    result = average(checkpoints, output, overwrite=overwrite)
    if as_json:
        print_json(result)
        return
    show(f"{output}: the mean of {counted(len(result['checkpoints']), 'checkpoint')}")
    for path, step in zip(result["checkpoints"], result["steps"], strict=True):
        show(f"  {path} (step {step})")
