"""Changes are the differences between a run's checkpoint and its resume: settings, data, schedule, environment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from cnntrain.config.dump import fingerprint, libraries, plain
from cnntrain.config.fields import Duration
from cnntrain.config.load import Loaded, leaves, load, problem
from cnntrain.config.mapping import Config
from cnntrain.core.counts import counted
from cnntrain.core.errors import CheckpointError, ConfigError, UsageError, first_line
from cnntrain.data import manifest
from cnntrain.network import build, freezing
from cnntrain.parts.averages.base import Average
from cnntrain.parts.schedules.base import Horizon, Schedule
from cnntrain.rundir.checkpoint import Checkpoint, changed_packages
from cnntrain.rundir.environment import compare_environments, environment
from cnntrain.trained import saved
from cnntrain.training.job import Job
from cnntrain.training.rates import horizon, looked_at, schedule

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
    "data.cache",
)


CHANGED = "the config that the sweep has read"  # in the message of a run whose config is another now, or not there
_BACK = "Undo the change and run the sweep again, or give the changed one a folder of its own with -o"
_THERE = "Put it back, or on a file system that all machines of the sweep see under the same path"
_WEIGHTY = ("train.epochs", "train.steps", "train.samples", "train.until", "train.early_stopping", "checkpoint.best")


def decides(key: str) -> bool:
    """Whether a key decides what a run comes to: how long it trains and what it judges itself by included."""
    return not _is_harmless(key) or any(key == weighty or key.startswith(weighty + ".") for weighty in _WEIGHTY)


def of_settings(
    saved: Loaded, now: Loaded, run: str = "this run", advice: str = "start another run, or undo the change"
) -> list[str]:
    """The keys that differ, as "key: then -> now". Raises ConfigError for one that makes it another experiment.

    `run` and `advice` are of its message: what the run is called, and what to do.
    """
    found = differing(plain(saved.experiment), plain(now.experiment))
    for key, (before, after) in found.items():
        if not _is_harmless(key):
            raise problem(
                now,
                key,
                f"{key} was {before!r} when {run} was started and is {after!r} now: {advice}",
            )
    return [f"{key}: {before!r} -> {after!r}" for key, (before, after) in found.items()]


def differing(before: Any, after: Any) -> dict[str, tuple[Any, Any]]:
    """The keys in which two plain configs differ, with both values; None where one lacks the key.

    A list or mapping that is empty in one of them is told by what the other has in it.
    """
    then, now = dict(leaves(before)), dict(leaves(after))
    found = {key: (then.get(key), now.get(key)) for key in then | now if then.get(key) != now.get(key)}
    empty = [key for key, values in found.items() if [] in values or {} in values]
    filled = {key for key in empty if any(other.startswith(f"{key}.") for other in found)}
    return {key: values for key, values in found.items() if key not in filled}


def _is_harmless(key: str) -> bool:
    """Whether a key may change on resume."""
    return saved.is_place(key) or any(key == harmless or key.startswith(harmless + ".") for harmless in HARMLESS)


def load_unchanged(configs: Sequence[str | Path | Config], sets: Sequence[str], expected: str) -> Loaded:
    """The experiment of these files, which a sweep has read before this run of it: then it had that fingerprint.

    Raises UsageError where they are not there, or have been edited since: no run is trained by what nobody checked.
    """
    for config in configs:
        if not isinstance(config, Mapping) and not os.path.exists(config):
            raise UsageError(f"{CHANGED} is not there: {os.path.abspath(config)}. {_THERE}")
    try:
        loaded = load(configs, sets)
    except (ConfigError, UsageError) as error:
        raise UsageError(f"not {CHANGED}: {first_line(error)}. {_BACK}") from error
    if fingerprint(loaded.experiment) != expected:
        files = ", ".join(str(config) for config in configs if not isinstance(config, Mapping))
        raise UsageError(f"not {CHANGED}: {files} was edited. {_BACK}")
    return loaded


def of_environment(checkpoint: Checkpoint, now: Loaded, strict: bool) -> list[str]:
    """Warnings where versions, packages or the processor differ; under `strict`, raises CheckpointError instead."""
    differences = compare_environments(checkpoint.meta["environment"], environment(libraries(now.experiment)))
    differences += changed_packages(checkpoint.meta)
    if differences and strict:
        raise CheckpointError(
            f"{checkpoint.path} was written in another environment ({'; '.join(differences)}), "
            "and --strict-env refuses that. Resume where it was started, or leave --strict-env out"
        )
    if not saved.numerics(checkpoint):  # it cut batches otherwise, and each shard draws for itself
        differences.append("dropout and noise, where there are any, draw other numbers")
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


def of_length(before: Loaded, job: Job, step: int) -> list[str]:
    """Warnings where another length of training means that the run is not what it would be from the start.

    It has taken more steps than it would be given, or some of them with another learning rate or momentum, with other
    layers frozen, or into another average than they would be.
    """
    epoch = job.loader.steps_per_epoch, len(job.loader.indices)
    horizons = [horizon(experiment, *epoch) for experiment in (before.experiment, job.loaded.experiment)]
    found, (total_then, total) = [], [one.total_steps for one in horizons]
    if step > total != total_then:
        found.append(
            f"the run has taken {counted(step, 'step')}, more than the {total:,} of the new length: no step is taken, "
            "and its results stay those of the longer training"
        )
    if total != total_then:
        found += [*_of_rates(job, horizons, step), *_of_shares(job, horizons, step)]
    return found


def _of_rates(job: Job, horizons: Sequence[Horizon], step: int) -> Iterator[str]:
    """What is said of learning rate and momentum where one of so many steps has another in the second horizon."""
    experiment, optimizer = job.loaded.experiment, build.optimizer(job.loaded.experiment)
    for name, rule, start in (
        ("learning rate", schedule(experiment), optimizer.lr),
        ("momentum", cast(Schedule | None, experiment.momentum_schedule), optimizer.base_momentum),
    ):
        if rule is None or not start:
            continue
        values = {at: [rule(at, one, start) for one in horizons] for at in (*looked_at(step), step)}
        others = [at for at, (then, now) in values.items() if then != now]
        if others and others != [step]:  # the next one, the last of them if it is one, is to be taken anyway
            then, now = values[others[-1]]
            yield f"the schedule spans the new length: the {name} of step {others[-1]} was {then:g} and is {now:g}"


def _of_shares(job: Job, horizons: Sequence[Horizon], step: int) -> Iterator[str]:
    """What is said of shares of the training in `train` where so many steps would have been others by them."""
    train = job.loaded.experiment.train
    for key, text in leaves(plain(train)):
        if not (isinstance(text, str) and text.endswith("%")):
            continue
        then, now = (one.steps(Duration.parse(text)) for one in horizons)
        if then != now and _met(key, job, horizons, min(then, now), step):
            is_now = f"{text} was {counted(then, 'step')} and is {now:,}, with {step:,} taken"
            yield f"train.{key} spans the new length: {is_now}"


def _met(key: str, job: Job, horizons: Sequence[Horizon], first: int, step: int) -> bool:
    """Whether one of so many steps would have been another by this key, by which steps differ from `first` on."""
    if key.startswith("average."):
        return _moves_otherwise(cast(Average, job.loaded.experiment.train.average), horizons, step)
    trained, trained_now = (_trained(job, one, step) for one in horizons)
    return first < step and trained != trained_now


def _trained(job: Job, length: Horizon, step: int) -> dict[str, range]:
    """In which of so many steps the nodes are trained that are frozen in some."""
    found = freezing.stretches(job.loaded.experiment, job.network.graph, length)
    return {name: range(min(one.first, step), int(min(one.stop, step))) for name, one in found.items()}


def _moves_otherwise(average: Average, horizons: Sequence[Horizon], step: int) -> bool:
    """Whether after one of so many steps an average moves towards the weights further in one length than in another."""
    count = 0
    for taken in range(1, step + 1):
        then, now = (average.share(taken, count, one.total_steps, one.steps_per_epoch) for one in horizons)
        if then != now:
            return True
        count += bool(then)
    return False
