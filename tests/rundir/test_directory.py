"""A run directory belongs to one process, refuses to be overwritten by accident, and survives being cut off."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.core import files, storage
from cnntrain.core.directory_lock import LOCK
from cnntrain.core.errors import CnntrainError, RunDirectoryError, StorageError
from cnntrain.rundir import checkpoint, film_files
from cnntrain.rundir import directory as run_directory
from cnntrain.rundir.directory import EVENT_FILES, RunDirectory
from cnntrain.rundir.json_files import read_rows
from cnntrain.sweep.scheduler import held
from tests.support.closed import close
from tests.support.faults import Killed, every_point, inject

HASH = "0123456789abcdef" * 4
ARRAYS = {"param/w": np.arange(3.0)}


def started(path: Path) -> Path:
    """A directory with a run that has saved step 0 and two rows."""
    with RunDirectory.create(path, "name", HASH) as directory:
        directory.write_config("a: 1\n", "a: 1\nb: 2\n")
        directory.metric({"event": "start"})
        directory.metric({"event": "train", "step": 50})
        directory.save_checkpoint({"metrics_length": directory.metrics_length}, ARRAYS, best=True)
    return path


def content(path: Path) -> dict[str, bytes]:
    """Every file of a run but the lock, which tells when it was last taken."""
    found = [file for file in sorted(path.rglob("*")) if file.is_file() and file.name != ".lock"]
    return {str(file.relative_to(path)): file.read_bytes() for file in found}


# -- which directory -------------------------------------------------------------------------------------------------


def test_unnamed_runs_get_a_directory_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "gmtime", lambda *_: time.struct_time((2026, 2, 3, 4, 5, 6, 1, 34, 0)))
    made = []
    for _ in range(3):  # the clock stands still: mkdir decides
        with RunDirectory.create(None, "lenet", HASH) as directory:
            made.append(str(directory.path))
    base = "runs/lenet/20260203-040506-01234567"
    assert made == [base, f"{base}-2", f"{base}-3"]
    assert os.readlink("runs/lenet/latest") == "20260203-040506-01234567-3"
    assert sorted(os.listdir("runs/lenet")) == sorted([*(Path(path).name for path in made), "latest"])


def test_a_link_that_is_somebody_elses_is_told_to_lead_elsewhere(tmp_path, monkeypatch, recwarn) -> None:
    """As in a folder of several users, where each may change only what is his own."""
    monkeypatch.chdir(tmp_path)
    with RunDirectory.create(None, "lenet", HASH):
        assert not recwarn
    replace = os.replace

    def refused(source: Any, to: Any, **options: Any) -> None:
        if str(to).endswith("latest"):
            raise PermissionError(errno.EPERM, "Operation not permitted")
        replace(source, to, **options)

    monkeypatch.setattr(os, "replace", refused)
    with pytest.warns(UserWarning, match=r"^runs/lenet/latest still leads to another run: .* This one is runs/lenet/2"):
        RunDirectory.create(None, "lenet", HASH).close()


def test_a_named_directory_is_used_exactly(tmp_path: Path) -> None:
    path = tmp_path / "with space" / "ünï"
    with RunDirectory.create(path, "lenet", HASH) as directory:
        assert directory.path == path
    assert os.listdir(path.parent) == ["ünï"]


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    path = started(tmp_path / "run")
    before = content(path)
    with pytest.raises(RunDirectoryError, match=r"holds a run already\. Add --resume") as caught:
        RunDirectory.create(path, "name", HASH)
    assert caught.value.exit_code == 8
    assert content(path) == before


def test_a_run_that_had_not_begun_to_train_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "run"
    for rows in ([], [{"event": "start"}]):
        with RunDirectory.create(path, "name", HASH) as directory:
            directory.write_config("", "")
            for row in rows:
                directory.metric(row)
            directory.write_crash("no space left")
    with RunDirectory.create(path, "name", HASH) as directory:
        directory.metric({"event": "start"})
        directory.metric({"event": "train", "step": 50})
    with pytest.raises(RunDirectoryError, match=r"holds a run already\. Add --overwrite"):
        RunDirectory.create(path, "name", HASH)  # it had, and its checkpoint is gone
    shutil.copytree(path, tmp_path / "kept")
    (tmp_path / "kept/metrics.jsonl").unlink()
    (tmp_path / "kept/checkpoints/best.npz").write_bytes(b"all that somebody kept")
    with pytest.raises(RunDirectoryError, match="holds a run already"):
        RunDirectory.create(tmp_path / "kept", "name", HASH)
    assert (tmp_path / "kept/checkpoints/best.npz").exists()
    (path / "metrics.jsonl").write_text("no row\n")
    with pytest.raises(RunDirectoryError, match="holds a run already"):
        RunDirectory.create(path, "name", HASH)


@pytest.mark.parametrize("how", ["removed", "link that leads nowhere", "folder that is not mounted"])
def test_a_run_that_has_lost_its_last_checkpoint_is_kept(tmp_path: Path, how: str) -> None:
    """As `--resume-or-start` and every sweep would replace it: all its other checkpoints and its rows would be gone."""
    path = started(tmp_path / "run")
    last, folder = path / "checkpoints/last.npz", path / "checkpoints"
    if how == "folder that is not mounted":
        shutil.move(folder, tmp_path / "disk")
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        last.unlink()
    if how == "link that leads nowhere":
        last.symlink_to(tmp_path / "elsewhere")
    before = content(path)
    with pytest.raises(RunDirectoryError, match="holds a run already"):
        RunDirectory.create(path, "name", HASH)
    assert content(path) == before
    assert run_directory.resumable(path) == (how == "link that leads nowhere"), "reading it tells what is wrong"


@pytest.mark.parametrize("shows", ["status.json", "metrics.jsonl"])
def test_a_run_whose_checkpoints_are_all_gone_is_kept_by_what_shows_that_it_had_trained(tmp_path, shows: str) -> None:
    path = started(tmp_path / "run")
    with RunDirectory.open(path) as directory:
        directory.status(state="finished", step=50)
    shutil.rmtree(path / "checkpoints")
    for other in {"status.json", "metrics.jsonl"} - {shows}:
        (path / other).unlink()
    before = content(path)
    with pytest.raises(RunDirectoryError, match=r"holds a run already\. Add --overwrite"):
        RunDirectory.create(path, "name", HASH)
    with pytest.raises(RunDirectoryError, match=r"already\. Move it away to have it trained anew, or choose another"):
        RunDirectory.create(path, "name", HASH, of_sweep=True)  # which has no --overwrite
    assert content(path) == before


def test_without_its_last_checkpoint_the_newest_of_the_others_is_named(tmp_path: Path) -> None:
    path = started(tmp_path / "run")
    with RunDirectory.open(path) as directory:
        for step in (4, 12, 8):
            directory.save_checkpoint({"position": {"step": step}}, ARRAYS, keep_as=f"epoch-{step:04d}", keep=3)
    (path / "checkpoints/last.npz").unlink()
    sound, last = (path / "checkpoints" / name for name in ("epoch-0012.npz", "last.npz"))
    expected = re.escape(f"{sound} is sound: to go on from it, copy it over last.npz: cp {sound} {last}")
    for make in (lambda: RunDirectory.open(path), lambda: RunDirectory.create(path, "name", HASH)):
        with pytest.raises(RunDirectoryError, match=expected):
            make()
    shutil.copy(sound, last)
    RunDirectory.open(path).close()


def test_a_folder_with_a_lock_and_files_of_somebody_is_not_touched(tmp_path: Path) -> None:
    """Every sweep leaves a lock, also where none of its runs began."""
    with held(tmp_path):
        pass
    for name in ("report.html", "config.yaml", "data.json", "train.log"):
        (tmp_path / name).write_text("the user's own")
        there = content(tmp_path)
        for options in ({}, {"overwrite": True}):
            with pytest.raises(RunDirectoryError, match="is not empty and holds no run of cnntrain"):
                RunDirectory.create(tmp_path, "name", HASH, **options)
        assert content(tmp_path) == there


def test_a_link_to_a_run_is_followed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a run that was opened by `latest` goes on where it is once that leads to another one."""
    monkeypatch.chdir(tmp_path)
    RunDirectory.create(None, "lenet", HASH).close()
    latest = Path("runs/lenet/latest")
    first = latest.parent / os.readlink(latest)
    started(latest)
    with RunDirectory.open(latest) as directory:
        RunDirectory.create(None, "lenet", HASH).close()
        assert os.readlink(latest) != first.name
        directory.save_checkpoint({}, ARRAYS)
        directory.status("running", step=1)
        assert (directory.path, directory.last.parent.parent) == (first, first)


def test_overwrite_removes_our_files_and_no_others(tmp_path: Path) -> None:
    path = started(tmp_path / "run")
    (path / "film").mkdir()
    theirs = ["notes.txt", "checkpoints/mine.npz", "checkpoints/epoch-1.npz.bak", "curve.png", "film/step-1.npz"]
    for name in theirs:
        (path / name).write_text("theirs")
    events = EVENT_FILES.replace("*", "0000000008.cnntrain")
    (path / events).parent.mkdir()
    film = [f"film/{name}" for name in (film_files.SAMPLES, film_files.name(8))]
    for name in ("crash.log", "report.html", "checkpoints/epoch-0007.npz", events, files.TEMPORARY + "1-a", *film):
        (path / name).write_text("ours")
    with RunDirectory.create(path, "name", HASH, overwrite=True) as directory:
        assert not run_directory.resumable(path)
        assert directory.metrics_length == 0
    logs = ["metrics.jsonl", "timing.jsonl", "train.log"]
    assert sorted(content(path)) == sorted([*theirs, *logs])


def test_what_a_killed_process_left_makes_no_directory_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / f"{files.TEMPORARY}99-ab").write_text("half a file")
    RunDirectory.create(tmp_path, "name", HASH).close()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_directory_of_somebody_else_is_not_touched(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "config.yaml").write_text("the user's own")
    with pytest.raises(RunDirectoryError, match="is not empty and holds no run of cnntrain"):
        RunDirectory.create(tmp_path, "name", HASH, overwrite=overwrite)
    with pytest.raises(RunDirectoryError, match="is not empty and holds no run of cnntrain"):
        RunDirectory.create(tmp_path, "name", HASH)
    assert content(tmp_path) == {"config.yaml": b"the user's own"}


def test_a_sweep_and_a_run_have_no_folder_in_common(tmp_path: Path) -> None:
    """Or the one would be all that is found there."""
    with RunDirectory.create(tmp_path / "sweep" / "lr=0.1", "name", HASH) as run:
        run.write_config("", "")
    (tmp_path / "sweep" / ".lock").touch()
    there = content(tmp_path)
    for how in ({}, {"overwrite": True}):
        with pytest.raises(
            RunDirectoryError, match=r"sweep holds other runs, as of a sweep\. Choose another --run-dir"
        ):
            RunDirectory.create(tmp_path / "sweep", "name", HASH, **how)
    with (
        pytest.raises(RunDirectoryError, match=r"lr=0\.1 holds a run, which would hide"),
        held(tmp_path / "sweep/lr=0.1"),
    ):
        pass
    assert content(tmp_path) == there
    with held(tmp_path / "sweep"):
        pass


def test_resuming_needs_a_checkpoint(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(RunDirectoryError, match="holds nothing to resume") as caught:
            RunDirectory.open(path)
        assert str(path / "checkpoints" / "last.npz") in str(caught.value)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("closed", ["run", "run/checkpoints"])
def test_nor_is_a_run_replaced_or_begun_anew_whose_checkpoints_one_may_not_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    with RunDirectory.create(tmp_path / "run", "name", HASH) as directory:
        directory.write_config("", "")
        directory.save_checkpoint({}, ARRAYS)
    close(monkeypatch, tmp_path / closed)
    for act in (RunDirectory.open, lambda path: RunDirectory.create(path, "name", HASH, overwrite=True)):
        with pytest.raises(StorageError, match=f"cannot look into {tmp_path / closed}: Permission denied"):
            act(tmp_path / "run")


def test_a_run_that_was_killed_before_its_first_checkpoint_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "run"
    for _ in range(2):
        with RunDirectory.create(path, "name", HASH) as directory:
            assert directory.metrics_length == 0
            assert not (path / "crash.log").exists()
            directory.write_config("", "")
            directory.metric({"event": "start"})
            directory.write_crash("killed before the first checkpoint")
    with RunDirectory.create(path, "name", HASH) as directory:
        directory.save_checkpoint({}, ARRAYS)
    with pytest.raises(RunDirectoryError, match="holds a run already"):
        RunDirectory.create(path, "name", HASH)
    assert run_directory.resumable(path)


def test_a_start_over_that_is_killed_is_not_taken_for_a_run(tmp_path: Path) -> None:
    """The checkpoint a resume would take goes first."""
    for number in range(30):
        path = started(tmp_path / str(number))
        removed = 0

        def kill(_count: int, name: str, number: int = number) -> None:
            nonlocal removed
            removed += name == "unlink"
            if removed > number:
                raise Killed

        with pytest.MonkeyPatch.context() as patch:
            inject(patch, kill)
            try:
                RunDirectory.create(path, "name", HASH, overwrite=True).close()
            except Killed:
                assert run_directory.resumable(path) == (number == 0)
            else:
                assert number > 10
                return
    pytest.fail("creation was never allowed to finish")


# -- the lock --------------------------------------------------------------------------------------------------------

CHILD = """
import sys, pathlib
from cnntrain.core.errors import CnntrainError
from cnntrain.rundir.directory import EVENT_FILES, RunDirectory
from cnntrain.rundir.json_files import read_rows
try:
    directory = RunDirectory.create(pathlib.Path(sys.argv[1]), "name", "0" * 8)
except CnntrainError as error:
    print(error); sys.exit(error.exit_code)
print("held", flush=True)
sys.stdin.read()
"""


def test_one_process_at_a_time(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path / "run")]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, **pipes) for _ in range(3)]
    said = [child.stdout.readline() for child in children if child.stdout]
    winner = said.index("held\n")
    with pytest.raises(RunDirectoryError, match=f"is in use by process {children[winner].pid} "):
        RunDirectory.create(tmp_path / "run", "name", HASH)
    for number, child in enumerate(children):
        if number == winner:
            child.kill()
        child.communicate()
    assert sorted(child.returncode for child in children) == [-9, 8, 8]
    assert sum("is in use by" in line for line in said) == 2
    with RunDirectory.create(tmp_path / "run", "name", HASH):  # the lock died with its process
        pass


def test_a_copy_without_hidden_files_is_a_run_all_the_same(tmp_path: Path) -> None:
    """As `cp -r run/* copy` makes one."""
    copy = tmp_path / "copy"
    shutil.copytree(started(tmp_path / "run"), copy, ignore=shutil.ignore_patterns(".*"))
    with pytest.raises(RunDirectoryError, match=r"holds a run already. Add --resume to go on with it, --overwrite"):
        RunDirectory.create(copy, "name", HASH)
    (copy / LOCK).unlink()
    with RunDirectory.open(copy), pytest.raises(RunDirectoryError, match="is in use by"):
        RunDirectory.open(copy)
    (copy / LOCK).unlink()
    with RunDirectory.create(copy, "name", HASH, overwrite=True) as directory:
        assert directory.rows() == []


@pytest.mark.parametrize("there", ["config.resolved.yaml", "checkpoints/last.npz"])
def test_a_folder_with_a_part_of_a_run_is_somebody_elses(tmp_path: Path, there: str) -> None:
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_text("mine")
    with pytest.raises(RunDirectoryError, match="is not empty and holds no run of cnntrain"):
        RunDirectory.create(tmp_path, "name", HASH, overwrite=True)
    with pytest.raises(RunDirectoryError):
        RunDirectory.open(tmp_path)
    assert (tmp_path / there).read_text() == "mine"


def test_the_lock_is_released_on_close_and_on_failure(tmp_path: Path) -> None:
    path = started(tmp_path / "run")
    directory = RunDirectory.open(path)
    with pytest.raises(RunDirectoryError, match="is in use"):
        RunDirectory.open(path)
    directory.close()
    directory.close()
    with pytest.raises(RunDirectoryError, match="holds a run already"):
        RunDirectory.create(path, "name", HASH)
    RunDirectory.open(path).close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_nothing_stays_open_after_close(tmp_path: Path) -> None:
    path = started(tmp_path / "run")
    before = os.listdir("/proc/self/fd")
    with RunDirectory.open(path) as directory:
        directory.resume_logs(directory.metrics_length)
        directory.write_film(film_files.name(1), {}, {})
        directory.write_command(["cnntrain"])
        directory.write_flight_record({})
    with pytest.raises(StorageError), RunDirectory.open(path) as directory:
        directory.resume_logs(10**6)
    assert os.listdir("/proc/self/fd") == before


def test_opening_clears_what_a_killed_process_left(tmp_path: Path) -> None:
    path = started(tmp_path / "run")
    for folder in (path, path / "checkpoints"):
        (folder / f"{files.TEMPORARY}99-ab").write_text("half a checkpoint")
        (folder / ".mine").write_text("")
    RunDirectory.open(path).close()
    assert not [name for name in content(path) if files.TEMPORARY in name]
    assert {".mine", "checkpoints/.mine"} <= content(path).keys()


def test_every_fault_while_starting_ends_in_one_error_and_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "run"
    count = 0
    for *_, outcome in every_point(lambda: RunDirectory.create(path, "name", HASH).close()):
        count += 1
        assert outcome == "failed"
    assert count > 40
    RunDirectory.create(path, "name", HASH).close()


# -- what is written -------------------------------------------------------------------------------------------------


def test_rows_are_exact_and_valid_json(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "run", "name", HASH) as directory:
        directory.metric({"step": np.int64(1), "lr": 0.1, "b": np.float32(0.1), "a": [float("nan"), -np.inf, 5e-324]})
        directory.timing({"seconds": 1.5, "name": "ü\n"})
        directory.log("one line")
        directory.log("two\nlines")
        length = directory.metrics_length
    written = content(tmp_path / "run")
    row = b'{"step":1,"lr":0.1,"b":0.10000000149011612,"a":[null,null,5e-324]}\n'
    assert written["metrics.jsonl"] == row
    assert length == len(row)
    assert written["timing.jsonl"] == b'{"seconds":1.5,"name":"\\u00fc\\n"}\n'
    assert written["train.log"] == b"one line\ntwo\nlines\n"


def test_the_small_files(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "run", "name", HASH) as directory:
        directory.write_config("given: ü\n", "resolved: 1\n")
        directory.write_json("env.json", {"numpy": "2", "odd": float("inf")})
        directory.write_command(["cnntrain", "fit", "a b.yaml"])
        directory.write_command(["cnntrain", "fit", "--resume", "--run-dir", "\udcff"])
        assert directory.write_crash("Traceback\n") == tmp_path / "run" / "crash.log"
    written = content(tmp_path / "run")
    assert written["config.yaml"] == "given: ü\n".encode()
    assert written["config.resolved.yaml"] == b"resolved: 1\n"
    assert json.loads(written["env.json"]) == {"numpy": "2", "odd": None}
    assert written["command.txt"] == b"cnntrain fit 'a b.yaml'\ncnntrain fit --resume --run-dir '\\udcff'\n"
    assert written["crash.log"] == b"Traceback\n"


def test_status_tells_scripts_what_to_do(tmp_path: Path) -> None:
    def status() -> Any:
        return json.loads((tmp_path / "a run" / "status.json").read_text())

    with RunDirectory.create(tmp_path / "a run", "name", HASH) as directory:
        directory.status("running", step=0, best=None)
        assert status() == {
            "state": "running",
            "step": 0,
            "best": None,
            "pid": os.getpid(),
            "exit_code": None,
            "resume": f"cnntrain fit --run-dir '{tmp_path}/a run' --resume",
        }
        directory.status("running", step=50, best={"value": float("nan")})
        assert (status()["step"], status()["best"]) == (50, {"value": None})
        directory.status("finished", exit_code=0)
        assert (status()["step"], status()["exit_code"], status()["resume"]) == (50, 0, None)


def test_resuming_cuts_the_rows_the_checkpoint_did_not_count(tmp_path: Path) -> None:
    path = started(tmp_path / "run")
    with (path / "metrics.jsonl").open("ab") as log:
        log.write(b'{"event":"train","step":100}\n{"event":"tr')
    with (path / "timing.jsonl").open("ab") as log:
        log.write(b'{"step":50}\n{"st')
    with RunDirectory.open(path) as directory:
        directory.resume_logs(checkpoint.read_meta(directory.last)["metrics_length"])
        directory.metric({"event": "train", "step": 100, "again": True})
        directory.timing({"step": 100})
    assert read_rows(path / "metrics.jsonl") == [
        {"event": "start"},
        {"event": "train", "step": 50},
        {"event": "train", "step": 100, "again": True},
    ]
    assert read_rows(path / "timing.jsonl") == [{"step": 50}, {"step": 100}]


def test_resuming_without_the_rows_is_an_error(tmp_path: Path) -> None:
    path = started(tmp_path / "run")
    (path / "metrics.jsonl").write_text("")
    with RunDirectory.open(path) as directory, pytest.raises(StorageError, match="rows are missing"):
        directory.resume_logs(checkpoint.read_meta(directory.last)["metrics_length"])


def test_csv_is_derived_from_the_rows(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "run", "name", HASH) as directory:
        directory.metric({"event": "train", "step": 50, "train/loss": 0.1})
        directory.metric({"event": "eval", "step": 50, "val/loss": float("nan"), "best": True, "m": [[1.0, 2.0]]})
        directory.write_csv()
    assert (tmp_path / "run" / "metrics.csv").read_text() == (
        'event,step,train/loss,val/loss,best,m\ntrain,50,0.1,,,\neval,50,,,true,"[[1.0,2.0]]"\n'
    )


def test_reading_rows_ignores_a_torn_end_and_locates_damage(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":2}\n{"a"')
    assert read_rows(path) == [{"a": 1}, {"a": 2}]
    for damage, expected in [(b"{", "not JSON"), (b"[]", "no JSON object"), (b"\xff", "codec"), (b'{"a":NaN}', "NaN")]:
        path.write_bytes(b'{"a":1}\n' + damage + b"\n")
        with pytest.raises(StorageError, match=f"metrics.jsonl:2 is damaged: .*{expected}"):
            read_rows(path)
    with pytest.raises(StorageError, match="No such file"):
        read_rows(tmp_path / "none")


# -- checkpoints -----------------------------------------------------------------------------------------------------


def test_checkpoints_are_written_in_the_safe_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    original = files.write_atomic

    def spy(path: Path, chunks: Any, held: Any = None) -> None:
        done.append(path.name)
        original(path, chunks, held)

    with RunDirectory.create(tmp_path / "run", "name", HASH) as directory:
        monkeypatch.setattr(files, "write_atomic", spy)
        monkeypatch.setattr(directory, "sync", lambda: done.append("rows"))
        size = directory.save_checkpoint({"step": 3}, ARRAYS, best=True, keep_as="epoch-0001", keep=1)
        for name in ("best", "epoch-0001", "last"):
            found = checkpoint.read(directory.checkpoints / f"{name}.npz")
            assert found.meta["step"] == 3
            assert found.path.stat().st_size == size
    assert done == ["rows", "best.npz", "epoch-0001.npz", "last.npz"]


def test_the_newest_numbered_checkpoints_are_kept(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "run", "name", HASH) as directory:
        (directory.checkpoints / "epoch-x.npz").write_text("theirs")
        for epoch in (1, 2, 9999, 10000, 10001):
            directory.save_checkpoint({}, ARRAYS, keep_as=f"epoch-{epoch:04d}", keep=2)
        directory.save_checkpoint({}, ARRAYS, keep_as="step-00000001", keep=2)
        directory.save_checkpoint({}, ARRAYS)
        names = sorted(os.listdir(directory.checkpoints))
    assert names == ["epoch-10000.npz", "epoch-10001.npz", "epoch-x.npz", "last.npz", "step-00000001.npz"]


def test_a_failed_save_leaves_sound_checkpoints_and_says_which_is_good(tmp_path: Path) -> None:
    path = started(tmp_path / "run")
    directory = RunDirectory.open(path)
    directory.status("running", step=400)
    outcomes = []

    def save() -> None:
        directory.save_checkpoint({"step": 450}, ARRAYS, best=True)

    for *_, outcome in every_point(save):
        outcomes.append(outcome)
        for name in ("best.npz", "last.npz"):
            checkpoint.read(path / "checkpoints" / name)
        assert sorted(os.listdir(path / "checkpoints")) == ["best.npz", "last.npz"]
    assert set(outcomes) == {"failed"}
    with pytest.MonkeyPatch.context() as patch:
        inject(patch, lambda _count, name: OSError(28, "No space left on device") if name == "write" else None)
        going_on = f"go on from step 400 with: cnntrain fit --run-dir {path} --resume"
        with pytest.raises(StorageError, match=re.escape(f". Free some space and {going_on}") + "$"):
            save()
    with pytest.MonkeyPatch.context() as patch:
        inject(patch, lambda _count, name: OSError(5, "Input/output error") if name == "write" else None)
        with pytest.raises(
            StorageError, match=re.escape(f". The device failed: check the disk. Then {going_on}") + "$"
        ):
            save()
    shutil.rmtree(path)
    with pytest.raises(StorageError, match=r"The directory is gone: was it moved or removed\?$"):
        save()
    directory.close()


# -- the environment -------------------------------------------------------------------------------------------------


def test_room_for_the_checkpoints_to_come_is_wanted_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunDirectory.create(tmp_path / "run", "name", HASH) as directory:
        size = directory.save_checkpoint({}, ARRAYS)
        monkeypatch.setattr(storage, "free", lambda _directory: 4 * size - 1)
        directory.require_space(keep=1)  # the one being written, best.npz and a numbered one
        with pytest.raises(StorageError) as caught:
            directory.require_space(keep=2)
        assert str(caught.value) == (
            f"{directory.checkpoints} has no room for 4 more checkpoints (needs {4 * size:,} bytes, "
            f"{4 * size - 1:,} bytes free). Free some space and run the command again"
        )
        directory.save_checkpoint({}, ARRAYS, best=True, keep_as="epoch-0001", keep=2)
        directory.require_space(keep=2)  # two are there by now
        monkeypatch.setattr(storage, "free", lambda _directory: size - 1)
        with pytest.raises(StorageError, match="has no room for 1 more checkpoint "):
            directory.require_space(keep=0)
        with pytest.raises(StorageError, match=r"has no room for 1 more checkpoint and the film \(needs "):
            directory.require_space(keep=0, film=1)
        directory.write_film("samples.npz", {}, {})
        with pytest.raises(StorageError, match="has no room for 1 more checkpoint "):
            directory.require_space(keep=0, film=1)  # which is there by now
        monkeypatch.setattr(storage, "free", lambda _directory: None)  # a system that does not say
        directory.require_space(keep=2)


def test_errors_of_a_run_directory_have_exit_codes(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CnntrainError) as caught:
        RunDirectory.create(tmp_path / "file", "name", HASH)
    assert caught.value.exit_code == 5
    assert "A file stands where a directory is needed" in str(caught.value)
