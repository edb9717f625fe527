"""Event files let TensorBoard watch a run: every number of metrics.jsonl, in TensorBoard's own format.

They are derived like metrics.csv: each session writes the run's whole history anew, then follows it.
"""

from __future__ import annotations

import importlib.util
import io
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cnntrain.core import files
from cnntrain.core.append_log import AppendLog
from cnntrain.core.directories import make_own_directory
from cnntrain.core.errors import MissingExtraError
from cnntrain.rundir.directory import RunDirectory

FOLDER = "tensorboard"
_PATTERN = "events.out.tfevents.*"


def require_tensorboard() -> None:
    """Raise MissingExtraError unless event files can be written."""
    if importlib.util.find_spec("tensorboard") is None:
        raise MissingExtraError("--tensorboard needs TensorBoard. Install it with: pip install 'cnntrain[tensorboard]'")


@contextmanager
def following(run: RunDirectory) -> Iterator[None]:
    """Write what the run's metrics.jsonl holds, and what it gets meanwhile, to RUN/tensorboard.

    Raises StorageError where it cannot, MissingExtraError without TensorBoard.
    """
    require_tensorboard()
    folder = run.path / FOLDER
    make_own_directory(folder)
    rows = run.rows()
    for old in sorted(folder.glob(_PATTERN)):
        files.remove(old)
    last = max((row.get("step", 0) for row in rows), default=0)
    log = AppendLog(folder / f"events.out.tfevents.{last:010}.cnntrain", 0)

    def follow(row: Mapping[str, Any]) -> None:
        log.extend(encoded(row, time.time()))

    try:
        log.extend(_record(file_version="brain.Event:2", wall_time=time.time()))
        for row in rows:
            follow(row)
        run.followers.append(follow)
        try:
            yield
        finally:
            run.followers.remove(follow)
    finally:
        log.close()


def encoded(row: Mapping[str, Any], wall_time: float) -> bytes:
    """A row of metrics.jsonl as a record of an event file; nothing where it has no step or no number."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    numbers = {tag(key, row["event"]): value for key, value in row.items() if type(value) is float}
    if "step" not in row or not numbers:
        return b""
    values = [Summary.Value(tag=name, simple_value=number) for name, number in numbers.items()]
    return _record(step=row["step"], wall_time=wall_time, summary=Summary(value=values))


def tag(key: str, event: str) -> str:
    """What TensorBoard calls a value: its key; the training values of a whole epoch get a name of their own."""
    return key.replace("train/", "train_epoch/") if event == "eval" else key


def _record(**fields: Any) -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    file = io.BytesIO()
    RecordWriter(file).write(Event(**fields).SerializeToString())
    return file.getvalue()
