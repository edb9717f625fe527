"""Training from Python: `cnntrain.fit` does what the command does, and returns the run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from cnntrain.api.arguments import Paths, Set, path_of
from cnntrain.api.run import Run
from cnntrain.api.training import train
from cnntrain.config.mapping import Config
from cnntrain.core.console import Progress


def fit(
    config: Paths | Config | Sequence[Paths | Config],
    *,
    set: Set = None,
    run_dir: Paths | None = None,
    resume_or_start: bool = False,
    overwrite: bool = False,
    threads: int | None = None,
    max_time: float | None = None,
    progress: Progress = "none",
) -> Run:
    """Train what a config describes, and return the run. Nothing is printed unless `progress` asks for it.

    config            the path of a YAML file, a mapping as such a file holds, or several that are laid over each other
    set               values by dotted key, over the config's: {"optimizer.lr": 0.1}
    run_dir           where to write; by default runs/NAME/DATE-HASH in the working directory
    resume_or_start   go on with the run in `run_dir`, if there is one
    overwrite         replace the run in `run_dir`
    threads           workers; by default one per processor. They change no bit of the result
    max_time          seconds after which it pauses
    progress          "bar", "plain", "auto" or "none"

    Raises a CnntrainError of `cnntrain.core.errors` with the line the command would print: ConfigError, DataError,
    DivergedError, StoppedError after Ctrl-C, PausedError after `max_time`, and so on. Warnings are Python's.
    """
    configs = [config] if isinstance(config, str | os.PathLike | Mapping) else config
    run = train(
        [one if isinstance(one, Mapping) else path_of(one) for one in configs],
        set,
        progress,
        run_dir=None if run_dir is None else path_of(run_dir),
        threads=threads,
        resume_or_start=resume_or_start,
        overwrite=overwrite,
        max_time=max_time,
    )
    return Run(run)
