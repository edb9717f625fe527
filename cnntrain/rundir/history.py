"""A record is what a run directory tells about a run, read without its lock, while it trains or after.

Reports and comparisons are made from records. What a run has not reached is absent, which is not an error.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnntrain.config.dump import plain
from cnntrain.config.load import leaves, load_resolved
from cnntrain.config.tree import RESOLVED
from cnntrain.core import presence
from cnntrain.core.errors import CheckpointError, CnntrainError, ConfigError, StorageError, UsageError, first_line
from cnntrain.rundir import checkpoint, numbering, pulse
from cnntrain.rundir.json_files import WITHOUT, Row, read_object, read_rows


@dataclass(frozen=True)
class Record:
    """The files of one run. `config` is plain: dict, list, text, number.

    What is looked up in its rows is looked up once: pages of many runs or long histories ask for it over and over.
    """

    path: Path
    config: Mapping[str, Any]
    origins: Mapping[str, str]  # dotted key -> where its value was written; empty for runs that kept none
    rows: Sequence[Row]  # of metrics.jsonl
    timing: Sequence[Row]
    environment: Mapping[str, Any]
    data: Mapping[str, Any]
    status: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What a run is called among others: the last two names of its path, or as it was typed."""
        return "/".join(self.path.parts[-2:]) or str(self.path)

    @property
    def state(self) -> str:
        """How the run is now: what its status says, unless that is that it is running (`pulse.state`)."""
        return pulse.state(self.path, self.status.get("state"))

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """The config by dotted key."""
        return dict(leaves(self.config))

    @functools.cached_property
    def start(self) -> Row:
        """The row of the start; empty where there is none."""
        return next((row for row in self.rows if row.get("event") == "start"), {})

    @functools.cached_property
    def steps(self) -> list[Row]:
        """The rows within epochs, each the mean over some steps."""
        return [row for row in self.rows if row.get("event") == "train"]

    @functools.cached_property
    def epochs(self) -> list[Row]:
        """The rows at the ends of epochs."""
        return [row for row in self.rows if row.get("event") == "eval"]

    @functools.cached_property
    def best(self) -> Row:
        """The row of the best epoch, by the run's own `checkpoint.best`; empty before there is one."""
        return next((row for row in reversed(self.epochs) if row.get("best")), {})

    @property
    def final(self) -> Row:
        """The row of the last epoch; empty before there is one."""
        return self.epochs[-1] if self.epochs else {}

    @property
    def monitored(self) -> str | None:
        """The metric that tells which epoch is best."""
        return (self.status.get("best") or {}).get("metric")

    @property
    def best_value(self) -> float | None:
        """That metric in the best epoch."""
        value = self.best.get(self.monitored or "")
        return value if isinstance(value, float | int) else None

    @property
    def seconds(self) -> float | None:
        """Wall-clock time of all epochs, including validation and epochs that were repeated after a kill."""
        return round(sum(row["seconds"] for row in self.timing), 3) if self.timing else None

    @property
    def images_per_second(self) -> float | None:
        """In training, over the whole run."""
        seconds = sum(row["training_seconds"] for row in self.timing)
        images = sum(row["images_per_second"] * row["training_seconds"] for row in self.timing)
        return round(images / seconds, 1) if seconds else None

    def epoch_of(self, step: int) -> float:
        """A step as a number of epochs."""
        return step / int(self.start.get("steps_per_epoch", 1))


def is_run(path: Path) -> bool:
    """Whether a directory is a run's. Raises StorageError where one may not look into it."""
    return presence.is_file(path / RESOLVED)


def find_runs(paths: Sequence[Path], warn: Callable[[str], None]) -> list[Path]:
    """The run directories meant by paths: themselves, or all that lie below; each once, links to another left out.

    `warn` is told of folders that one may not look into, which are left out. Raises UsageError where there is no run;
    where none is left, the StorageError of the first such folder.
    """
    found: dict[str, Path] = {}
    closed: dict[Path, CnntrainError] = {}
    for path in paths:
        runs, shut = _at(path)
        if not runs and not shut:
            nothing = f"holds no run (none of its folders has a {RESOLVED})"
            there = nothing if presence.is_directory(path) else "is no run directory"
            raise UsageError(f"{path} {there} (looked for {path.absolute()}). Name directories that cnntrain fit wrote")
        for run in runs:
            found.setdefault(os.path.realpath(run), run)
        closed |= shut
    if not found:
        raise next(iter(closed.values()))
    for folder, error in closed.items():
        warn(_left_out(folder, error))
    return list(found.values())


def _at(path: Path) -> tuple[list[Path], dict[Path, CnntrainError]]:
    """The run directories that a path means, sorted, and the folders that one may not look into, each with its error.

    Links below it are not followed.
    """
    found: list[Path] = []
    closed: dict[Path, CnntrainError] = {}

    def shut(error: OSError) -> None:
        folder = Path(error.filename)
        with contextlib.suppress(CnntrainError):  # nor may one look at it
            if not presence.exists(folder):  # it has been removed just now
                return
        closed[folder] = presence.closed(folder, error)

    try:
        if is_run(path):
            return [path], {}
        walk = os.walk(path, onerror=shut) if presence.is_directory(path) else ()
    except CnntrainError as error:
        return [], {path: error}
    for folder, names, _ in walk:
        try:
            here = is_run(Path(folder))
        except CnntrainError as error:
            closed[Path(folder)] = error
            names.clear()
            continue
        if here:
            found.append(Path(folder))
            names.clear()
    return sorted(found), closed


def _left_out(path: Path, error: CnntrainError) -> str:
    return f"{path} is left out: {first_line(error)}"


def read(path: Path) -> Record:
    """The record of a run directory.

    Raises UsageError where it is not one, StorageError or ConfigError where a file is damaged, CheckpointError where
    another package's part is not available.
    """
    if not is_run(path):
        raise UsageError(f"{path} is no run directory (looked for {path.absolute()}). Name one that cnntrain fit wrote")
    try:
        resolved = load_resolved(path / RESOLVED)
    except ConfigError:
        last, meta = checkpoint.last_of(path), {}
        with contextlib.suppress(StorageError, CheckpointError):
            meta = checkpoint.read_meta(last)
        checkpoint.require_parts(last, meta)
        raise
    return Record(
        path,
        plain(resolved.experiment),
        read_object(path / "origins.json"),
        _rows(path / "metrics.jsonl", lambda row: _EVENTS.get(str(row.get("event")), {})),
        _rows(path / "timing.jsonl", lambda _: _TIMING),
        read_object(path / "env.json"),
        read_object(path / "data.json"),
        _status(path / "status.json"),
    )


def read_all(paths: Sequence[Path], warn: Callable[[str], None]) -> list[Record]:
    """The records of the runs meant by paths; one that is damaged, or may not be read, is left out, with a warning.

    Raises UsageError where there is no run; where none can be read, the error of the first.
    """
    found, errors = [], []
    for path in find_runs(paths, warn):
        try:
            found.append(read(path))
        except (StorageError, ConfigError, CheckpointError) as error:
            errors.append(error)
            warn(_left_out(path, error))
    if errors and not found:
        raise errors[0]
    return found


_Kinds = dict[str, str]  # key -> what it must hold: "count", "number", or "value", a number or null
_ENDS: _Kinds = {"step": "count", "epoch": "count"}
_EVENTS: Mapping[str, _Kinds] = {
    "start": {"steps_per_epoch": "some"},
    "train": {"step": "count"} | dict.fromkeys(("lr", "grad_norm", "update_ratio", "train/loss"), "value"),
    "eval": _ENDS | dict.fromkeys(("train/loss", "val/loss", "val_average/loss", "dead_relu"), "value"),
    "end": _ENDS,
}
_TIMING: _Kinds = {"epoch": "count"} | dict.fromkeys(("seconds", "training_seconds", "images_per_second"), "number")


def _rows(path: Path, kinds_of: Callable[[Row], _Kinds]) -> list[Row]:
    """The rows of a file, each with what readers count on; other keys and events are those of other versions.

    Their epochs count from 1.
    """
    rows = read_rows(path) if presence.exists(path, follow=False) else []
    for number, row in enumerate(rows, 1):
        for key, kind in kinds_of(row).items():
            if not _holds(row.get(key), kind):
                raise StorageError(
                    f"{path}:{number} is damaged: {key} is {_shown(row.get(key))}, expected a {_WORDS[kind]}. Restore "
                    "the file from a copy"
                )
    return [*numbering.numbered(rows)]


_WORDS = {
    "count": "whole number from 0 on",
    "some": "whole number from 1 on",
    "number": "number",
    "value": "number or null",
}


def _holds(value: Any, kind: str) -> bool:
    if kind in ("count", "some"):
        return type(value) is int and value >= (kind == "some") and value < 2**63
    if value is None:
        return kind == "value"
    return type(value) in (int, float) and abs(value) < 2**1000


def _shown(value: Any) -> str:
    return "missing" if value is None else ascii(value)[:60]


def _status(path: Path) -> dict[str, Any]:
    """status.json, whose texts are printed and whose best is asked for. Raises StorageError."""
    status = read_object(path)
    best = status.get("best")
    metric = best.get("metric") if isinstance(best, dict) else None
    texts = {"state": status.get("state"), "best.metric": metric, "resume": status.get("resume")}
    for key, text in texts.items():
        if text is not None and not (isinstance(text, str) and text.isprintable()):
            raise StorageError(f"{path} is damaged: {key} is {_shown(text)}, expected plain text. {WITHOUT}")
    if best is not None and not isinstance(best, dict):
        raise StorageError(f"{path} is damaged: best is {_shown(best)}, expected an object. {WITHOUT}")
    return status
