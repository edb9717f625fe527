"""`cnntrain completion` prints the script that teaches a shell to complete cnntrain's command lines."""

from __future__ import annotations

import click

from cnntrain.cli.options import Command, debug
from cnntrain.core import terminal


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
    """Print the completion script of SHELL: bash, zsh or fish.

    It completes commands, options, config files, run directories, and the keys of --set for the config named before.
    """
    from cnntrain.cli import COMPLETE, app
    from cnntrain.cli.complete import SHELLS

    terminal.out(SHELLS[shell](app, {}, "cnntrain", COMPLETE).source(), end="")
