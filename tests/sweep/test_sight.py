"""Two machines that see other configs or other data of a sweep are told apart, by the file that differs first."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cnntrain.sweep import child, remote, sight
from cnntrain.sweep.cells import read_sweep
from cnntrain.sweep.sight import SharedSight
from tests.support.experiments import TINY, write

SYNTHETIC = "{type: synthetic, size: 8, classes: 3, samples: 48, noise: 0.3}"


def save(folder: Path, value: int, samples: int = 20) -> None:
    folder.mkdir(exist_ok=True)
    np.savez(folder / "digits.npz", x_train=np.full((samples, 8, 8), value, np.uint8), y_train=np.arange(samples) % 2)


@pytest.fixture
def machines(tmp_path, monkeypatch) -> tuple[Path, Path]:
    """Two folders with the same configs and data, as two machines that share nothing; on the first a sweep begins."""
    assert SYNTHETIC in TINY
    for name in ("here", "there"):
        folder = tmp_path / name
        folder.mkdir()
        write(folder, TINY.replace(SYNTHETIC, "{type: npz, path: data/digits.npz}"))
        (folder / "sweep.yaml").write_text("config: full.yaml\ngrid: {optimizer.lr: [0.1, 0.2]}\n")
        save(folder / "data", 1)
    monkeypatch.chdir(tmp_path / "here")
    os.utime(tmp_path / "there/data/digits.npz", (0, 0))  # a copy has a time of its own
    return tmp_path / "here", tmp_path / "there"


def compared(there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    sweep = read_sweep(Path("sweep.yaml"))
    shared = SharedSight(sweep, sweep.cells)
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(shared.question()))
        patch.chdir(there)
        assert sight.main() == 0
    return shared.difference(capsys.readouterr().out)


def test_a_copy_is_as_good_as_the_same_files(machines, monkeypatch, capsys):
    assert compared(machines[1], monkeypatch, capsys) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda it: (it / "full.yaml").unlink(), "it does not see the config {it}/full.yaml. Put configs and data on"),
        (lambda it: (it / "full.yaml").write_text("x: ["), "the configs cannot be read there: "),
        (
            lambda it: write(it, (it / "full.yaml").read_text().replace("batch_size: ", "batch_size: 1")),
            "there, {it}/full.yaml is not what this sweep has read. Put",
        ),
        (lambda it: (it / "data/digits.npz").unlink(), "it does not see the data: {it}/data/digits.npz "),
        (lambda it: save(it / "data", 1, 30), "it sees other data: {here}/data/digits.npz has "),
        (lambda it: save(it / "data", 2), "it sees other data: {here}/data/digits.npz has other contents there than"),
    ],
)
def test_what_is_seen_otherwise_is_named(machines, monkeypatch, capsys, change: Callable[[Path], object], said):
    here, there = machines
    change(there)
    assert said.format(it=there, here=here) in compared(there, monkeypatch, capsys)


def test_where_this_machine_has_no_data_the_first_worker_that_has_is_what_others_are_compared_with(
    machines, monkeypatch, capsys
):
    (machines[0] / "data/digits.npz").unlink()
    sweep = read_sweep(Path("sweep.yaml"))
    shared = SharedSight(sweep, sweep.cells)
    for value, alike in ((1, True), (1, True), (2, False)):
        save(machines[1] / "data", value)
        monkeypatch.setattr("sys.stdin", io.StringIO(shared.question()))
        monkeypatch.chdir(machines[1])
        assert sight.main() == 0
        monkeypatch.chdir(machines[0])
        assert (shared.difference(capsys.readouterr().out) == "") == alike


def test_what_is_trained_on_may_change_while_a_sweep_goes_on(machines, monkeypatch, capsys):
    """A worker that comes later is compared with what lies here now."""
    sweep = read_sweep(Path("sweep.yaml"))
    shared = SharedSight(sweep, sweep.cells)
    shared.question()
    for machine in machines:
        save(machine / "data", 2)
    monkeypatch.setattr("sys.stdin", io.StringIO(shared.question()))
    assert sight.main() == 0
    assert shared.difference(capsys.readouterr().out) == ""


def test_of_a_large_folder_few_files_are_opened(tmp_path, monkeypatch):
    for number in range(1000):
        (tmp_path / f"{number}.bin").write_bytes(bytes(number))
    opened: list[object] = []
    ends = sight._ends
    monkeypatch.setattr(sight, "_sizes", lambda _: [(str(path), path.stat().st_size) for path in tmp_path.iterdir()])
    monkeypatch.setattr(sight, "_ends", lambda *about: opened.append(about) or ends(*about))
    found = sight.files_of(None)
    assert len(found) == 1000
    assert 50 <= len(opened) <= 64


def test_a_config_that_was_edited_on_both_machines_is_told_as_that(machines, monkeypatch, capsys):
    sweep = read_sweep(Path("sweep.yaml"))
    shared = SharedSight(sweep, sweep.cells)
    here, there = machines
    for machine in machines:
        write(machine, (machine / "full.yaml").read_text().replace("batch_size: ", "batch_size: 1"))
    monkeypatch.setattr("sys.stdin", io.StringIO(shared.question()))
    monkeypatch.chdir(there)
    assert sight.main() == 0
    monkeypatch.chdir(here)
    said = f"{here}/full.yaml was edited since this sweep has read it. Undo that, or stop the sweep and begin it again"
    assert shared.difference(capsys.readouterr().out) == said


def test_a_part_that_prints_is_no_answer(machines, monkeypatch, capsys):
    answer = sight._answer
    monkeypatch.setattr(sight, "_answer", lambda *about, **asked: print("loaded") or answer(*about, **asked))
    assert compared(machines[1], monkeypatch, capsys) == ""
    sweep = read_sweep(Path("sweep.yaml"))
    said = r"it cannot look at configs and data (what it has answered begins with 'loaded\n[{}]')"
    assert SharedSight(sweep, sweep.cells).difference("loaded\n[{}]") == said


def test_a_worker_looks_in_a_process_from_the_working_directory_of_the_sweep(machines, monkeypatch):
    sweep = read_sweep(Path("sweep.yaml"))
    question = SharedSight(sweep, sweep.cells).question()
    monkeypatch.chdir("/")
    answer, wrong = remote._look(str(machines[0]), question)
    assert (json.loads(answer), wrong) == ([{}], "")
    gone = machines[0] / "gone"
    assert remote._look(str(gone), "") == ("", f"it does not see {gone}, the working directory of this sweep")
    answer, wrong = remote._look(str(machines[0]), "nonsense")
    assert answer == ""
    assert wrong.startswith("it cannot look at configs and data (json.decoder.JSONDecodeError")
    assert subprocess.run(child.command(["--version"]), capture_output=True, check=True).stdout
