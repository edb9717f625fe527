"""`cnntrain time` shows where the time of a training step goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cnntrain.cli.options import PATH, Command, WholeNumber, as_json, debug, print_json, sets, threads
from cnntrain.cli.text import pairs, show, table
from cnntrain.core import bounds
from cnntrain.core.counts import counted


@click.command(
    cls=Command, examples=["cnntrain time configs/quickstart.yaml", "cnntrain time configs/quickstart.yaml -j 1"]
)
@click.argument("configs", nargs=-1, required=True, metavar="CONFIG...", type=PATH)
@click.option(
    "--steps", type=WholeNumber(bounds.SOME), metavar="N", default=10, show_default=True, help="Steps to measure."
)
@sets
@threads
@as_json
@debug
def command(configs: tuple[Path, ...], steps: int, sets: tuple[str, ...], threads: int | None, as_json: bool) -> None:
    """Take some training steps and show, node by node, what they cost; then how long an epoch and the run will take.

    Milliseconds are per step, added up over the threads. Nothing is written.
    """
    from cnntrain.api.beforehand import time

    result = time(configs, steps=steps, set=sets, threads=threads, warn=None)
    if as_json:
        print_json(result)
        return
    usable = result["threads"]
    head = ["node", "layer", "forward ms", "backward ms", "share", "GFLOP/s", "kept", "algorithm"]
    show(table([head, *map(_row, result["nodes"])], right={2, 3, 4, 5, 6}))
    show()
    show(
        pairs(
            [
                ("step", f"{1000 * result['step_seconds']:.1f} ms on {counted(usable, 'thread')}"),
                ("images/s", f"{result['images_per_second']:.0f}"),
                ("saving", f"{1000 * result['save_seconds']:.1f} ms for a checkpoint, before it is written"),
                ("epoch", f"{result['epoch_seconds']:.1f} s with validation, as predicted from this"),
                ("run", f"{result['run_seconds']:.0f} s, as predicted from this"),
            ]
        )
    )


def _row(node: dict[str, Any]) -> list[str]:
    from cnntrain.core.machine import human

    backward, speed = node.get("backward_seconds"), node.get("gflops_per_second", 0.0)
    return [
        node["name"],
        node["type"],
        f"{1000 * node['forward_seconds']:.2f}",
        "" if backward is None else f"{1000 * backward:.2f}",
        f"{node['share']:.1%}",
        f"{speed:.1f}" if speed else "",
        human(node["kept_bytes"]) if node.get("kept_bytes") else "",
        node.get("algorithm", ""),
    ]
