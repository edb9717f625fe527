"""A record is what a run directory tells about a run, read without its lock, while it trains or after.

Reports and comparisons are made of records. Whatever a run did not get to is absent, and no reason to fail.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnntrain.config.dump import plain
from cnntrain.config.load import leaves, load
from cnntrain.core.errors import UsageError
from cnntrain.rundir.json_files import Row, read_object, read_rows

_CONFIG = "config.resolved.yaml"


@dataclass(frozen=True)
class Record:
    """The files of one run. `config` is plain: dict, list, text, number."""

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
        """How a run is called beside others: the last two names of its path, or as it was typed."""
        return "/".join(self.path.parts[-2:]) or str(self.path)

    @property
    def settings(self) -> dict[str, Any]:
        """The config by dotted key."""
        return dict(leaves(self.config))

    @property
    def start(self) -> Row:
        """The row of the start; empty where there is none."""
        return next((row for row in self.rows if row.get("event") == "start"), {})

    @property
    def steps(self) -> list[Row]:
        """The rows within epochs, each the mean over some steps."""
        return [row for row in self.rows if row.get("event") == "train"]

    @property
    def epochs(self) -> list[Row]:
        """The rows at the ends of epochs."""
        return [row for row in self.rows if row.get("event") == "eval"]

    @property
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
        return self.best.get(self.monitored or "")

    @property
    def seconds(self) -> float | None:
        """Wall-clock time of all epochs, validation included and those that were repeated after a kill."""
        return sum(row["seconds"] for row in self.timing) if self.timing else None

    @property
    def images_per_second(self) -> float | None:
        """In training, over the whole run."""
        seconds = sum(row["training_seconds"] for row in self.timing)
        images = sum(row["images_per_second"] * row["training_seconds"] for row in self.timing)
        return images / seconds if seconds else None

    def epoch_of(self, step: int) -> float:
        """A step as a number of epochs."""
        return step / int(self.start.get("steps_per_epoch", 1))


def is_run(path: Path) -> bool:
    """Whether a directory is a run's."""
    return os.path.isfile(path / _CONFIG)


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """The run directories meant by paths: themselves, or all that lie below; each once, links to another left out.

    Raises UsageError where there is none.
    """
    found: dict[str, Path] = {}
    for path in paths:
        runs = [path] if is_run(path) else sorted(_below(path))
        if not runs:
            there = f"holds no run (none of its folders has a {_CONFIG})" if path.is_dir() else "is no run directory"
            raise UsageError(f"{path} {there}, that is {path.absolute()}. Name directories that cnntrain fit wrote")
        for run in runs:
            found.setdefault(os.path.realpath(run), run)
    return list(found.values())


def _below(path: Path) -> list[Path]:
    """Run directories below a folder; links are not followed."""
    found = []
    for folder, names, _ in os.walk(path):
        if is_run(Path(folder)):
            found.append(Path(folder))
            names.clear()
    return found


def read(path: Path) -> Record:
    """The record of a run directory. Raises UsageError where it is not one, StorageError where a file is damaged."""
    if not is_run(path):
        raise UsageError(f"{path} is no run directory, that is {path.absolute()}. Name one that cnntrain fit wrote")
    return Record(
        path,
        plain(load([path / _CONFIG]).experiment),
        read_object(path / "origins.json"),
        _rows(path / "metrics.jsonl"),
        _rows(path / "timing.jsonl"),
        read_object(path / "env.json"),
        read_object(path / "data.json"),
        read_object(path / "status.json"),
    )


def _rows(path: Path) -> list[Row]:
    return read_rows(path) if path.exists() else []
