"""A run whose directory was moved away writes nothing into the one that stands in its place, and ends with 5."""

from __future__ import annotations

import shutil

import pytest

from cnntrain.core import files
from cnntrain.core.anchor import Anchor
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
    with pytest.raises(StorageError, match="not the directory that this run was started in") as raised:
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
    with pytest.raises(StorageError, match="not the directory that this run"):
        doors[door]()
    assert contents(tmp_path / "run") == before
    held.metric({"event": "end"})  # goes to the file that was opened
    assert contents(tmp_path / "run") == before
    held.close()


def test_a_move_while_a_file_is_being_written_is_noticed_before_it_takes_its_place(tmp_path):
    place = tmp_path / "run"
    place.mkdir()
    anchor = Anchor(place)

    def chunks():
        yield b"half"
        place.rename(tmp_path / "away")
        place.mkdir()

    with pytest.raises(StorageError, match="not the directory that this run"):
        files.write_atomic(place / "file", chunks(), anchor)
    assert not contents(place)
    anchor.close()
    anchor.close()


@pytest.mark.parametrize("name", ["status.json", "checkpoints/last.npz", "nonfinite/record.json"])
@pytest.mark.parametrize("when", ["before the file is made", "before the last check", "after the last check"])
def test_there_is_no_moment_at_which_a_file_gets_into_the_place_of_another_run(tmp_path, monkeypatch, name, when):
    """Not even between the last look and the name: that is given in the directory that was opened."""
    place, away = tmp_path / "run", tmp_path / "away"
    held = RunDirectory.create(place, "name", "0" * 64)
    held.metric({"event": "start"})
    held.save_checkpoint({}, {})
    held.status("running")
    held.write_flight_record({})
    shutil.copytree(place, tmp_path / "second")
    for path in (tmp_path / "second").rglob("*"):
        if path.is_file():
            path.write_bytes(b"of the second")
    before = contents(tmp_path / "second")

    def swap():
        place.rename(away)
        (tmp_path / "second").rename(place)

    def swapping(original, first):
        def call(*arguments, **options):
            if first and not away.exists():
                swap()
            result = original(*arguments, **options)
            if not first and not away.exists():
                swap()
            return result

        return call

    check = Anchor.check
    if when == "before the file is made":
        monkeypatch.setattr(files, "_create_owned", swapping(files._create_owned, first=True))
    elif when == "before the last check":
        monkeypatch.setattr(files, "_create_owned", swapping(files._create_owned, first=False))
    else:
        monkeypatch.setattr(Anchor, "rename", swapping(Anchor.rename, first=True))

    def write():
        {
            "status.json": lambda: held.status("finished"),
            "checkpoints/last.npz": lambda: held.save_checkpoint({"step": 1}, {}),
            "nonfinite/record.json": lambda: held.write_flight_record({"step": 1}),
        }[name]()

    if when == "after the last check":
        written = (place / name).read_bytes()
        write()  # it has its name where it belongs; the next look notices
        assert (away / name).read_bytes() != written
    else:
        with pytest.raises(StorageError):
            write()
    assert contents(place) == before
    monkeypatch.setattr(Anchor, "check", check)
    with pytest.raises(StorageError, match="not the directory that this run"):
        held.status("running")
    assert contents(place) == before
    held.close()


def test_no_checkpoint_of_another_run_is_removed(tmp_path, monkeypatch):
    place = tmp_path / "run"
    held = RunDirectory.create(place, "name", "0" * 64)
    held.metric({"event": "start"})
    for number in range(3):
        held.save_checkpoint({}, {}, keep_as=f"epoch-000{number}", keep=3)
    shutil.copytree(place, tmp_path / "second")
    before, original = contents(tmp_path / "second"), Anchor.remove

    def swapped(self, name):
        if not (tmp_path / "away").exists():
            place.rename(tmp_path / "away")
            (tmp_path / "second").rename(place)
        original(self, name)

    monkeypatch.setattr(Anchor, "remove", swapped)
    held.prune("epoch-0002", 1)
    assert contents(place) == before
    assert [path.name for path in sorted((tmp_path / "away/checkpoints").glob("epoch-*"))] == ["epoch-0002.npz"]
    held.close()
