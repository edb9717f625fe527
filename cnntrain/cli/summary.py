"""`cnntrain summary` shows a network layer by layer."""

from __future__ import annotations

from pathlib import Path

import click

from cnntrain.cli.options import as_json, debug, print_json, sets, table


@click.command(epilog="Example: cnntrain summary configs/cifar10-resnet20.yaml")
@click.argument("target", metavar="CONFIG|RUN", type=click.Path(path_type=Path))
@sets
@as_json
@debug
def command(target: Path, sets: tuple[str, ...], as_json: bool) -> None:
    """Show every node: its output, parameters and work; then the totals, the shard and the memory of a step."""
    from cnntrain.summary import summarize

    result = summarize(target, sets)
    if as_json:
        print_json(result)
        return
    rows = [
        [node["name"], node["type"], node["output"], f"{node['parameters']:,}", f"{node['flops']:,}"]
        for node in result["nodes"]
    ]
    click.echo(table([["node", "layer", "output", "parameters", "FLOPs"], *rows], right={2, 3, 4}))
    click.echo()
    click.echo(f"input       {result['input']}")
    click.echo(f"parameters  {result['parameters']:,}")
    click.echo(f"FLOPs       {result['flops']:,} a sample, forward")
    click.echo(f"shard       {result['shard']} samples")
    click.echo(
        f"memory      {result['memory']} for a training step of {result['batch_size']} on {result['threads']} threads"
    )
