"""A journal is where a trainer records what it did: a run directory or, in a replay, nothing that lasts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from cnntrain.core import strict_json
from cnntrain.core.arrays import Array
from cnntrain.rundir import numbering
from cnntrain.rundir.directory import FLIGHT_RECORD


class Journal(Protocol):
    """What a trainer asks of `rundir.directory.RunDirectory`, whose methods say what each is for."""

    path: Path

    @property
    def metrics_length(self) -> int:
        """Bytes of metrics.jsonl so far."""
        ...

    def metric(self, row: Mapping[str, Any]) -> None:
        """Add a row to metrics.jsonl."""

    def timing(self, row: Mapping[str, Any]) -> None:
        """Add a row to timing.jsonl."""

    def sync(self) -> None:
        """Make every row of metrics.jsonl durable."""

    def write_csv(self) -> None:
        """Derive metrics.csv."""

    def write_flight_record(self, record: Mapping[str, Any]) -> Path:
        """Keep the flight record of a divergence; returns where."""
        ...

    def status(self, state: str, **fields: Any) -> None:
        """Replace status.json."""

    def save_checkpoint(
        self, meta: Mapping[str, Any], arrays: Mapping[str, Array], best: bool, keep_as: str | None, keep: int
    ) -> int:
        """Write last.npz and what else is asked for; returns the bytes of one file."""
        ...

    def prune(self, name: str, keep: int) -> None:
        """Keep the newest of the numbered checkpoints."""

    def write_film(self, name: str, meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Keep a file of the film."""


class Unwritten:
    """Stands in for a run directory while its run is replayed: keeps the rows of metrics and writes nothing."""

    def __init__(self, path: Path, metrics_length: int, schema: Any) -> None:
        """`schema` is that of its metrics.jsonl."""
        self.path, self._schema = path, schema
        self._begin = metrics_length
        self.rows = b""

    @property
    def metrics_length(self) -> int:
        """What metrics.jsonl would have."""
        return self._begin + len(self.rows)

    def metric(self, row: Mapping[str, Any]) -> None:
        """Keep a row as metrics.jsonl would have it."""
        self.rows += strict_json.encode(numbering.written(row, self._schema)).encode() + b"\n"

    def write_flight_record(self, record: Mapping[str, Any]) -> Path:  # noqa: ARG002  (so called by the trainer)
        """Leave the one that is there."""
        return self.path / FLIGHT_RECORD

    def timing(self, row: Mapping[str, Any]) -> None:
        """Nothing."""

    def sync(self) -> None:
        """Nothing."""

    def write_csv(self) -> None:
        """Nothing."""

    def status(self, state: str, **fields: Any) -> None:
        """Nothing."""

    def prune(self, name: str, keep: int) -> None:
        """Nothing."""

    def write_film(self, name: str, meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Nothing."""

    def save_checkpoint(self, *_arguments: Any, **_options: Any) -> int:
        """A replay never saves."""
        raise AssertionError("a replay saves nothing")
