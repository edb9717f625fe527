"""Training as Python code expects it: nothing on stderr unless progress is asked for, and Python's own warnings."""

from __future__ import annotations

import operator
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from cnntrain.api.arguments import Configs, Paths, Set, Texts, configs_of, overrides, path_of, texts_of
from cnntrain.config.fields import Duration, place
from cnntrain.config.load import load
from cnntrain.core import bounds, launcher
from cnntrain.core.console import Progress
from cnntrain.core.culprits import noting
from cnntrain.core.errors import UsageError
from cnntrain.training.interrupts import Interrupts

Told = Callable[[str], None] | None  # is told of every warning; None prints them
Showing = Progress | bool | None  # True is "auto", False and None are "none"
Pause = Duration | str | int | None  # in a training: "500st", or a number of epochs


def as_python_does(text: str) -> None:
    """Issue a Python warning, placed at the line outside cnntrain that led here."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "cnntrain":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level)


@noting
def train(
    configs: Configs,
    set: Set,
    progress: Showing,
    *,
    run_dir: Paths | None,
    threads: int | None = None,
    max_time: float | None = None,
    figures: Texts = (),
    quiet: bool | None = None,
    pause_at: Pause = None,
    announce: Callable[[Path], None] | None = None,
    warn: Told = as_python_does,
    **options: Any,
) -> dict[str, Any]:
    """Do what `cnntrain fit` does, with its options by name, and return what `fit --json` prints.

    Arguments that cannot be used are a UsageError before anything is touched.
    """
    files, shown = configs_of(configs), _progress(progress)
    checked = {
        "run_dir": None if run_dir is None else path_of(run_dir),
        "threads": bounds.THREADS.optional("threads", threads),
        "max_time": bounds.SECONDS.optional("max_time", max_time),
        "pause_at": None if pause_at is None else _place(pause_at),
        "figures": texts_of("figures", figures),
        "announce": _function("announce", announce),
        "warn": _function("warn", warn),
        "progress": shown,
        "quiet": shown == "none" if quiet is None else quiet,
    }
    starts = files and not (options.get("resume") or options.get("resume_or_start"))
    starts = starts and options.get("fingerprint") is None
    alone = launcher.size() == 1  # a rank that does not see the config must be able to tell the others
    with Interrupts() as interrupts, interrupts.at_once():  # importing NumPy takes a while
        loaded = load(files, overrides(set)) if starts and alone else None  # its errors do not wait for that

        from cnntrain.training import session

    return session.fit(files, overrides(set), session.Options(**checked, **options), loaded)


def _progress(asked: Showing) -> Progress:
    """How to show progress. Raises UsageError for a word that is not known."""
    word = "none" if asked is None or asked is False else "auto" if asked is True else asked
    if not isinstance(word, str) or word not in get_args(Progress):
        raise UsageError(f"progress: expected one of {', '.join(get_args(Progress))}, got {asked!r}")
    return word


def _place(asked: Any) -> Duration:
    """A place in the training. Raises UsageError for what is none."""
    try:
        if isinstance(asked, bool):
            raise TypeError
        return place(str(asked if isinstance(asked, str | Duration) else operator.index(asked)))
    except TypeError as error:
        raise UsageError(f"pause_at: expected a duration such as '10ep', got {asked!r}") from error
    except ValueError as error:
        raise UsageError(f"pause_at: {error}") from error


def _function(name: str, asked: Any) -> Any:
    """What is to be called, or None. Raises UsageError for anything else."""
    if asked is not None and not callable(asked):
        raise UsageError(f"{name}: expected a function, got {asked!r}")
    return asked
