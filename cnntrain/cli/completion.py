"""`cnntrain completion` prints the script that teaches a shell to complete cnntrain's commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from cnntrain.cli.options import debug


@click.command(epilog="Example, for bash: echo 'eval \"$(cnntrain completion bash)\"' >> ~/.bashrc")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@debug
def command(shell: str) -> None:
    """Print the completion script of SHELL."""
    from cnntrain.cli import app

    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(app, {}, "cnntrain", "_CNNTRAIN_COMPLETE").source())
