"""Training as Python code expects it: nothing on stderr unless progress is asked for, and Python's own warnings."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

from cnntrain.api.arguments import Configs, Paths, Set, configs_of, overrides, path_of
from cnntrain.config.fields import Duration
from cnntrain.config.load import load
from cnntrain.core import launcher
from cnntrain.core.console import Progress
from cnntrain.core.errors import UsageError
from cnntrain.training.interrupts import Interrupts

Told = Callable[[str], None] | None  # is told of every warning; None prints them


def as_python_does(text: str) -> None:
    """Issue a Python warning, placed at the line outside cnntrain that led here."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "cnntrain":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level)


def train(
    configs: Configs,
    set: Set,
    progress: Progress,
    *,
    run_dir: Paths | None,
    quiet: bool | None = None,
    pause_at: Duration | str | None = None,
    warn: Told = as_python_does,
    **options: Any,
) -> dict[str, Any]:
    """Do what `cnntrain fit` does, with its options by name, and return what `fit --json` prints."""
    files = configs_of(configs)
    starts = files and not (options.get("resume") or options.get("resume_or_start"))
    alone = launcher.size() == 1  # a rank that does not see the config must be able to tell the others
    with Interrupts() as interrupts, interrupts.at_once():  # importing NumPy takes a while
        loaded = load(files, overrides(set)) if starts and alone else None  # its errors do not wait for that

        from cnntrain.training import session

    given = session.Options(
        run_dir=None if run_dir is None else path_of(run_dir),
        progress=progress,
        quiet=progress == "none" if quiet is None else quiet,
        pause_at=_duration(pause_at) if isinstance(pause_at, str) else pause_at,
        warn=warn,
        **options,
    )
    return session.fit(files, overrides(set), given, loaded)


def _duration(text: str) -> Duration:
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise UsageError(f"pause_at: {error}") from error
