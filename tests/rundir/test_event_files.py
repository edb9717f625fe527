"""Event files hold what metrics.jsonl holds, after a resume too, for our reader and TensorBoard's own."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cnntrain.rundir import event_files
from cnntrain.rundir.directory import RunDirectory
from cnntrain.rundir.json_files import read_rows
from cnntrain.training.session import Options, fit
from tests.support.experiments import run, write

Event = tuple[int, str, dict[str, float]]  # step, file version, values


def _theirs(path: Path) -> list[Event]:
    """The events of a file by TensorBoard's own reader, whose dependencies warn of each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("tensorboard", reason="reads event files with TensorBoard's own reader")
        from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
        from tensorboard.compat.proto.event_pb2 import Event as Proto
    events = [Proto.FromString(data) for data in RawEventFileLoader(str(path)).Load()]
    return [(e.step, e.file_version, {value.tag: value.simple_value for value in e.summary.value}) for e in events]


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a message: the number of each, and an integer, a float or bytes."""
    place = 0

    def varint() -> int:
        nonlocal place
        value, shift = 0, 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while place < len(data):
        number, wire = divmod(varint(), 8)
        if wire == 0:
            yield number, varint()
            continue
        size = varint() if wire == 2 else {1: 8, 5: 4}[wire]
        piece, place = data[place : place + size], place + size
        yield number, piece if wire == 2 else struct.unpack("<d" if wire == 1 else "<f", piece)[0]


def _ours(path: Path) -> list[Event]:
    """The events of a file, by what the formats say; every checksum holds."""
    data, events = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        body = data[12 : 12 + length]
        assert event_files.record(body) == data[: 16 + length]
        data = data[16 + length :]
        found = dict(_fields(body))
        values = [dict(_fields(value)) for _, value in _fields(found.get(5, b""))]
        numbers = {value[1].decode(): value[2] for value in values}
        events.append((found.get(2, 0), found.get(3, b"").decode(), numbers))
    return events


def watched(run_dir: Path, read: Callable[[Path], list[Event]]) -> dict[tuple[str, int], float]:
    """Every value in a run's only event file, by tag and step."""
    (path,) = (run_dir / "tensorboard").iterdir()
    first, *others = read(path)
    assert first[1] == "brain.Event:2"
    return {(name, step): value for step, _, values in others for name, value in values.items()}


def expected(run_dir: Path) -> dict[tuple[str, int], float]:
    rows = [row for row in read_rows(run_dir / "metrics.jsonl") if row["event"] in ("train", "eval")]
    return {
        (event_files.tag(key, row["event"]), row["step"]): pytest.approx(value, rel=1e-6)
        for row in rows
        for key, value in row.items()
        if type(value) is float
    }


@pytest.mark.parametrize("read", [_ours, _theirs])
def test_they_hold_what_metrics_hold_and_a_resume_goes_on(tmp_path, read):
    config = write(tmp_path)
    run(config, tmp_path / "run", ("train.epochs=2",), tensorboard=True)
    found = watched(tmp_path / "run", read)
    assert found == expected(tmp_path / "run")
    assert {"train/loss", "val/accuracy", "train_epoch/loss", "lr", "grad_norm", "update_ratio"} <= {
        t for t, _ in found
    }
    options = Options(run_dir=tmp_path / "run", resume=True, progress="none", quiet=True, tensorboard=True)
    fit([], ["train.epochs=3"], options)
    assert watched(tmp_path / "run", read) == expected(tmp_path / "run")


def test_the_checksum_is_that_of_the_standard():
    """RFC 3720, B.4, and the usual check value."""
    assert event_files.crc32c(b"123456789") == 0xE3069283
    assert event_files.crc32c(bytes(32)) == 0x8A9136AA
    assert event_files.crc32c(bytes([0xFF] * 32)) == 0x62A8AB43


def test_they_are_closed_when_training_is_over(tmp_path):
    with RunDirectory.create(tmp_path / "run", "name", "0" * 8) as directory:
        with event_files.following(directory):
            directory.metric({"event": "train", "step": 1, "lr": 0.5})
        found = watched(tmp_path / "run", _ours)
        directory.metric({"event": "train", "step": 2, "lr": 0.25})
    assert found == watched(tmp_path / "run", _ours) == {("lr", 1): 0.5}


def test_a_run_has_none_unless_asked(tmp_path):
    run(write(tmp_path), tmp_path / "run", ("train.epochs=1",))
    assert not (tmp_path / "run/tensorboard").exists()
