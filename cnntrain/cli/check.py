"""`cnntrain check` looks at a config, its shapes and its data, and trains nothing."""

from __future__ import annotations

import click

from cnntrain.cli.options import as_json, debug, print_json, sets


@click.command(epilog="Example: cnntrain check configs/quickstart.yaml")
@click.argument("configs", nargs=-1, required=True, type=click.Path())
@sets
@click.option("--no-data", is_flag=True, help="Do not read the data: shapes and classes come from the config.")
@as_json
@debug
def command(configs: tuple[str, ...], sets: tuple[str, ...], no_data: bool, as_json: bool) -> None:
    """Check CONFIG: every key, every shape, and unless told otherwise every sample's label and size."""
    from cnntrain.session import Options, rehearse

    result, lines = rehearse(configs, sets, Options(), read_data=not no_data)
    if as_json:
        print_json(result)
    else:
        click.echo("\n".join(lines))
