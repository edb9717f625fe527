"""`cnntrain schema` prints the JSON Schema of configs, for editors."""

from __future__ import annotations

import click

from cnntrain.cli.options import Command, debug
from cnntrain.core import terminal


@click.command(cls=Command, examples=["cnntrain schema > configs/cnntrain.schema.json"])
@debug
def command() -> None:
    """Print the JSON Schema of configs, with which an editor completes keys, explains them and marks mistakes.

    Editors with the YAML language server (VS Code, Neovim, Emacs and others) look for it in the config's folder if the
    config begins as those of cnntrain do: "# yaml-language-server: $schema=cnntrain.schema.json".
    """
    import json

    from cnntrain.config.json_schema import json_schema

    terminal.out(json.dumps(json_schema(), separators=(",", ":")))
