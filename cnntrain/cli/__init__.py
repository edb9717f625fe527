"""The command line: one file per command, each loaded when it is called.

`main` turns every outcome into an exit code and, where something went wrong, into lines that say what to do.
This module and those of the commands import NumPy only inside the functions that compute, so that help, version and
completion answer at once.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import itertools
import os
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cnntrain import __version__
from cnntrain.cli.options import debug
from cnntrain.cli.text import sentence
from cnntrain.core import launcher, signals, terminal
from cnntrain.core.errors import CnntrainError, ConfigError, UnfinishedError, UsageError, printable
from cnntrain.core.failures import system_failure
from cnntrain.core.registry import did_you_mean, nearest

COMMANDS = {  # name -> what it does; the module cnntrain.cli.NAME has the click command `command`
    "data": "Fetch a well-known data set.",
    "init": "Write a first config for your data.",
    "fit": "Train the network of a config.",
    "eval": "Measure a trained network, on its data or on other data.",
    "predict": "Apply a trained network to new files.",
    "sweep": "Train many variants of an experiment, several at once.",
    "report": "Write an HTML page about one run or several.",
    "explain": "Show what a network makes of one picture, layer by layer.",
    "watch": "Show runs in a browser while they train.",
    "compare": "Set runs side by side.",
    "export": "Write a trained network for other programs.",
    "average": "Average several checkpoints of a network into one.",
    "check": "Check a config, its shapes and its data, without training.",
    "summary": "Show a network layer by layer.",
    "lr-find": "Suggest a learning rate from a few training steps.",
    "time": "Measure where the time of a training step goes.",
    "config": "Show a config with every default filled in.",
    "list": "List the parts a config can name.",
    "schema": "Print the JSON Schema of configs, for editors.",
    "gradcheck": "Check a network's gradients against finite differences.",
    "selftest": "Test this installation on this machine.",
    "env": "Show versions, processor and installed extras.",
    "inspect": "Show what is in a checkpoint.",
    "verify": "Train the last stretch of a run again and compare every bit.",
    "replay": "Replay a run up to where it diverged, and compare.",
    "completion": "Print a shell's completion script.",
}
ALIASES = {"train": "fit", "test": "eval"}
_LIGHT = ("list", "schema", "completion", "config")  # commands that do not import NumPy
ENVIRONMENT = ("CNNTRAIN_THREADS", "CNNTRAIN_DEBUG")  # the variables that are read
_NO_ROOM = (  # what the dynamic loader says when memory is short
    *("failed to map segment", "annot allocate memory", "cannot map zero-fill pages"),
    *("cannot create shared object descriptor", "cannot change memory protections"),
)
_SCARCE = {  # what the system has too little of, and what to do about it
    errno.EAGAIN: "too many processes and threads. Raise the limit (ulimit -u, or pids.max of the container)",
    errno.ENOMEM: "out of memory. Use fewer threads, a smaller batch or network, smaller images, or less data",
    errno.EMFILE: "too many open files. Raise the limit (ulimit -n)",
    errno.ENFILE: "too many open files in the whole system. Close some, or raise fs.file-max",
}
_CLOSED = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)  # errors of a path, whatever the operation
_AFTER_THE_LEADER = 0.5  # seconds for which ranks other than the first stay after an error
COMPLETE = "_CNNTRAIN_COMPLETE"  # set by the shell to ask for completions


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which a newcomer needs them."""
        return [*COMMANDS]  # not `list`, which is the command's module here once that has been imported

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"cnntrain.cli.{name.replace('-', '_')}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command, or say which one was probably meant."""
        if args[0].startswith("-") or args[0] in (*COMMANDS, *ALIASES):
            return super().resolve_command(ctx, args)
        known = [*COMMANDS, *ALIASES] if nearest(args[0], ALIASES) else COMMANDS
        raise click.UsageError(f"no command {args[0]!r}{did_you_mean(args[0], known)}", ctx)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a usage error refers to the command's own help."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if error.ctx is None and ctx.invoked_subcommand:
                name = ctx.invoked_subcommand
                error.ctx = click.Context(self.get_command(ctx, name) or self, parent=ctx, info_name=name)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Name a first command, one that works in this directory."""
        example = "configs/quickstart.yaml"
        first = f"fit {example}" if os.path.isfile(example) else "init --data DATA"
        formatter.write(f"\nStart with: cnntrain {first}\n")


@click.command(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="cnntrain %(version)s")
@debug
@click.pass_context
def app(context: click.Context) -> None:
    """Train convolutional neural networks from a YAML file, in pure NumPy."""
    if context.invoked_subcommand is None:
        terminal.err(context.get_help())
        context.exit(2)


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code; cli/README.md says what each means."""
    state: dict[str, Any] = {"debug": os.environ.get("CNNTRAIN_DEBUG", "") not in ("", "0")}
    if arguments is None and launcher.size() > 1:
        from cnntrain.core.keeper import keep

        try:
            keep()
        except OSError as error:  # no further process can be started
            return tell(error)
    if arguments is None:
        signals.take_over()
        if launcher.rank() > 0:
            launcher.silence()
    terminal.prepare()
    _warn_of_unknown_variables()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = _run(sys.argv[1:] if arguments is None else arguments, state)
            terminal.finish()
    except BrokenPipeError:
        code = 141
    except KeyboardInterrupt:
        code = _say(130, "interrupted")
    except (Exception, SystemExit) as error:
        if state["debug"]:
            terminal.err(traceback.format_exc())
        code = tell(error)
    _let_go()
    if code and launcher.rank() > 0:  # once one rank has ended, a launcher may end the others before they report
        time.sleep(_AFTER_THE_LEADER)
    return code


def _run(arguments: list[str], state: dict[str, Any]) -> int:
    """Run a command, or answer a shell that asks for completions; return the exit code."""
    state["arguments"] = tuple(arguments)
    try:
        if COMPLETE in os.environ:
            from cnntrain.cli import complete  # noqa: F401  (it registers its shells with click)

            app.main(arguments, "cnntrain", complete_var=COMPLETE)  # raises SystemExit
        _require_room(arguments)
        _require_alone(arguments)
        with app.make_context("cnntrain", arguments, obj=state) as context:
            app.invoke(context)
    except click.exceptions.Exit as error:
        return error.exit_code
    except SystemExit as error:
        if COMPLETE not in os.environ:  # a part of another package must not end the program without a word
            raise
        return int(error.code or 0)
    return 0


def _require_room(arguments: list[str]) -> None:
    """Check that there is room for NumPy if the command needs it; help and the like do not."""
    command = next((word for word in arguments if not word.startswith("-")), "")
    if command in (*COMMANDS, *ALIASES) and command not in _LIGHT and not {"-h", "--help"} & set(arguments):
        from cnntrain.core.machine import require_room

        require_room()


def _require_alone(arguments: list[str]) -> None:
    """Refuse to be started several times by an MPI launcher, except for training."""
    word = next((word for word in arguments if not word.startswith("-")), "")
    command = ALIASES.get(word, word)
    if launcher.size() > 1 and command in COMMANDS and command != "fit":
        raise UsageError(
            f"an MPI launcher has started 'cnntrain {command}' {launcher.size()} times, but only fit runs "
            "on several ranks. Run it without mpirun"
        )


def tell(error: Exception | SystemExit) -> int:
    """Say on stderr what went wrong and what to do; return the exit code."""
    if isinstance(error, click.UsageError):
        return _fail(2, _usage_message(error))
    if isinstance(error, UnfinishedError):  # which the user asked for
        return _say(error.exit_code, str(error))
    if isinstance(error, click.ClickException):
        return _fail(2, error.format_message())
    if isinstance(error, ConfigError):
        return _fail_config(error)
    if isinstance(error, CnntrainError):
        return _fail(error.exit_code, str(error))
    if isinstance(error, MemoryError):
        return _fail(7, _SCARCE[errno.ENOMEM] + _of_the_limit())
    if isinstance(error, OSError) and error.errno in _SCARCE:
        limit = _of_the_limit() if error.errno == errno.ENOMEM else ""
        return _fail(7, f"{error.strerror}: {_SCARCE[error.errno]}{limit}")
    if isinstance(error, ImportError) and any(words in str(error) for words in _NO_ROOM):
        return _fail(7, "out of memory while loading libraries. Raise the limit (ulimit -v)")
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return _fail(7, f"cannot start another thread: {_SCARCE[errno.EAGAIN]}")
    return _fail_system(error) if isinstance(error, OSError) else _crash(error)


def _of_the_limit() -> str:
    """A further sentence where the address space is limited, which is used up long before memory is."""
    from cnntrain.core import machine

    limit = machine.address_limit()
    return f", or raise the limit: {limit}" if limit else ""


def _fail_system(error: OSError) -> int:
    """Report an error of the operating system that nothing has turned into one of ours."""
    if error.filename is None and error.errno == errno.ENOENT and not _is_anywhere():
        return _fail(5, "the working directory has been removed. Change into one that is there, and run it again")
    if _in_click(error):
        return _fail(5, str(terminal.unwritten(error)))
    if error.filename is None:  # errors of files have one
        return _fail(5, f"the operating system refused a request: {error.strerror}. Mend that and run it again")
    if error.errno in _CLOSED or system_failure(error):
        return _fail(5, f"cannot access {error.filename}: {error.strerror}. Check its permissions and the disk")
    return _crash(error)


def _is_anywhere() -> bool:
    """Whether there still is a working directory."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _in_click(error: OSError) -> bool:
    """Whether it arose while click was printing help or the version, its only use of files."""
    return any(Path(frame.filename).parent.name == "click" for frame in traceback.extract_tb(error.__traceback__)[-3:])


def _usage_message(error: click.UsageError) -> str:
    """What click says, as one line that begins and ends like ours."""
    command = error.ctx.command_path if error.ctx else "cnntrain"
    if isinstance(error, click.NoSuchOption):
        text = f"no option {error.option_name!r}{_in_place_of(error)}"
    else:
        text = " ".join(error.format_message().split())
    text = text[:1].lower() + text[1:]
    return f"{sentence(text)} See '{command} --help'"


def _in_place_of(error: click.NoSuchOption) -> str:
    """What to write instead of an unknown option: the config key it stands for, or a similar option."""
    import shlex

    from cnntrain.config import foreign, whereabouts

    name = error.option_name.lstrip("-").replace("-", "_")
    takes = {parameter.name for parameter in error.ctx.command.params} if error.ctx else set()
    path = whereabouts.home(name) if "sets" in takes and "checkpoint" not in takes else None
    if path:
        state = error.ctx.find_root().obj if error.ctx else None
        value = _value_after(error.option_name, (state or {}).get("arguments", ()))
        return f"; it is a key of the config: -s {shlex.quote(f'{path}={value}')}"
    elsewhere = foreign.elsewhere(name)
    if elsewhere:
        return f": {elsewhere}"
    options = [option for parameter in (error.ctx.command.params if error.ctx else ()) for option in parameter.opts]
    near = nearest(name, {option.lstrip("-").replace("-", "_") for option in options if option.startswith("--")})
    return f"; did you mean '--{near.replace('_', '-')}'?" if near else ""


def _value_after(option: str, arguments: Sequence[str]) -> str:
    """What was given for an option, if anything."""
    for argument, after in itertools.pairwise([*arguments, ""]):
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
        if argument == option and not after.startswith("-"):
            return after or "..."
    return "..."


def _fail(code: int, message: str) -> int:
    terminal.err(f"cnntrain: error: {printable(message)}")
    return code


def _say(code: int, message: str) -> int:
    terminal.err(f"cnntrain: {printable(message)}")
    return code


def _fail_config(error: ConfigError) -> int:
    for problem in error.problems:
        terminal.err(str(problem))
    count = len(error.problems)
    what = "1 problem" if count == 1 else f"{count} problems"
    return _fail(error.exit_code, f"{what} in the config, see above; nothing was started")


def _crash(error: Exception | SystemExit) -> int:
    """A bug, ours or that of a part which is not ours: one line for the user, the traceback in a file."""
    from cnntrain.core.culprits import culprit, suspects
    from cnntrain.core.files import write_atomic

    text = "".join(traceback.format_exception(error))
    written = vars(error).get("crash_log")  # of its run directory, where a session leaves it
    path = written or Path("crash.log").resolve()
    try:
        if not written:
            write_atomic(path, f"cnntrain {__version__}: {' '.join(sys.argv)}\n{text}".encode(errors="replace"))
        where = f"in {path}"
    except CnntrainError:
        terminal.err(text)
        where = "above"
    if whose := culprit(error):
        return _fail(1, f"{whose}. Mend it; the traceback is {where}")
    others = " and ".join(suspects())
    unless = f", unless `cnntrain selftest --part FILE` finds a fault in the parts of {others}" if others else ""
    what = f"{type(error).__name__}: {error}"
    return _fail(1, f"a bug in cnntrain: {what}. The traceback is {where}; please report it{unless}")


def _warn_of_unknown_variables() -> None:
    for name in sorted(os.environ):
        if name.startswith("CNNTRAIN_") and name not in ENVIRONMENT:
            _warn(f"the environment variable {name} is unknown and ignored; known: {', '.join(ENVIRONMENT)}")


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a library's warning as one of ours."""
    _warn(str(message))


def _warn(message: str) -> None:
    terminal.err(f"cnntrain: warning: {printable(message)}")


def _let_go() -> None:
    """Redirect streams that cannot be written to /dev/null, or Python would complain about them when it exits."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
