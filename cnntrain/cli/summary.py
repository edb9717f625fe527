"""`cnntrain summary` shows a network layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cnntrain.cli.options import PATH, Command, as_json, debug, print_json, sets, threads
from cnntrain.cli.text import pairs, show, table
from cnntrain.core.counts import counted


@click.command(
    cls=Command,
    examples=["cnntrain summary configs/cifar10-resnet20.yaml", "cnntrain summary runs/quickstart/latest --json"],
)
@click.argument("targets", nargs=-1, required=True, metavar="CONFIG...|RUN", type=PATH)
@sets
@threads
@as_json
@debug
def command(targets: tuple[Path, ...], sets: tuple[str, ...], threads: int | None, as_json: bool) -> None:
    """Show every node: its output, parameters and work; then the totals, the shard and the memory of a step.

    For a CONFIG, several merged ones, a RUN directory or a checkpoint.
    """
    from cnntrain.api.beforehand import summary

    result = summary(targets, set=sets, threads=threads)
    if as_json:
        print_json(result)
        return
    show(_nodes(result["nodes"]))
    trained, threads = result["trained_parameters"], result["threads"]
    frozen = f", {trained:,} of them trained" if trained != result["parameters"] else ""
    rows = [
        ("input", result["input"]),
        ("parameters", f"{result['parameters']:,}{frozen}"),
        ("FLOPs", f"{result['flops']:,} a sample, forward"),
        ("shard", f"{counted(result['shard'], 'sample')}"),
        (
            "memory",
            f"{result['memory']} for a training step of {result['batch_size']} on "
            f"{counted(threads, 'thread')}, besides the data",
        ),
    ]
    show()
    show(pairs(rows))


def _nodes(nodes: list[dict[str, Any]]) -> str:
    """The table of nodes, numbered where some node reads one other than that before it."""
    head = ["node", "layer", "output", "parameters", "FLOPs"]
    rows = [
        [node["name"], node["type"], node["output"], f"{node['parameters']:,}", f"{node['flops']:,}"] for node in nodes
    ]
    places = {"input": 0} | {node["name"]: place for place, node in enumerate(nodes, 1)}
    read = [[places[name] for name in node["inputs"]] for node in nodes]
    if all(numbers == [place] for place, numbers in enumerate(read)):
        return table([head, *rows], right={2, 3, 4})
    reads = ["" if numbers == [place] else ", ".join(map(str, numbers)) for place, numbers in enumerate(read)]
    numbered = [[str(place), *row, which] for place, (row, which) in enumerate(zip(rows, reads, strict=True), 1)]
    return table([["#", *head, "reads"], *numbered], right={0, 3, 4, 5})
