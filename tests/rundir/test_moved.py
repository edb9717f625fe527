"""A run whose directory was moved away writes nothing into the one that stands in its place, and ends with 5."""

from __future__ import annotations

import shutil

import pytest

from cnntrain.core import files
from cnntrain.core.errors import StorageError
from cnntrain.rundir.directory import RunDirectory
from cnntrain.training.trainer import Trainer
from tests.support.experiments import run, write

SETS = ("train.epochs=2", "checkpoint={every: 1ep, keep: 1}")


def contents(folder):
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("moved", ["run", "run/checkpoints", "removed"])
def test_a_second_run_in_the_place_of_the_first_is_left_alone(tmp_path, monkeypatch, moved):
    config = write(tmp_path)
    run(config, tmp_path / "second", (*SETS, "seed=1"))
    place, before, original = tmp_path / "run", {}, Trainer._close_due_epoch

    def after_an_epoch(self):
        improved = original(self)
        if self.state.closed == 1 and not before:
            if moved == "removed":
                shutil.rmtree(place)
            else:
                (tmp_path / moved).rename(tmp_path / "away")
            shutil.copytree(
                tmp_path / "second" / moved.removeprefix("run").strip("/") if "/" in moved else tmp_path / "second",
                tmp_path / (moved if moved != "removed" else "run"),
            )
            before.update(contents(place / "checkpoints"))
        return improved

    monkeypatch.setattr(Trainer, "_close_due_epoch", after_an_epoch)
    with pytest.raises(StorageError, match="another directory than the one this run was started in") as raised:
        run(config, place, SETS)
    assert raised.value.exit_code == 5
    assert contents(place / "checkpoints") == before
    if moved != "removed":
        assert (tmp_path / "away").is_dir()


@pytest.mark.parametrize("door", ["status", "csv", "flight record", "checkpoint", "prune"])
def test_every_door_of_a_run_directory_looks_first(tmp_path, door):
    held = RunDirectory.create(tmp_path / "run", "name", "0" * 64)
    held.metric({"event": "start"})
    (tmp_path / "run").rename(tmp_path / "away")
    shutil.copytree(tmp_path / "away", tmp_path / "run")
    before = contents(tmp_path / "run")
    doors = {
        "status": lambda: held.status("running"),
        "csv": held.write_csv,
        "flight record": lambda: held.write_flight_record({}),
        "checkpoint": lambda: held.save_checkpoint({}, {}),
        "prune": lambda: held.prune("epoch-0001", 1),
    }
    with pytest.raises(StorageError, match="another directory"):
        doors[door]()
    assert contents(tmp_path / "run") == before
    held.metric({"event": "end"})  # goes to the file that was opened
    assert contents(tmp_path / "run") == before
    held.close()


def test_a_move_while_a_file_is_being_written_is_noticed_before_it_takes_its_place(tmp_path):
    place = tmp_path / "run"
    place.mkdir()
    anchor = files.Anchor(place)

    def chunks():
        yield b"half"
        place.rename(tmp_path / "away")
        place.mkdir()

    with pytest.raises(StorageError, match="another directory"):
        for _ in anchor.last(chunks()):
            pass
    assert not contents(place)
    anchor.close()
    anchor.close()
