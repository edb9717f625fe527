"""Training from Python: `cnntrain.fit` is what the command calls, and returns the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cnntrain.api.arguments import Configs, Paths, Set, Texts
from cnntrain.api.training import Pause, Showing, Told, as_python_does, train

if TYPE_CHECKING:
    from cnntrain.api.run import Run


def fit(
    config: Configs = (),
    *,
    set: Set = None,
    run_dir: Paths | None = None,
    resume: bool = False,
    resume_or_start: bool = False,
    overwrite: bool = False,
    strict_env: bool = False,
    allow_data_change: bool = False,
    fingerprint: str | None = None,
    threads: int | None = None,
    max_time: float | None = None,
    pause_at: Pause = None,
    figures: Texts = (),
    tensorboard: bool = False,
    live: bool = False,
    progress: Showing = "none",
    quiet: bool | None = None,
    verbose: bool = False,
    announce: Callable[[Path], None] | None = None,
    warn: Told = as_python_does,
) -> Run:
    """Train what a config describes, and return the run. Nothing is printed unless `progress` asks for it.

    config             the path of a YAML file, a mapping as such a file holds, or several, later ones over earlier ones
    set                values by dotted key, over the config's: {"optimizer.lr": 0.1}
    run_dir            where to write; by default runs/NAME/DATE-HASH in the working directory
    resume             resume the run in `run_dir`; its config is in the checkpoint, and none need be given
    resume_or_start    resume the run in `run_dir` if there is one, else start it
    overwrite          replace the run in `run_dir`
    strict_env         refuse to resume with other versions or another kind of processor
    allow_data_change  resume although the training data has changed
    fingerprint        refuse an experiment of any other fingerprint than this: a run of a sweep is trained by what the
                       sweep has checked, whatever becomes of the config meanwhile
    threads            workers; by default one per processor. They change no bit of the result
    max_time           seconds after which it pauses
    pause_at           how much of the training to pause after: "2ep", "500st", "10%", or a number of epochs
    figures            metrics that it has to measure, such as "val/accuracy": without one of them it does not begin
    tensorboard        write event files for TensorBoard, too
    live               write what `cnntrain watch` shows besides curves: the last batch, filters and confusion matrix
    progress           "bar", "plain", "auto" or "none"; True is "auto", False and None are "none"
    quiet              print only warnings; by default if `progress` is "none"
    verbose            print more: versions, threads, memory, every save
    announce           called with the run directory as soon as it is known
    warn               called with every warning. By default they are Python's; with None they are printed

    Raises a CnntrainError of `cnntrain.core.errors` with the line the command prints: ConfigError, DataError,
    DivergedError, StoppedError after Ctrl-C, PausedError after `max_time` or at `pause_at`, and so on; UsageError for
    an argument that cannot be used, before anything is touched.
    """
    result = train(
        config,
        set,
        progress,
        run_dir=run_dir,
        resume=resume,
        resume_or_start=resume_or_start,
        overwrite=overwrite,
        strict_env=strict_env,
        allow_data_change=allow_data_change,
        fingerprint=fingerprint,
        threads=threads,
        max_time=max_time,
        pause_at=pause_at,
        figures=figures,
        tensorboard=tensorboard,
        live=live,
        quiet=quiet,
        verbose=verbose,
        announce=announce,
        warn=warn,
    )
    from cnntrain.api.run import Run  # not needed until here

    return Run(result["run_dir"], result)
