"""Options that several commands share, and the sections in which help shows them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from cnntrain.cli.documents import DOCUMENTS, stamped
from cnntrain.core import bounds, terminal
from cnntrain.core.bounds import Bounds

F = TypeVar("F", bound=Callable[..., Any])


class NamedPath(click.Path):
    """A path that is not empty: an empty one, as from an unset variable, would mean the working directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path as a pathlib.Path."""
        if not os.fspath(value):
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The files that the parameter's metavar names: configs, or run directories and checkpoints."""
        from cnntrain.cli import complete

        meant = param.metavar or ""
        offers = [complete.configs] * ("CONFIG" in meant or "SWEEP" in meant) + [complete.runs] * ("RUN" in meant)
        return complete.files(incomplete, offers) if offers else super().shell_complete(ctx, param, incomplete)


class WholeNumber(click.IntRange):
    """A whole number within bounds, which a refusal tells."""

    def __init__(self, within: Bounds) -> None:
        super().__init__(cast(int, within.low), cast(int | None, within.high), within.open)
        self.within = within

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            raise _refusal(self.within, value, param, ctx) from error


class Number(click.FloatRange):
    """A finite number within bounds, which a refusal tells."""

    def __init__(self, within: Bounds) -> None:
        super().__init__(within.low, within.high, within.open)
        self.within = within

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        try:
            found = super().convert(value, param, ctx)
        except click.BadParameter as error:
            raise _refusal(self.within, value, param, ctx) from error
        if found not in self.within:  # NaN and infinity
            raise _refusal(self.within, value, param, ctx)
        return found


def _refusal(
    expected: Bounds, value: Any, param: click.Parameter | None, ctx: click.Context | None
) -> click.BadParameter:
    """The error of a value, which names the environment variable where it comes from one."""
    source = ctx.get_parameter_source(param.name) if ctx and param and param.name else None
    variable = param.envvar if param and source is click.core.ParameterSource.ENVIRONMENT else None
    where = f"the environment variable {variable}" if variable else None
    return click.BadParameter(f"expected {expected}, got {value!r}", ctx, param, where)


PATH = NamedPath(path_type=Path, readable=False)  # reading it shows whether it is readable


class Command(click.Command):
    """A command whose help has sections of options, and examples at its end."""

    def __init__(
        self, *args: Any, examples: Sequence[str], sections: Mapping[str, Sequence[str]] | None = None, **attrs: Any
    ) -> None:
        """`sections` maps a title to the parameters under it; all others stand under "Options"."""
        super().__init__(*args, **attrs)
        self.examples = tuple(examples)
        self.sections = dict(sections or {})

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options section by section."""
        elsewhere = {name for names in self.sections.values() for name in names}
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        plain = [option for option in options if option.name not in elsewhere]
        sections = {
            title: [option for option in options if option.name in names] for title, names in self.sections.items()
        }
        for title, members in {"Options": plain, **sections}.items():
            with formatter.section(title):
                formatter.write_dl([record for option in members if (record := option.get_help_record(ctx))])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the keys of what --json prints, then the examples, each on a line of its own, to be copied."""
        for of, document in DOCUMENTS.items():
            if of.split()[0] == _name(ctx.command):
                with formatter.section(document.heading(of)):
                    formatter.write_dl([*document.keys.items()])
        with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
            for example in self.examples:
                formatter.write(f"{' ' * formatter.current_indent}{example}\n")


def _complete_key(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from cnntrain.cli.complete import set_keys

    return set_keys(context, parameter, incomplete)


def _sets(meaning: str, **more: Any) -> Callable[[F], F]:
    """The option `-s/--set KEY=VALUE`, repeatable, of this meaning."""
    names = ("-s", "--set", "sets")
    return click.option(*names, multiple=True, metavar="KEY=VALUE", help=f"{meaning} Repeatable.", **more)


sets = _sets(
    "Override a config key, such as optimizer.lr=0.1 or model.layers.2.filters=64.", shell_complete=_complete_key
)
data_sets = _sets("Say where the data is now, if it has moved: data.source.root=PATH.")  # of a trained network
reading_sets = _sets("Read files differently from training: data.source.max_pixels=N.")


def threads(command: F) -> F:
    """Add `-j/--threads N`."""
    return click.option(
        "-j",
        "--threads",
        type=WholeNumber(bounds.THREADS),
        metavar="N",
        envvar="CNNTRAIN_THREADS",
        help="Worker threads; by default one per processor. Changes the speed, never a bit of the result.",
    )(command)


def as_json(command: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")(command)


def debug(command: F) -> F:
    """Add `--debug`, which shows tracebacks; CNNTRAIN_DEBUG=1 is the same."""

    def switch_on(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        if value:
            context.ensure_object(dict)["debug"] = True

    return click.option(
        "--debug",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=switch_on,
        help="Show tracebacks of errors.",
    )(command)


def _name(command: click.Command) -> str:
    """A command's name, from its module; an alias has the same."""
    return command.callback.__module__.rpartition(".")[2].replace("_", "-") if command.callback else ""


def print_json(document: Any, variant: str = "") -> None:
    """Print a document on stdout, with null for numbers that are not finite, which JSON cannot express.

    It begins with the name of its schema (cli/documents.py); `variant` is the flag, such as " --dry-run", that asked
    for another document than the command's usual one.
    """
    from cnntrain.core import strict_json

    document = stamped(document, _name(click.get_current_context().command) + variant)
    people = sys.stdout is not None and sys.stdout.isatty()
    terminal.out(strict_json.encode(document, indent=2 if people else None))
