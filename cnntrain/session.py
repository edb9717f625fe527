"""A session is what one `cnntrain fit` does: read, build, start or resume, train, and say where the results are."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from cnntrain import advice, blas, build, files, forecast, manifest, rates, resources, saved
from cnntrain.arrays import Array
from cnntrain.build import Data, Network, problem
from cnntrain.checkpoint import Checkpoint, read
from cnntrain.config.dump import fingerprint, plain, to_yaml
from cnntrain.config.load import Loaded, leaves, load, load_text
from cnntrain.config.tree import MAX_BYTES
from cnntrain.console import Console, Progress
from cnntrain.contact_sheet import contact_sheet
from cnntrain.datasets.base import Dataset, Images, size_text
from cnntrain.engine.pool import Pool
from cnntrain.errors import (
    CheckpointError,
    CnntrainError,
    ConfigError,
    DataError,
    DivergedError,
    OutOfMemoryError,
    PausedError,
    StoppedError,
    StorageError,
    UsageError,
)
from cnntrain.events import following, require_tensorboard
from cnntrain.files import read_limited
from cnntrain.interrupts import Interrupts
from cnntrain.manifest import Manifest
from cnntrain.monitor import Monitor
from cnntrain.reader import CACHE, Reader
from cnntrain.registry import Part
from cnntrain.run import RUNS, RunDirectory, compare_environments, environment, resumable
from cnntrain.summary import described_without_data, figures
from cnntrain.survey import survey, unreadable, validation_indices
from cnntrain.teacher import learn
from cnntrain.trainer import Job, Trainer
from cnntrain.warmstart import WarmStart, warm_start

HARMLESS = (  # keys that may change on resume: they say how long and how watched, not what is computed
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


Check = Callable[[Loaded, Network, int], object]  # refuses what does not fit in memory, on so many threads


@dataclass(frozen=True)
class Options:
    """How to run, as opposed to what: nothing here changes a single bit of the result."""

    run_dir: Path | None = None
    threads: int | None = None
    tensorboard: bool = False  # event files meanwhile
    resume: bool = False
    resume_or_start: bool = False
    overwrite: bool = False
    strict_env: bool = False
    allow_data_change: bool = False
    progress: Progress = "auto"
    quiet: bool = False
    max_time: float | None = None  # seconds after which training pauses, at least one step further
    verbose: bool = False
    announce: Callable[[Path], None] | None = None  # told the run directory as soon as it is known


def fit(
    configs: Sequence[str | Path],
    sets: Sequence[str] = (),
    options: Options | None = None,
    interrupts: Interrupts | None = None,
) -> dict[str, Any]:
    """Train what the configs describe, in a new run directory or from a checkpoint.

    `interrupts` are the caller's, entered already, who then has signals for longer. Returns what `fit --json` prints:
    run_dir, state, epochs, step, best, final. Raises a CnntrainError whose exit_code is the command's.
    """
    options = options or Options()
    console = Console(options.progress, options.quiet, verbose=options.verbose)
    blas.pin()
    if options.tensorboard:
        require_tensorboard()
    if options.run_dir is None and (options.resume or options.resume_or_start):
        raise UsageError("--resume and --resume-or-start need --run-dir, to know which run is meant")
    with contextlib.nullcontext(interrupts) if interrupts else Interrupts(options.max_time) as held:
        if options.resume or (options.resume_or_start and options.run_dir and resumable(options.run_dir)):
            return _resume(configs, sets, options, console, held)
        if not configs:
            raise UsageError("fit needs a config file. Try: cnntrain fit configs/quickstart.yaml")
        return _start(load(configs, sets), options, console, held)


def _start(loaded: Loaded, options: Options, console: Console, interrupts: Interrupts) -> dict[str, Any]:
    experiment = loaded.experiment
    with interrupts.at_once():
        job = make_job(loaded, options, console)
        warm = warm_start(loaded, job.network)
    directory = RunDirectory.create(
        options.run_dir, experiment.name, fingerprint(experiment), options.overwrite, restart=options.resume_or_start
    )
    with directory as run:
        console.log = run.log
        _announce(run, options)
        run.write_config(loaded.text, to_yaml(plain(experiment)))
        run.write_json("origins.json", loaded.origins())
        run.write_json("env.json", environment() | {"threads": resources.threads(options.threads)})
        run.write_json("data.json", _data_summary(job.data) | ({"init_from": warm.document()} if warm else {}))
        run.write_command(sys.argv)
        console.say(f"run directory: {run.path}")
        run.write_json("manifest.json", job.manifest.document())
        for line in warm.lines() if warm else ():
            console.say(line)
        return _train(job, run, warm, options, console, interrupts)


def _resume(
    configs: Sequence[str | Path], sets: Sequence[str], options: Options, console: Console, interrupts: Interrupts
) -> dict[str, Any]:
    assert options.run_dir is not None
    with RunDirectory.open(options.run_dir) as run:
        _announce(run, options)
        path = run.last
        checkpoint = read(path)
        run.write_command(sys.argv)
        checkpoint.require(environment=dict)
        before, _ = saved.experiment(checkpoint)
        loaded = load(configs, sets) if configs else located(saved.experiment(checkpoint, sets)[0], run.path)
        console.log = run.log
        changed = _changes(before, loaded)
        if changed:
            console.say("changed since the run was started: " + "; ".join(changed))
        _compare_environment(checkpoint, options, console)
        started = manifest.read(run.path / "manifest.json")
        if started is not None and manifest.place(before.experiment) == manifest.place(loaded.experiment):
            _warn_of_changes(
                started,
                manifest.of(loaded.experiment),
                "this run was started",
                "Restore it for the same result",
                console,
            )
        with interrupts.at_once(), contextlib.nullcontext() if configs or sets else saved.blaming(path):
            job = make_job(loaded, options, console)
        _warn_of_schedule(before, job, checkpoint.meta["position"]["step"], console)
        console.say(f"resuming {run.path} at step {checkpoint.meta['position']['step']}")
        return _train(job, run, checkpoint, options, console, interrupts)


def _announce(run: RunDirectory, options: Options) -> None:
    if options.announce:
        options.announce(run.path)


def make_job(loaded: Loaded, options: Options, console: Console, check: Check | None = None) -> Job:
    """Build before reading where the config alone tells the shapes: a wrong layer should not wait for the data."""
    advice.check_codes(loaded)
    check, threads = check or check_memory, resources.threads(options.threads)
    description = build.describe(loaded)
    if description is not None:
        check(loaded, build.network(loaded, description), threads)
    known = manifest.read(manifest.place(loaded.experiment))
    listed = manifest.of(loaded.experiment, known)
    if known is not None:
        _warn_of_changes(known, listed, "'cnntrain check' read it", "Run it again", console)
    data = build.read_data(loaded, _reader(options.threads, console))
    network = build.network(loaded, data.description, build.class_counts(data))
    check(loaded, network, threads)
    _check_targets(loaded, data)
    data = learn(loaded, data, threads)
    loader = build.loader(loaded.experiment, data)
    build.check_batches(network, loader)
    rates.check(loaded, build.horizon(loaded.experiment, loader.steps_per_epoch, len(loader.indices)))
    for line in advice.of(loaded, network, loader.steps_per_epoch):
        console.warn(line)
    monitor = Monitor(loaded, network.tally, validates=data.val is not None)
    return Job(loaded, data, network, monitor, listed)


def _check_targets(loaded: Loaded, data: Data) -> None:
    """Raise DataError where the loss is not defined on a target of training or validation."""
    chosen = loaded.experiment.data
    source = cast(Dataset, chosen.source)
    build.check_targets(loaded, "train", data.train, data.train_indices, source)
    if data.val is data.train:
        build.check_targets(loaded, "train", data.train, data.val_indices, source)
    elif data.val is not None:
        other = cast(Dataset, chosen.val) if isinstance(chosen.val, Part) else source
        split = "val" if "val" in other.splits() else "train"
        build.check_targets(loaded, split, data.val, data.val_indices, other)


def _warn_of_changes(known: Manifest, now: Manifest, since: str, advice: str, console: Console) -> None:
    """Say which files are not as they were."""
    changed = manifest.changes(known, now)
    if changed:
        console.warn(f"the data has changed since {since} ({known.made}): {'; '.join(changed)}. {advice}")


def located(loaded: Loaded, path: Path) -> Loaded:
    """A checkpoint's experiment, whose network knows its lines in the run's config.resolved.yaml, if that has it."""
    file = path / "config.resolved.yaml"
    try:
        written = load_text(read_limited(file, MAX_BYTES, StorageError).decode(), str(file))
    except (StorageError, ConfigError, UnicodeDecodeError):
        return loaded
    if plain(written.experiment.model) != plain(loaded.experiment.model):
        return loaded
    marks = {path: mark for path, mark in written.marks.items() if path.partition(".")[0] in ("model", "loss")}
    experiment = replace(loaded.experiment, model=written.experiment.model)
    return replace(loaded, experiment=experiment, marks={**loaded.marks, **marks})


def check_memory(loaded: Loaded, network: Network, threads: int) -> int:
    """Bytes a training run needs beside its data. Raises ConfigError where the machine does not have them."""
    slots = build.vectors(loaded.experiment)
    needed = resources.needed(network.graph, threads, loaded.experiment.train.batch_size, slots)
    available = resources.available()
    if needed > available:
        raise problem(
            loaded,
            "model",
            f"training needs {resources.human(needed)} of memory for {network.graph.parameter_count():,} parameters at "
            f"batch size {loaded.experiment.train.batch_size}, this machine has {resources.human(available)}: "
            "make the network or the batch smaller",
        )
    return needed


def _train(
    job: Job,
    run: RunDirectory,
    origin: Checkpoint | WarmStart | None,
    options: Options,
    console: Console,
    interrupts: Interrupts,
) -> dict[str, Any]:
    """Train from step 0, or go on from a checkpoint."""
    threads = resources.threads(options.threads)
    with _outcome(run), _enough_memory(job, threads), Pool(threads) as pool:
        trainer = Trainer(job, run, pool, console, interrupts)
        for line in _details(trainer, pool):
            console.detail(line)
        if isinstance(origin, Checkpoint):
            trainer.restore(origin, options.allow_data_change)
            run.resume_logs(origin.meta["metrics_length"])
            trainer.note()
        else:
            trainer.start(origin)
        done = trainer.finished is not None
        if not done:
            run.require_space(job.loaded.experiment.checkpoint.keep)
        with following(run) if options.tensorboard else contextlib.nullcontext():
            trainer.fit()
        result = _result(trainer)
        run.status(
            state="finished", step=trainer.step, epoch=trainer.closed, best=trainer.monitor.summary(), exit_code=0
        )
    _say_what_next(trainer, run, done, console)
    return result


def _details(trainer: Trainer, pool: Pool) -> list[str]:
    """What `-v` says before training: versions, threads, sizes."""
    about, graph = environment(), trainer.network.graph
    size = trainer.loaded.experiment.train.batch_size
    needed = resources.needed(graph, pool.threads, size, build.vectors(trainer.loaded.experiment))
    return [
        f"cnntrain {about['cnntrain']}, Python {about['python']}, NumPy {about['numpy']}, {about['blas']}",
        f"{pool.threads} thread{'s' * (pool.threads != 1)}, {-(-size // trainer.engine.shard)} shards a batch of "
        f"{trainer.engine.shard} samples, "
        f"{resources.human(needed)} of memory beside the data",
        f"{graph.parameter_count():,} parameters in {len(graph.nodes)} layers",
        f"{len(trainer.loader.indices):,} training and {len(trainer.data.val_indices):,} validation samples, "
        f"{trainer.loader.steps_per_epoch:,} steps an epoch, {trainer.horizon.total_steps:,} in all",
    ]


def prepare(configs: Sequence[str | Path], sets: Sequence[str], options: Options) -> Job:
    """What training the configs needs, data included, and no run directory. Raises ConfigError or DataError."""
    return make_job(load(configs, sets), options, Console("none"))


def dry_run(
    configs: Sequence[str | Path], sets: Sequence[str], options: Options, began: float | None = None
) -> dict[str, Any]:
    """What `fit --dry-run --json` prints: all that `check` finds, and what the run will take. Writes nothing.

    `began` is when the command did, by time.perf_counter; what has passed since is part of the run's time. Raises
    OutOfMemoryError or StorageError where the machine does not have that, and what `rehearse` raises.
    """
    began = began or time.perf_counter()
    loaded = load(configs, sets)
    threads = resources.threads(options.threads)
    job = make_job(loaded, options, Console("none"), forecast.check_memory)
    warm_start(loaded, job.network)
    start = time.perf_counter() - began
    ahead = forecast.forecast(job, threads, options.run_dir or RUNS / loaded.experiment.name)
    ahead["run_seconds"] += start
    counts = _class_counts(loaded, job.data, _reader(options.threads, Console("none")))
    return figures(loaded, job.network, threads) | ahead | {"data": counts}


def rehearse(configs: Sequence[str | Path], sets: Sequence[str], options: Options) -> dict[str, Any]:
    """What `check --no-data --json` prints: all that can be told without reading data. Raises ConfigError."""
    loaded = load(configs, sets)
    console = Console("none")
    threads = resources.threads(options.threads)
    advice.check_codes(loaded)
    network = build.network(loaded, described_without_data(loaded))
    check_memory(loaded, network, threads)
    for line in advice.of(loaded, network):
        console.warn(line)
    Monitor(loaded, network.tally, build.validates(loaded.experiment))
    return figures(loaded, network, threads)


def examine(
    configs: Sequence[str | Path], sets: Sequence[str], options: Options, sheet: Path | None = None
) -> tuple[dict[str, Any], DataError | None]:
    """What `check --json` prints: a survey of every file, and unless some cannot be read all that precedes training.

    What cannot be read is the error that comes with it. Writes the manifest, and a contact sheet where asked for.
    Raises ConfigError, DataError or StorageError.
    """
    loaded = load(configs, sets)
    console = Console("none", quiet=True)
    blas.pin()
    advice.check_codes(loaded)
    threads = resources.threads(options.threads)
    with Pool(threads) as pool:
        found = survey(loaded, pool)
    if found.files:
        try:
            manifest.keep(found.manifest, manifest.place(loaded.experiment))
        except StorageError as error:
            console.warn(f"{error}. Later runs will not notice what changes")
    name = loaded.experiment.name
    if found.unreadable:
        return {"name": name, "survey": found.document()}, unreadable(found)
    job = make_job(loaded, options, console)
    found = found.validating(validation_indices(loaded, job.data))
    if sheet is not None:
        loader = build.loader(loaded.experiment, replace(job.data, lesson=None))
        files.make_directory(sheet.parent)
        files.write_atomic(sheet, contact_sheet(name, loader, job.data))
    warm_start(loaded, job.network)
    counts = _class_counts(loaded, job.data, _reader(options.threads, console))
    return figures(loaded, job.network, threads) | {"data": counts, "survey": found.document()}, None


def _class_counts(loaded: Loaded, data: Data, reader: Reader) -> dict[str, dict[str, Any]]:
    """Of each split the number of samples, and by class. Raises DataError for a test split unlike the training one."""
    splits = {"train": (data.train, data.train_indices)}
    if data.val is not None:
        splits["val"] = (data.val, data.val_indices)
    source = loaded.experiment.data.source
    assert isinstance(source, Dataset)
    if "test" in source.splits():
        test = build.load(loaded, source, "test", reader)
        if test.shape != data.train.shape or test.classes != data.train.classes:
            raise DataError(
                f"test samples are {size_text(test.shape)} of {len(test.classes)} classes, training samples "
                f"{size_text(data.train.shape)} of {len(data.train.classes)}. Give both the same shape and class names"
            )
        splits["test"] = (test, np.arange(len(test)))
    return {name: {"samples": len(indices)} | _counts(images, indices) for name, (images, indices) in splits.items()}


def _counts(images: Images, indices: Array) -> dict[str, Any]:
    if not images.classes:
        return {}
    found = np.bincount(images.targets[indices], minlength=len(images.classes))
    return {"per_class": dict(zip(images.classes, found.tolist(), strict=True))}


@contextlib.contextmanager
def _outcome(run: RunDirectory) -> Iterator[None]:
    """Leave word in the run directory of how the session ended."""
    try:
        yield
    except (StoppedError, PausedError) as error:
        run.log(str(error))
        run.status(state="interrupted", exit_code=error.exit_code)
        raise
    except CnntrainError as error:
        state = "diverged" if isinstance(error, DivergedError) else "failed"
        with contextlib.suppress(StorageError):  # where the disk is full, that is what the user must hear of, once
            run.log(f"cnntrain: error: {error}")
            run.status(state=state, exit_code=error.exit_code)
        raise
    except Exception as error:
        error.add_note(str(run.write_crash(traceback.format_exc())))
        run.status(state="failed", exit_code=1)
        raise


@contextlib.contextmanager
def _enough_memory(job: Job, threads: int) -> Iterator[None]:
    """Say of a MemoryError how much memory training takes, so far as it can be told beforehand."""
    try:
        yield
    except MemoryError as error:
        experiment = job.loaded.experiment
        size = experiment.train.batch_size
        needed = resources.needed(job.network.graph, threads, size, build.vectors(experiment))
        raise OutOfMemoryError(
            f"out of memory: training at batch size {size} on {threads} thread{'s' * (threads > 1)} needs about "
            f"{resources.human(needed)} beside the data. Lower train.batch_size, take fewer --threads, "
            "or make the network or the images smaller"
        ) from error


def _result(trainer: Trainer) -> dict[str, Any]:
    return {
        "run_dir": str(trainer.run.path),
        "state": "finished",
        "reason": trainer.finished,
        "epochs": trainer.closed,
        "step": trainer.step,
        "best": trainer.monitor.summary(),
        "final": trainer.values,
    }


def _say_what_next(trainer: Trainer, run: RunDirectory, was_done: bool, console: Console) -> None:
    standing, path = trainer.monitor.standing, run.path
    watched = "val/loss" if trainer.data.val is not None else "train/loss"
    console.curve(watched, [row.get(watched) for row in run.rows() if row["event"] == "eval"])
    how = "was finished already" if was_done else "finished"
    epochs = f"{trainer.closed} epoch{'s' * (trainer.closed != 1)}"
    console.say(f"{how}: {trainer.finished} after {epochs}, {trainer.step} step{'s' * (trainer.step != 1)}")
    if standing.best is not None:
        console.say(f"best {trainer.monitor.best}: {standing.best:.6g} after epoch {standing.best_epoch}")
    if trainer.waited:
        console.say(f"waiting for data: {sum(trainer.waited) / len(trainer.waited):.1%} of the time")
    console.say(f"results: {path}")
    console.say(f"next: cnntrain eval {shlex.quote(str(path))}")


def _changes(saved: Loaded, now: Loaded) -> list[str]:
    """The keys that differ, as "key: then -> now". Raises ConfigError for one that would make it another experiment."""
    before, after = dict(leaves(plain(saved.experiment))), dict(leaves(plain(now.experiment)))
    changed = [key for key in before | after if before.get(key) != after.get(key)]
    for key in changed:
        if not any(key == harmless or key.startswith(harmless + ".") for harmless in HARMLESS):
            raise problem(
                now,
                key,
                f"{key} was {before.get(key)!r} when this run was started and is {after.get(key)!r} now: "
                "start another run, or take the change back",
            )
    return [f"{key}: {before.get(key)!r} -> {after.get(key)!r}" for key in changed]


def _warn_of_schedule(before: Loaded, job: Job, step: int, console: Console) -> None:
    """Say what a changed length of training does to the learning rate."""
    steps_per_epoch = build.loader(job.loaded.experiment, job.data).steps_per_epoch
    then, now = (
        build.schedule(experiment)(step, build.horizon(experiment, steps_per_epoch), build.optimizer(experiment).lr)
        for experiment in (before.experiment, job.loaded.experiment)
    )
    if then != now:
        console.warn(f"the schedule spans the new length: the learning rate of step {step} was {then:g} and is {now:g}")


def _compare_environment(checkpoint: Checkpoint, options: Options, console: Console) -> None:
    differences = compare_environments(checkpoint.meta["environment"], environment())
    if differences and options.strict_env:
        raise CheckpointError(
            f"{checkpoint.path} was written in another environment ({'; '.join(differences)}), "
            "and --strict-env refuses that. Resume where it was started, or leave --strict-env out"
        )
    if differences:
        console.warn(f"not bit-identical to an uninterrupted run: {'; '.join(differences)}")


def _data_summary(data: Data) -> dict[str, Any]:
    return {
        "classes": list(data.description.classes),
        "shape": list(data.description.shape),
        "samples": {"train": len(data.train_indices), "val": len(data.val_indices)},
        "skipped": [*data.train.skipped, *(data.val.skipped if data.val and data.val is not data.train else ())],
        "validation_indices": data.val_indices.tolist() if data.val is data.train else None,
        "train_transforms": [plain(transform) for transform in data.train_transforms],
        "eval_transforms": [plain(transform) for transform in data.eval_transforms],
    }


def _reader(threads: int | None, console: Console) -> Reader:
    """How the data is read."""
    return Reader(resources.threads(threads), CACHE, resources.available(), console.say, console.warn)
