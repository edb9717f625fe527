"""A session is what one `cnntrain fit` does: read, build, start or resume, train, and say where the results are."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from cnntrain.config.dump import fingerprint, libraries, packages, plain, to_line, to_yaml
from cnntrain.config.fields import Duration
from cnntrain.config.load import Loaded, load, load_resolved, problem
from cnntrain.config.mapping import Config
from cnntrain.config.tree import RESOLVED
from cnntrain.core import blas, collector, machine, shell
from cnntrain.core.conditions import require_name
from cnntrain.core.console import Console, Progress
from cnntrain.core.counts import counted
from cnntrain.core.errors import (
    CnntrainError,
    ConfigError,
    DivergedError,
    OutOfMemoryError,
    StorageError,
    UnfinishedError,
    UsageError,
)
from cnntrain.data import identity, manifest
from cnntrain.data.build_data import Data
from cnntrain.engine import memory
from cnntrain.engine.pool import Pool
from cnntrain.engine.ranks import Ranks
from cnntrain.parts.datasets.base import Dataset
from cnntrain.reading.folders import one_look
from cnntrain.rundir.checkpoint import Checkpoint, read, read_meta
from cnntrain.rundir.directory import RunDirectory, resumable
from cnntrain.rundir.environment import environment
from cnntrain.rundir.event_files import following
from cnntrain.rundir.follower import Follower
from cnntrain.rundir.json_files import read_object
from cnntrain.trained import saved
from cnntrain.training import advice, ancestry, changes, film, learned, muster
from cnntrain.training.interrupts import Interrupts
from cnntrain.training.job import Job, make_job
from cnntrain.training.stepper import vectors
from cnntrain.training.trainer import Trainer
from cnntrain.training.warm_start import WarmStart, warm_start

_FEWEST = 4  # samples of a shard below which the calls of a step cost more than the workers gain
_EXAMPLE = Path("configs/quickstart.yaml")  # of this repository: where it is the working directory


@dataclass(frozen=True)
class Options:
    """How to run, as opposed to what: nothing here changes a single bit of the result."""

    run_dir: Path | None = None
    threads: int | None = None
    tensorboard: bool = False  # write event files during training
    live: bool = False  # write the file that `cnntrain watch` shows besides the journal
    resume: bool = False
    resume_or_start: bool = False
    overwrite: bool = False
    strict_env: bool = False
    allow_data_change: bool = False
    fingerprint: str | None = None  # of the experiment that a sweep has read, where this is a run of it
    figures: Sequence[str] = ()  # metrics that the caller wants to know in the end
    progress: Progress = "auto"
    quiet: bool = False
    max_time: float | None = None  # seconds after which training pauses, at least one step further
    pause_at: Duration | None = None  # where training pauses; a run that has come this far takes no step
    verbose: bool = False
    announce: Callable[[Path], None] | None = None  # called with the run directory as soon as it is known
    warn: Callable[[str], None] | None = None  # called with warnings, which otherwise go to stderr


def fit(
    configs: Sequence[str | Path | Config],
    sets: Sequence[str] = (),
    options: Options | None = None,
    loaded: Loaded | None = None,
) -> dict[str, Any]:
    """Train what the configs describe, in a new run directory or from a checkpoint.

    `loaded` is what `load(configs, sets)` gave, where the caller has read them. Returns what `fit --json` prints:
    run_dir, state, epochs, step, best, final. Raises a CnntrainError whose exit_code is the command's; an
    UnfinishedError has this as its `result`.
    """
    options, ranks = options or Options(), muster.join()
    with ranks.failing_together():
        return _fit(configs, sets, _of_rank(options, ranks), loaded, ranks)


def _of_rank(options: Options, ranks: Ranks) -> Options:
    """The options for this rank: its workers, and silence unless it leads."""
    if ranks.size > 1:
        options = replace(options, threads=muster.threads(ranks, options.threads))
    if ranks.leads:
        return options
    return replace(options, progress="none", quiet=True, verbose=False, tensorboard=False, announce=None, warn=_ignore)


def _ignore(_text: str) -> None:
    """Say nothing: the leader says the same."""


def _fit(
    configs: Sequence[str | Path | Config],
    sets: Sequence[str],
    options: Options,
    loaded: Loaded | None,
    ranks: Ranks,
) -> dict[str, Any]:
    console = Console(options.progress, options.quiet, verbose=options.verbose, warned=options.warn)
    blas.pin()
    if options.run_dir is None and (options.resume or options.resume_or_start):
        raise UsageError("--resume and --resume-or-start need --run-dir, to know which run is meant")
    with Interrupts(options.max_time) as held:
        if _resumes(options, ranks):
            return _resume(configs, sets, options, console, held, ranks)
        if not configs:
            example = f"Try: cnntrain fit {_EXAMPLE}" if _EXAMPLE.is_file() else ""
            raise UsageError(
                f"fit needs a config file. {example or 'Write one for your data with: cnntrain init --data DATA'}"
            )
        return _start(loaded or _load(configs, sets, options), options, console, held, ranks)


def _load(configs: Sequence[str | Path | Config], sets: Sequence[str], options: Options) -> Loaded:
    if options.fingerprint is None:
        return load(configs, sets)
    return changes.load_unchanged(configs, sets, options.fingerprint)


def _resumes(options: Options, ranks: Ranks) -> bool:
    """Whether to resume the run: where that depends on what is there, the leader looks, for the others may not see it.

    Raises UsageError where the ranks were asked for different things.
    """
    asked = {
        "--resume": options.resume,
        "--resume-or-start": options.resume_or_start,
        "--pause-at": None if options.pause_at is None else str(options.pause_at),
        "--watch": options.live,
    }
    muster.require_one_command(ranks, asked)
    if options.resume or not options.resume_or_start or options.run_dir is None:
        return options.resume
    return bool(ranks.tell(ranks.leads and resumable(options.run_dir))[0])


def _start(loaded: Loaded, options: Options, console: Console, interrupts: Interrupts, ranks: Ranks) -> dict[str, Any]:
    experiment = loaded.experiment

    def build() -> tuple[Job, WarmStart | None]:
        job = make_job(loaded, options.threads, console)
        return job, warm_start(loaded, job.network)

    def create() -> RunDirectory:
        lesson = job.data.lesson
        if lesson and options.run_dir and lesson.path.resolve().is_relative_to(options.run_dir.resolve()):
            message = f"the teacher {lesson.path} lies in the run directory {options.run_dir}: choose another --run-dir"
            raise problem(loaded, "loss.teacher", message)
        of_sweep = options.fingerprint is not None
        return RunDirectory.create(
            options.run_dir, experiment.name, fingerprint(experiment), options.overwrite, of_sweep=of_sweep
        )

    with interrupts.at_once(), collector.resting():
        job, warm = ranks.leader_first(build)
        _require_figures(job, options)
        muster.require_alike(ranks, job, warm)
    with muster.held(ranks, create) as run:
        if isinstance(run, RunDirectory):
            _describe(run, job, warm, options, console, ranks)
        return _train(job, run, warm, options, console, interrupts, ranks)


@collector.resting()
def _describe(
    run: RunDirectory, job: Job, warm: WarmStart | None, options: Options, console: Console, ranks: Ranks
) -> None:
    """Write down what a new run is made from, and say where."""
    loaded = job.loaded
    console.log_to(run.log)
    _announce(run, options)
    run.write_config(loaded.text, to_yaml(plain(loaded.experiment)))
    run.write_json("origins.json", loaded.origins())
    about = environment(libraries(loaded.experiment), packages(loaded.experiment))
    run.write_json("env.json", about | {"threads": machine.threads(options.threads), "ranks": ranks.size})
    run.write_json("data.json", _data_summary(job.data) | ancestry.recorded(job, warm))
    run.write_command(sys.argv)
    console.say(f"run directory: {run.path}")
    manifest.share(job.manifest, run)
    manifest.keep_once(run, identity.FILE, identity.listed(*job.identities))
    for line in warm.lines() if warm else ():
        console.say(line)
    for line in ancestry.warnings(job, warm):
        console.warn(line)


def _resume(
    configs: Sequence[str | Path | Config],
    sets: Sequence[str],
    options: Options,
    console: Console,
    interrupts: Interrupts,
    ranks: Ranks,
) -> dict[str, Any]:
    assert options.run_dir is not None
    run_dir = options.run_dir
    with muster.held(ranks, lambda: RunDirectory.open(run_dir)) as run:
        path = run.last
        checkpoint = read(path)
        if isinstance(run, RunDirectory):
            _announce(run, options)
            run.write_command(sys.argv)
        checkpoint.require(environment=dict)
        before, _ = saved.experiment(checkpoint)
        loaded = (
            _load(configs, sets, options) if configs else saved.located(saved.experiment(checkpoint, sets)[0], run.path)
        )
        console.log_to(run.log)
        if changed := changes.of_settings(before, loaded):
            console.say("changed since the run was started: " + "; ".join(changed))
        loaded = replace(loaded, begun=True)
        for line in changes.of_environment(checkpoint, loaded, options.strict_env):
            console.warn(line)

        def build() -> Job:
            if not configs:
                saved.require_places(loaded.experiment, path)
            with one_look():
                for line in changes.of_files(run.path / manifest.FILE, before, loaded):
                    console.warn(line)
                with interrupts.at_once(), contextlib.nullcontext() if configs or sets else saved.blaming(checkpoint):
                    return make_job(loaded, options.threads, console)

        with collector.resting():
            job = ranks.leader_first(build)
            _require_figures(job, options)
            muster.require_alike(ranks, job)
        step = checkpoint.meta["position"]["step"]
        for line in changes.of_length(before, job, step):
            console.warn(line)
        console.say(f"resuming {run.path} at step {step}")
        return _train(job, run, checkpoint, options, console, interrupts, ranks)


def _require_figures(job: Job, options: Options) -> None:
    """Raise UsageError for a metric that the caller wants to know and that is not measured."""
    for name in options.figures:
        require_name(name, job.monitor.larger, "this run has no figure")


def _announce(run: RunDirectory, options: Options) -> None:
    if options.announce:
        options.announce(run.path)


def _train(
    job: Job,
    run: RunDirectory | Follower,
    origin: Checkpoint | WarmStart | None,
    options: Options,
    console: Console,
    interrupts: Interrupts,
    ranks: Ranks,
) -> dict[str, Any]:
    """Train from step 0, or go on from a checkpoint."""
    threads = machine.threads(options.threads)
    with _outcome(run), _enough_memory(job, threads), Pool(threads, ranks) as pool:
        trainer = Trainer(job, run, pool, console, interrupts, options.pause_at)
        for line in _details(trainer, pool):
            console.detail(line)
        if idle := _idle(trainer, pool):
            console.say(idle)
        if isinstance(origin, Checkpoint):
            _go_on(trainer, run, origin, options, console)
        else:
            trainer.start(origin)
        done = trainer.state.finished is not None
        if not done:
            run.require_space(job.loaded.experiment.checkpoint.keep, film.size(job)[1])
        if options.live:
            trainer.watched(run)
        with following(run) if options.tensorboard and isinstance(run, RunDirectory) else contextlib.nullcontext():
            try:
                trainer.fit()
            except UnfinishedError as error:
                error.result = _result(trainer, "interrupted")
                raise
        result = _result(trainer, "finished")
        run.status(
            state="finished",
            step=trainer.state.step,
            epoch=trainer.state.closed,
            best=job.monitor.summary(),
            exit_code=0,
        )
    _say_what_next(trainer, run, done, console)
    return result


def _go_on(
    trainer: Trainer, run: RunDirectory | Follower, origin: Checkpoint, options: Options, console: Console
) -> None:
    """Restore a checkpoint. Settings that are not its own are in last.npz before anything speaks of them.

    By the advised command a run that is killed early goes on with these, which nobody has to type again.
    """
    (before, _), now = saved.experiment(origin), trainer.job.loaded
    trainer.state.restore(origin, options.allow_data_change)
    _keep_samples(trainer, run, origin, console)
    run.resume_logs(origin.meta["metrics_length"])
    run.cut_film(trainer.state.step)
    finished = trainer.state.finished is not None
    if not finished and changes.of_settings(before, now):
        trainer.save(hurried=True)  # which leaves every bit as it was
    if isinstance(run, RunDirectory):
        _describe_anew(run, before if finished else now)
    trainer.note()


def _describe_anew(run: RunDirectory, loaded: Loaded) -> None:
    """Where a run goes on with other settings, have its config be those from now on, and say where they come from."""
    resolved, now = to_yaml(plain(loaded.experiment)), loaded.origins()
    try:
        before = load_resolved(run.path / RESOLVED)
        origins = read_object(run.path / "origins.json")
    except (ConfigError, StorageError):  # lost or damaged: written anew
        changed, origins = {*now}, {}
    else:
        changed = {*changes.differing(plain(before.experiment), plain(loaded.experiment))}
    if changed:
        run.write_json("origins.json", now | {key: origins[key] for key in origins.keys() & now.keys() - changed})
        run.write_resolved(resolved)  # last: until it is there, the next resume does both


def _keep_samples(trainer: Trainer, run: RunDirectory | Follower, origin: Checkpoint, console: Console) -> None:
    """Record the samples of a resumed run where they changed; warn where validation samples were trained on."""
    then, (train, val) = identity.beside(origin.path), trainer.job.identities
    if not then or (then["train"].digest, then["val"].digest) != (train.digest, val.digest):
        trained_on = int(val.among(then["train"]).sum()) if then else 0
        if trained_on:
            console.warn(
                f"{trained_on:,} of {len(val):,} validation samples {'was' if trained_on == 1 else 'were'} trained on "
                "before the data changed: what is measured there is too good. Start another run, or give it a data.val "
                "of its own"
            )
        if isinstance(run, RunDirectory):
            manifest.keep_once(run, identity.FILE, identity.listed(train, val))


def _details(trainer: Trainer, pool: Pool) -> list[str]:
    """The lines of `-v` before training: versions, threads, sizes."""
    about, job = environment(), trainer.job
    graph, size, shard = job.network.graph, job.loaded.experiment.train.batch_size, trainer.stepper.engine.shard
    needed = memory.needed(graph, pool.threads, size, vectors(job.loaded.experiment), tally=job.network.tally.size)
    ranks = f"{pool.ranks.size} ranks, the first with " if pool.ranks.size > 1 else ""
    return [
        f"cnntrain {about['cnntrain']}, Python {about['python']}, NumPy {about['numpy']}, {about['blas']}",
        f"{ranks}{counted(pool.threads, 'thread')}, {counted(-(-size // shard), 'shard')} of "
        f"{counted(shard, 'sample')} a batch, {machine.human(needed)} of memory besides the data",
        f"{counted(graph.parameter_count(), 'parameter')} in {counted(len(graph.nodes), 'layer')}",
        f"{len(job.loader.indices):,} training and {counted(len(job.data.val_indices), 'validation sample')}, "
        f"{counted(job.loader.steps_per_epoch, 'step')} an epoch, {job.horizon.total_steps:,} in all",
    ]


def _idle(trainer: Trainer, pool: Pool) -> str | None:
    """Which workers have nothing to do in a step, and what would keep them busy."""
    samples, shard = len(trainer.job.loader.indices), trainer.stepper.engine.shard
    size = min(trainer.job.loaded.experiment.train.batch_size, samples)
    workers, shards = sum(pool.roster.workers), -(-size // shard)
    if shards >= workers:
        return None
    larger, smaller, idle = workers * shard, size // workers, workers - shards
    ways = [f"train.batch_size: {larger}"] if larger <= samples else []
    ways += [f"train.shard: {smaller}, at other bits and a little more work per sample,"] if smaller >= _FEWEST else []
    how = f"{' or '.join(ways)} would keep them all busy" if ways else f"there are too few samples for all: {samples:,}"
    cut = f"{counted(shards, 'shard')} of {shard}"
    return f"{idle} of {workers} workers {'is' if idle == 1 else 'are'} idle: a batch of {size} is {cut}. {how}"


@contextlib.contextmanager
def _outcome(run: RunDirectory | Follower) -> Iterator[None]:
    """Record in the run directory how the session ended; a resume that was refused leaves its status as it was."""
    try:
        yield
    except UnfinishedError as error:
        run.log(str(error))
        run.status(state="interrupted", exit_code=error.exit_code)
        with contextlib.suppress(StorageError):  # which can be made from metrics.jsonl
            run.write_csv()
        raise
    except CnntrainError as error:
        state = "diverged" if isinstance(error, DivergedError) else "failed"
        if isinstance(error, StorageError):
            error.args = (run.going_on(str(error)),)
        with contextlib.suppress(StorageError):  # if the disk is full, that is what the user must hear about, once
            run.log(f"cnntrain: error: {error}")
            if not run.as_it_was:
                run.status(state=state, exit_code=error.exit_code)
                run.write_csv()
        raise
    except (Exception, SystemExit) as error:
        with contextlib.suppress(StorageError):  # then the bug is told without it
            vars(error)["crash_log"] = run.write_crash(traceback.format_exc())
            run.log(traceback.format_exc())
            if not run.as_it_was:
                run.status(state="failed", exit_code=1)
        raise


@contextlib.contextmanager
def _enough_memory(job: Job, threads: int) -> Iterator[None]:
    """Turn a MemoryError into a message that says how much memory training takes, as far as that can be predicted."""
    try:
        yield
    except MemoryError as error:
        experiment = job.loaded.experiment
        size = experiment.train.batch_size
        needed = memory.needed(job.network.graph, threads, size, vectors(experiment), tally=job.network.tally.size)
        limit = machine.address_limit()
        first = f", and {limit}, libraries included. Raise the limit, lower" if limit else ". Lower"
        raise OutOfMemoryError(
            f"out of memory: training at batch size {size} on {counted(threads, 'thread')} needs about "
            f"{machine.human(needed)} besides the data{first} train.batch_size, use fewer --threads, "
            "or make the network or the images smaller"
        ) from error


def _result(trainer: Trainer, outcome: str) -> dict[str, Any]:
    """What `fit --json` prints."""
    state = trainer.state
    return {
        "run_dir": str(trainer.run.path),
        "state": outcome,
        "reason": state.finished,
        "epochs": state.closed,
        "step": state.step,
        "best": trainer.job.monitor.summary(),
        "final": state.values,
    }


def _say_what_next(trainer: Trainer, run: RunDirectory | Follower, was_done: bool, console: Console) -> None:
    state, monitor, waited = trainer.state, trainer.job.monitor, trainer.timekeeper.waited
    watched = "val/loss" if trainer.job.data.val is not None else "train/loss"
    console.curve(watched, [row.get(watched) for row in run.rows() if row["event"] == "eval"])
    how = "was finished already" if was_done else "finished"
    console.say(f"{how}: {state.finished} after {counted(state.closed, 'epoch')}, {counted(state.step, 'step')}")
    if monitor.standing.best is not None:
        console.say(
            f"best {monitor.summary()['metric']}: {monitor.standing.best:.6g} after epoch {monitor.standing.best_epoch}"
        )
    if waited:
        console.say(f"waiting for data: {sum(waited) / len(waited):.1%} of the time")
    doubt = None if was_done else learned.complaint(trainer.job, state.values, state.step)
    for line in advice.told(trainer.job.loaded, "at-chance", str(doubt or "")):
        console.warn(line)
        if doubt and doubt.blames_lr:
            console.say(f"to find a better one: cnntrain lr-find {shell.word(run.path / RESOLVED)}")
    console.say(f"results: {run.path}")
    split = usual_split(trainer.job)
    further = "" if split == "test" else f" --split {split}"
    if was_done and isinstance(run, RunDirectory):
        further += _elsewhere(trainer.job, run)
    console.say(f"next: cnntrain eval {shell.word(run.path)}{further}")


def _elsewhere(job: Job, run: RunDirectory) -> str:
    """What to add to commands about a finished run whose data was found elsewhere, where no checkpoint looks for it."""
    data = read_meta(run.last)["config"]["data"]
    found = changes.differing(data, plain(job.loaded.experiment)["data"])
    places = {key: now for key, (_, now) in found.items() if saved.is_place(f"data.{key}")}
    return "".join(f" --set {shell.word(f'data.{key}={to_line(place)}')}" for key, place in places.items())


def usual_split(job: Job) -> str:
    """The split to measure a finished network on: test if the source has one, else what validated it, else train."""
    if "test" in cast(Dataset, job.loaded.experiment.data.source).splits():
        return "test"
    return "train" if job.data.val is None else "val"


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
