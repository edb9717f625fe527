"""`cnntrain completion` prints the script that teaches a shell to complete cnntrain's commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from cnntrain.cli.options import Command, debug


@click.command(
    cls=Command,
    examples=[
        "echo 'eval \"$(cnntrain completion bash)\"' >> ~/.bashrc",
        "echo 'eval \"$(cnntrain completion zsh)\"' >> ~/.zshrc",
        "cnntrain completion fish > ~/.config/fish/completions/cnntrain.fish",
    ],
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="SHELL")
@debug
def command(shell: str) -> None:
    """Print the completion script of SHELL: bash, zsh or fish."""
    from cnntrain.cli import COMPLETE, app

    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(app, {}, "cnntrain", COMPLETE).source())
