"""A replay takes steps of a run again, from one of its checkpoints, and writes nothing.

`replay` goes to the step where a run diverged and checks that it happens again in the same place; `verify` goes from an
earlier checkpoint to the last one and compares every bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from cnntrain.config.dump import libraries
from cnntrain.config.load import load_resolved
from cnntrain.config.schema import Experiment
from cnntrain.config.tree import RESOLVED
from cnntrain.core import blas, machine, shell, strict_json
from cnntrain.core.console import Console
from cnntrain.core.counts import counted, foremost
from cnntrain.core.errors import CheckFailedError, DivergedError, RunDirectoryError, StorageError
from cnntrain.core.regular_file import DENIED, cured, read_limited, read_own
from cnntrain.engine.examination import What
from cnntrain.engine.pool import Pool
from cnntrain.parts.schedules.base import Horizon
from cnntrain.rundir import numbering
from cnntrain.rundir.checkpoint import FOLDER, Checkpoint, changed_packages, last_of, read, read_meta
from cnntrain.rundir.directory import FLIGHT_RECORD
from cnntrain.rundir.environment import compare_environments, environment
from cnntrain.rundir.journal import Unwritten
from cnntrain.rundir.json_files import first_row
from cnntrain.trained import saved
from cnntrain.trained.inference import check_override
from cnntrain.training.changes import differing
from cnntrain.training.flight_recorder import described
from cnntrain.training.interrupts import Interrupts
from cnntrain.training.job import make_job
from cnntrain.training.rates import horizon
from cnntrain.training.state import State
from cnntrain.training.trainer import Trainer

_LARGEST_RECORD = 256 * 2**20  # bytes: room for the indices of very large batches
_POSITION = ("position", "monitor", "schedules", "average", "values_of_epoch")  # of the meta: what training changes


def replay(
    path: Path, sets: Sequence[str] = (), threads: int | None = None, warn: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Take the steps from last.npz to where the run diverged, and compare the first finding with the record.

    Returns what `replay --json` prints. `warn` is told in what the environment differs; None prints it. Raises
    RunDirectoryError where there is no record, or where the run has gone on beyond it; CheckFailedError where it does
    not diverge, or diverges in another place.
    """
    last = read(last_of(path))
    console, record = _console(last, warn), _record(path)
    with _trainer(path, last, sets, threads, console) as (trainer, _):
        step, closed, when = record["step"], record["closed"], record["when"]
        state = trainer.state
        if (state.step, state.closed) > (step, closed):
            raise RunDirectoryError(
                f"{last.path} is at step {state.step}, beyond step {step}, where a divergence was recorded: "
                "the run has gone on since, and there is nothing to replay"
            )
        found: dict[str, Any] | None = None
        try:
            trainer.go_to(step + (when == "step"), closed + (when == "validation"))
            trainer.check_weights()
        except DivergedError as error:
            found = error.record
    steps = step - last.meta["position"]["step"] + (when == "step")
    if found is None:
        raise CheckFailedError(
            f"{path} did not diverge again: for {counted(steps, 'step')} from {last.path} on, "
            f"every number is finite. It was recorded as: {record['reason']}"
        )
    if _place(found["first"]) != _place(record["first"]):
        raise CheckFailedError(
            f"{path} diverged again, but elsewhere: {described(found)}. It was recorded as: {described(record)}"
        )
    return {
        "run": str(path),
        "checkpoint": str(last.path),
        "steps": steps,
        "step": found["step"],
        "split": found["split"],
        "reason": found["reason"],
        "first": found["first"],
        "recorded": record["first"],
        "same": True,
    }


def verify(
    path: Path,
    sets: Sequence[str] = (),
    threads: int | None = None,
    steps: int = 1,
    warn: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Take at least so many last steps again, up to last.npz, and compare arrays, position and rows of metrics.

    Returns what `verify --json` prints. Raises RunDirectoryError where there is no earlier checkpoint; CheckFailedError
    where something differs.
    """
    last = read(last_of(path))
    console = _console(last, warn)
    last.require(position__step=int, position__closed=int, metrics_length=int, config=dict)
    start = read(_earlier(path, last, steps))
    position = last.meta["position"]
    with _trainer(path, start, sets, threads, console) as (trainer, journal):
        trainer.go_to(position["step"], position["closed"])
        if saved.averaged(last):
            trainer.stepper.remeasure()  # as before the save
        differences = _differences(saved.renewed(last, trainer.job.network.tally), trainer.state, journal)
    first, end = start.meta["metrics_length"], last.meta["metrics_length"]
    rows = _stretch(path / "metrics.jsonl", first, end)
    if rows != journal.rows:
        differences.append(f"metrics.jsonl from byte {first:,} to {end:,}")
    if differences:
        raise CheckFailedError(
            f"{last.path} is not what training from {start.path} gives: {foremost(differences)} differ. "
            f"{_why(start, last)}"
        )
    return {
        "run": str(path),
        "from": str(start.path),
        "to": str(last.path),
        "steps": position["step"] - start.meta["position"]["step"],
        "arrays": len(last.arrays),
        "metric_rows": rows.count(b"\n"),
        "same": True,
    }


def _console(last: Checkpoint, warn: Callable[[str], None] | None) -> Console:
    """What warnings go to, the first of them where the environment is another than the run's: bits may differ then."""
    console = Console("none", quiet=True, warned=warn)
    if differences := _elsewhere(last):
        console.warn(f"this is not the run's environment, bits may differ: {'; '.join(differences)}")
    return console


def _elsewhere(checkpoint: Checkpoint) -> list[str]:
    """In what that decides bits the environment that wrote a checkpoint differs from this one."""
    then = checkpoint.meta.get("environment")
    now = environment(libraries(saved.experiment(checkpoint)[0].experiment))
    return (compare_environments(then, now) if isinstance(then, dict) else []) + changed_packages(checkpoint.meta)


def _why(start: Checkpoint, last: Checkpoint) -> str:
    """What may have made the bits differ: only where the environment is the run's is anything wrong with them."""
    if differences := _elsewhere(start) or _elsewhere(last):
        return f"It proves nothing, since the environment is another: {'; '.join(differences)}. Verify in the run's own"
    return "The file was altered, or a step was computed wrongly, then or now"


@contextmanager
def _trainer(
    path: Path, checkpoint: Checkpoint, sets: Sequence[str], threads: int | None, console: Console
) -> Iterator[tuple[Trainer, Unwritten]]:
    """A trainer at a checkpoint of a run, which writes nothing."""
    blas.pin()
    for override in sets:
        check_override(override)
    loaded = saved.located(saved.experiment(saved.moved(checkpoint), sets)[0], path)
    saved.require_places(loaded.experiment, checkpoint.path)
    job = make_job(loaded, threads, console)
    checkpoint.require(metrics_length=int)
    schema = numbering.schema_of(first_row(path / "metrics.jsonl"))
    journal = Unwritten(path, checkpoint.meta["metrics_length"], schema)
    with Pool(machine.threads(threads)) as pool:
        trainer = Trainer(job, journal, pool, console, Interrupts())
        trainer.state.restore(checkpoint)
        yield trainer, journal


def _record(path: Path) -> dict[str, Any]:
    file = path / FLIGHT_RECORD

    def fail(reason: str) -> Exception:
        none = f"{reason}: there is no record of a divergence to replay"
        return RunDirectoryError(f"{file} {cured(reason, '') if reason in DENIED else none}")

    try:
        record = strict_json.decode(read_limited(file, _LARGEST_RECORD, fail, follow=False).decode())
    except ValueError as error:
        raise fail(f"is damaged ({error})") from error
    kinds = {"step": int, "closed": int, "when": str, "reason": str, "split": str}
    sound = isinstance(record, dict) and all(type(record.get(key)) is kind for key, kind in kinds.items())
    if not sound or not _sound_place(record.get("first")) or record["split"] not in ("train", "val"):
        raise fail("is damaged")
    return dict(record)


def _sound_place(first: Any) -> bool:
    return first is None or (
        isinstance(first, dict)
        and isinstance(first.get("node"), str)
        and first.get("what") in get_args(What)
        and isinstance(first.get("where", 0), str | None)
        and isinstance(first.get("samples"), list)
    )


def _place(first: Mapping[str, Any] | None) -> tuple[Any, Any] | None:
    """Where a divergence began: the node, and which of its values."""
    return (first["node"], first["what"]) if first else None


def _earlier(path: Path, last: Checkpoint, least: int) -> Path:
    """The newest checkpoint of a run at least `least` steps before its last one, and of the same config."""
    steps: dict[Path, Any] = {}
    others: dict[Path, Any] = {}  # those of other settings, and their meta
    for file in sorted((path / FOLDER).glob("*.npz")):
        meta = saved.with_places(read_meta(file), last.meta)
        position = meta.get("position")
        step = position.get("step") if isinstance(position, dict) else None
        early = type(step) is int and step + least <= last.meta["position"]["step"]
        if early and _deciding(meta) == _deciding(last.meta):
            steps[file] = step
        elif early:
            others[file] = meta
    if not steps:
        raise RunDirectoryError(
            f"{path} holds no checkpoint {counted(least, 'step')} or more before its last one, to train from "
            f"again{_of_others(others, last)}. {_how_to_keep(path, last, least)}"
        )
    return max(steps, key=lambda file: steps[file])


def _of_others(others: Mapping[Path, Any], last: Checkpoint) -> str:
    """What keeps checkpoints that are early enough from being trained from: other settings, told of the newest."""
    if not others:
        return ""
    newest = max(others, key=lambda file: others[file]["position"]["step"])
    changed = [*differing(_deciding(others[newest]), _deciding(last.meta))]
    return f", of the same settings: {newest.name} is from before {foremost(changed)} changed"


def _how_to_keep(path: Path, last: Checkpoint, least: int) -> str:
    """What to type: a run that has enough steps left is resumed, otherwise another of its config has to keep some."""
    step, finished = last.meta["position"]["step"], last.meta["position"].get("finished")
    goes_on, anew = saved.experiment(last)[0].experiment, load_resolved(path / RESOLVED).experiment
    keeping = "" if finished else _keeping(goes_on, _length(path, goes_on), step, least)
    if keeping:
        return f"Keep some when you resume the run: cnntrain fit --run-dir {shell.word(path)} --resume{keeping}"
    length = _length(path, anew)
    if finished:  # perhaps by a rule, before all steps were taken
        length = replace(length, total_steps=min(step, length.total_steps))
    keeping, total = _keeping(anew, length, 0, least), length.total_steps
    if not keeping:
        fewer = f"ask for at most {total - 1} (--steps), or " * (total > 1)
        return f"No run of {counted(total, 'step')} does: {fewer}verify a longer one"
    few = "" if finished else "Too few steps are left to resume it for that. "
    return f"{few}Train once more and keep some: cnntrain fit {shell.word(path / RESOLVED)}{keeping}"


def _keeping(experiment: Experiment, length: Horizon, step: int, least: int) -> str:
    """The overrides by which training from a step on has in the end a checkpoint at least `least` steps older.

    Nothing where it is too short. Checkpoints are no farther apart than the config has them.
    """
    room = length.total_steps - least - step
    if room < 1:
        return ""
    every = min(max(length.steps(experiment.checkpoint.every), 1), room)
    return f" -s checkpoint.every={every}st -s checkpoint.keep={-(-least // every) + 1}"


def _length(path: Path, experiment: Experiment) -> Horizon:
    """How long an experiment trains on the data of a run. Raises StorageError where the run does not say."""
    file = path / "metrics.jsonl"
    row = first_row(file)
    steps, samples = row.get("steps_per_epoch"), row.get("samples")
    if type(steps) is not int or steps < 1:
        raise StorageError(f"{file}:1 is damaged: it does not say how long an epoch is. Restore it from a copy")
    full = steps * experiment.train.batch_size * experiment.train.accumulate  # where an older version left it out
    return horizon(experiment, steps, samples if type(samples) is int and samples > 0 else full)


def _deciding(meta: Mapping[str, Any]) -> Any:
    """The part of a checkpoint's config that decides bits: all but the name, the checkpoints kept and the warnings.

    What the best one is judged by does decide: it is in the rows and in the monitor's standing.
    """
    config = meta.get("config")
    if not isinstance(config, dict):
        return None
    judged = config["checkpoint"].get("best") if isinstance(config.get("checkpoint"), dict) else None
    return {key: value for key, value in config.items() if key not in ("name", "warnings")} | {
        "checkpoint": {"best": judged}
    }


def _differences(last: Checkpoint, state: State, journal: Unwritten) -> list[str]:
    """The names of arrays, and parts of the meta, in which a training differs from a checkpoint."""
    mine = state.arrays()
    last.expect({name: (array.shape, array.dtype) for name, array in mine.items()})
    different = [name for name, array in mine.items() if array.tobytes() != last.arrays[name].tobytes()]
    meta = strict_json.decode(strict_json.encode(state.meta(journal.metrics_length)))
    point = {"operating_point"} & last.meta.keys()  # older checkpoints have none
    return different + [key for key in (*_POSITION, *point) if meta[key] != last.meta.get(key)]


def _stretch(path: Path, start: int, stop: int) -> bytes:
    return read_own(path)[start : max(stop, start)]
