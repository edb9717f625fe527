"""Epochs count from 1 in every row; a run that an older version began is read so too, and goes on in its own schema."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import cnntrain as door
from cnntrain.cli import main
from cnntrain.config.dump import to_yaml
from cnntrain.rundir import numbering
from cnntrain.rundir.checkpoint import read_meta
from cnntrain.rundir.history import read
from tests.golden.make_checkpoints import CHECKPOINTS
from tests.support.experiments import FULL, run, write

FIRST = CHECKPOINTS / "format-1"  # a run of the version before the schema had a name


def rows(path: Path, event: str | None = None) -> list[dict]:
    found = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [row for row in found if event in (None, row["event"])]


@pytest.fixture
def old(tmp_path):
    """A run directory as an older version left it, as far as is read here."""
    place = tmp_path / "old"
    (place / "checkpoints").mkdir(parents=True)
    (place / ".lock").touch()
    shutil.copy(FIRST / "last.npz", place / "checkpoints")
    shutil.copy(FIRST / "metrics.jsonl", place)
    (place / "config.resolved.yaml").write_text(to_yaml(read_meta(FIRST / "last.npz")["config"]))
    return place


def right(found: list[dict], per_epoch: int) -> None:
    """Each row's epoch is that of its last step, from 1; an end of an epoch is the end of that one."""
    for row in found:
        if "epoch" in row and row["event"] != "end":
            assert row["epoch"] == (row["step"] - 1) // per_epoch + 1, row


def test_a_new_run_counts_from_1_and_names_the_schema(tmp_path):
    result = run(write(tmp_path, FULL), tmp_path / "run", ("train.epochs=3", "train.log_every=1"))
    found = rows(tmp_path / "run")
    assert found[0]["schema"] == numbering.SCHEMA
    right(found, found[0]["steps_per_epoch"])
    assert [row["epoch"] for row in rows(tmp_path / "run", "eval")] == [1, 2, 3]
    assert {row["epoch"] for row in rows(tmp_path / "run", "train")} == {1, 2, 3}
    assert rows(tmp_path / "run", "end")[0]["epoch"] == result["epochs"] == 3
    assert read(tmp_path / "run").rows == found  # nothing is moved twice


def test_an_old_run_is_read_from_1(old):
    raw, record = rows(old, "train"), read(old)
    assert [row["epoch"] for row in raw] == [0, 0, 1, 1, 1]
    assert [row["epoch"] for row in record.steps] == [1, 1, 2, 2, 2]
    assert [row["epoch"] for row in record.epochs] == [1, 2] == door.Run(old).history["epoch"]
    right(list(record.rows), record.start["steps_per_epoch"])


def test_an_old_run_goes_on_in_its_schema_and_is_read_from_1(old, capsys):
    before = (old / "metrics.jsonl").read_bytes()
    kept = before[: read_meta(FIRST / "last.npz")["metrics_length"]]
    run(None, old, ("train.steps=30",), resume=True, threads=1)
    after = (old / "metrics.jsonl").read_bytes()
    assert after.startswith(kept)
    assert len(after) > len(kept)
    per_epoch = rows(old)[0]["steps_per_epoch"]
    assert all(row["epoch"] == (row["step"] - 1) // per_epoch for row in rows(old, "train"))
    assert "schema" not in rows(old)[0]
    right(list(read(old).rows), per_epoch)
    assert main(["compare", str(old)]) == 0
    assert main(["report", str(old), "--output", str(old / "page.html")]) == 0
    capsys.readouterr()


def test_verify_compares_in_the_schema_of_the_file(old, tmp_path, capsys):
    run(None, old, ("train.steps=40", "train.log_every=1", "checkpoint.keep=3"), resume=True, threads=1)
    run(
        write(tmp_path, FULL), tmp_path / "new", ("train.epochs=3", "train.log_every=1", "checkpoint.keep=3"), threads=1
    )
    for place in (old, tmp_path / "new"):
        assert main(["verify", str(place), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["metric_rows"] >= 3


@pytest.mark.parametrize("schema", ["metrics/1", None, 7, [], "metrics/9"])
def test_no_row_is_written_otherwise_than_it_is_read(schema):
    start = {"event": "start", "schema": schema}
    given = [start, {"event": "train", "epoch": 1}, {"event": "eval", "epoch": 1}, {"event": "end", "epoch": 1}]
    stored = [dict(numbering.written(row, schema)) for row in given]
    assert stored[1]["epoch"] == (0 if schema == "metrics/1" else 1)
    assert [*numbering.numbered(stored)] == given
