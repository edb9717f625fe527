"""The command line: one file per command, each loaded when it is called.

`main` turns every outcome into an exit code and, where something went wrong, into lines that say what to do.
This module and those of the commands import NumPy only inside the functions that compute, so that help, version and
completion answer at once.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any

import click

from cnntrain import __version__
from cnntrain.errors import CnntrainError, ConfigError
from cnntrain.registry import did_you_mean

COMMANDS = {  # name -> what it does; the module cnntrain.cli.NAME has the click command `command`
    "fit": "Train the network of a config.",
    "eval": "Measure a trained network on a split of its data.",
    "predict": "Classify images with a trained network.",
    "average": "Make one network of several checkpoints of it.",
    "check": "Check a config, its shapes and its data, without training.",
    "summary": "Show a network layer by layer.",
    "config": "Show a config with every default filled in.",
    "list": "List the parts a config can name.",
    "gradcheck": "Check a network's gradients against differences.",
    "selftest": "Prove this installation on this machine.",
    "completion": "Print the completion script of a shell.",
}
ALIASES = {"train": "fit", "test": "eval"}
ENVIRONMENT = ("CNNTRAIN_THREADS", "CNNTRAIN_DEBUG")  # the variables that mean something


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of a first day with the tool."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"cnntrain.cli.{name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command, or say which one was probably meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            known = did_you_mean(args[0], [*COMMANDS, *ALIASES])
            raise click.UsageError(f"{error.message.rstrip('.')}{known}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: cnntrain fit configs/quickstart.yaml",
)
@click.version_option(__version__, message="cnntrain %(version)s")
def app() -> None:
    """Train convolutional neural networks from a YAML file, in pure NumPy."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; returns its exit code. See the README for what each code means."""
    _warn_of_unknown_variables()
    try:
        code = app.main(arguments, prog_name="cnntrain", standalone_mode=False)
        _flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except BrokenPipeError:
        _silence()
        return 141
    except Exception as error:
        if os.environ.get("CNNTRAIN_DEBUG"):
            _print(traceback.format_exc())
        return _explain(error)
    except KeyboardInterrupt:
        return _fail(130, "interrupted")


def _explain(error: Exception) -> int:
    """Say on stderr what went wrong and what to do; returns the exit code."""
    if isinstance(error, click.UsageError):
        return _fail(2, _usage_message(error))
    if isinstance(error, click.ClickException):
        return _fail(2, error.format_message())
    if isinstance(error, click.Abort):
        return _fail(130, "interrupted")
    if isinstance(error, ConfigError):
        return _fail_config(error)
    if isinstance(error, CnntrainError):
        return _fail(error.exit_code, str(error))
    if isinstance(error, MemoryError):
        return _fail(7, "out of memory. Lower train.batch_size, or make the network or the images smaller")
    return _crash(error)


def _usage_message(error: click.UsageError) -> str:
    command = error.ctx.command_path if error.ctx else "cnntrain"
    return f"{error.format_message()} See '{command} --help'."


def _fail(code: int, message: str) -> int:
    _print(f"cnntrain: error: {message}")
    return code


def _fail_config(error: ConfigError) -> int:
    for problem in error.problems:
        _print(str(problem))
    count = len(error.problems)
    what = "1 problem" if count == 1 else f"{count} problems"
    return _fail(error.exit_code, f"{what} in the config, see above; nothing was started")


def _crash(error: Exception) -> int:
    """A bug: one line for the user, the traceback in a file for the report."""
    from pathlib import Path

    from cnntrain.files import write_atomic

    text = "".join(traceback.format_exception(error))
    written = getattr(error, "__notes__", [])  # a session leaves its run directory's crash.log here
    path = Path(written[0]) if written else Path("crash.log").resolve()
    try:
        if not written:
            write_atomic(path, f"cnntrain {__version__}: {' '.join(sys.argv)}\n{text}".encode())
        where = f"The traceback is in {path}; please report it"
    except CnntrainError:
        where = f"Please report this traceback:\n{text}"
    return _fail(1, f"a bug in cnntrain: {type(error).__name__}: {error}. {where}")


def _warn_of_unknown_variables() -> None:
    for name in sorted(os.environ):
        if name.startswith("CNNTRAIN_") and name not in ENVIRONMENT:
            _print(
                f"cnntrain: warning: the environment variable {name} means nothing here; known: "
                f"{', '.join(ENVIRONMENT)}"
            )


def _print(text: str) -> None:
    """Write to stderr; a closed one is no reason to fail."""
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError):
        return


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _silence() -> None:
    """Keep Python from complaining about the closed pipe when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
