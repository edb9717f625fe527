"""`cnntrain config` shows a config with every default filled in."""

from __future__ import annotations

from pathlib import Path

import click

from cnntrain.cli.options import as_json, debug, print_json, sets, table


@click.command(epilog="Example: cnntrain config configs/quickstart.yaml -s train.epochs=3 --origin")
@click.argument("configs", nargs=-1, required=True, type=click.Path())
@sets
@click.option("--origin", is_flag=True, help="Say of every key where its value comes from.")
@click.option("--diff", "other", type=click.Path(path_type=Path), help="Show only what differs from this config.")
@as_json
@debug
def command(configs: tuple[str, ...], sets: tuple[str, ...], origin: bool, other: Path | None, as_json: bool) -> None:
    """Show CONFIG as it would be run: merged, overridden, every default filled in."""
    from cnntrain.config.dump import plain, to_yaml
    from cnntrain.config.load import leaves, load

    loaded = load(configs, sets)
    document = plain(loaded.experiment)
    if other is not None:
        mine, theirs = dict(leaves(document)), dict(leaves(plain(load([other]).experiment)))
        changed = {key: [theirs.get(key), mine.get(key)] for key in theirs | mine if theirs.get(key) != mine.get(key)}
        if as_json:
            print_json(changed)
        for key, (before, after) in changed.items() if not as_json else ():
            click.echo(f"{key}: {before} -> {after}")
    elif as_json:
        print_json(document)
    elif origin:
        origins = loaded.origins()
        click.echo(
            table([["key", "value", "from"], *([key, str(value), origins[key]] for key, value in leaves(document))])
        )
    else:
        click.echo(to_yaml(document), nl=False)
