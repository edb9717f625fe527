"""Changes are the differences between a run's checkpoint and its resume: settings, data, schedule, environment."""

from __future__ import annotations

from pathlib import Path

from cnntrain.config.dump import libraries, plain
from cnntrain.config.load import Loaded, leaves, problem
from cnntrain.core.errors import CheckpointError
from cnntrain.data import manifest
from cnntrain.network import build
from cnntrain.rundir.checkpoint import Checkpoint
from cnntrain.rundir.environment import compare_environments, environment
from cnntrain.training.job import Job
from cnntrain.training.rates import horizon, schedule

HARMLESS = (  # keys that may change on resume: they say how long to train and what to watch, not what is computed
    "name",
    "train.epochs",
    "train.steps",
    "train.samples",
    "train.until",
    "train.early_stopping",
    "train.log_every",
    "checkpoint",
    "warnings",
    "data.source.root",
    "data.source.path",
    "data.val.root",
    "data.val.path",
    "data.cache",
)


def of_settings(saved: Loaded, now: Loaded) -> list[str]:
    """The keys that differ, as "key: then -> now". Raises ConfigError for one that makes it another experiment."""
    before, after = dict(leaves(plain(saved.experiment))), dict(leaves(plain(now.experiment)))
    changed = [key for key in before | after if before.get(key) != after.get(key)]
    for key in changed:
        if not any(key == harmless or key.startswith(harmless + ".") for harmless in HARMLESS):
            raise problem(
                now,
                key,
                f"{key} was {before.get(key)!r} when this run was started and is {after.get(key)!r} now: "
                "start another run, or undo the change",
            )
    return [f"{key}: {before.get(key)!r} -> {after.get(key)!r}" for key in changed]


def of_environment(checkpoint: Checkpoint, now: Loaded, strict: bool) -> list[str]:
    """Warnings where versions or the processor differ; under `strict`, raises CheckpointError instead."""
    differences = compare_environments(checkpoint.meta["environment"], environment(libraries(now.experiment)))
    if differences and strict:
        raise CheckpointError(
            f"{checkpoint.path} was written in another environment ({'; '.join(differences)}), "
            "and --strict-env refuses that. Resume where it was started, or leave --strict-env out"
        )
    return [f"not bit-identical to an uninterrupted run: {'; '.join(differences)}"] if differences else []


def of_files(path: Path, before: Loaded, now: Loaded) -> list[str]:
    """Warnings where data files differ from the manifest at a path, if that is for the same data."""
    if manifest.place(before.experiment) != manifest.place(now.experiment):
        return []
    listed = manifest.of(now.experiment)
    if manifest.is_of(path, listed):
        return []
    started = manifest.read(path)
    if started is None:
        return [said] if (said := manifest.missing(path)) else []
    return manifest.warnings(started, listed, "this run was started", "Restore it for the same result")


def of_schedule(before: Loaded, job: Job, step: int) -> list[str]:
    """Warnings where another length of training changes the learning rate of the next step."""
    steps_per_epoch = job.loader.steps_per_epoch
    then, now = (
        schedule(experiment)(step, horizon(experiment, steps_per_epoch), build.optimizer(experiment).lr)
        for experiment in (before.experiment, job.loaded.experiment)
    )
    if then == now:
        return []
    return [f"the schedule spans the new length: the learning rate of step {step} was {then:g} and is {now:g}"]
