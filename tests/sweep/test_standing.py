"""A cell counts as finished only where its run says so, and can be read; whatever else lies there is trained over."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cnntrain.cli import main
from cnntrain.config.schema import Experiment
from cnntrain.data import manifest
from cnntrain.data.manifest import Listings
from cnntrain.sweep.cells import read_sweep
from cnntrain.sweep.standing import Standing, read_status, trained_seconds
from tests.support.experiments import run, write

ON_FILES = """\
data: {source: {type: image_folder, root: shapes, size: 8}, val: 0.25}
model: {layers: [flatten, {type: dense, units: auto}]}
optimizer: {type: sgd, lr: 0.1}
train: {epochs: 1, batch_size: 4}
"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of one cell and, in `run`, that cell trained."""
    folder = tmp_path_factory.mktemp("standing")
    run(write(folder), folder / "run", ("train.epochs=1", "optimizer.lr=0.1"))
    (folder / "sweep.yaml").write_text("config: full.yaml\nset: {train.epochs: 1}\ngrid: {optimizer.lr: [0.1]}\n")
    return folder


def standing(sound: Path, run_dir: Path) -> Standing:
    return Standing(read_sweep(sound / "sweep.yaml").cells[0], run_dir, [])


def test_a_finished_run_is_kept_with_its_time(sound: Path) -> None:
    one = standing(sound, sound / "run")
    assert one.keep_if_finished(Listings())
    assert (one.state, one.kept, one.seconds) == ("finished", True, trained_seconds(sound / "run"))
    assert one.seconds > 0


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("status.json", None),
        ("status.json", b"half a li"),
        ("status.json", b"\xff"),
        ("status.json", b"[1]"),
        ("status.json", b'{"state": "interrupted"}'),
        ("checkpoints/last.npz", None),
        ("checkpoints/last.npz", b"PK\x03\x04"),
    ],
)
def test_what_is_not_finished_or_cannot_be_read_is_not_kept(
    sound: Path, tmp_path: Path, file: str, content: bytes | None
) -> None:
    shutil.copytree(sound / "run", tmp_path / "run")
    (tmp_path / "run" / file).unlink()
    if content is not None:
        (tmp_path / "run" / file).write_bytes(content)
    assert not standing(sound, tmp_path / "run").keep_if_finished(Listings())


def test_a_device_that_fails_is_the_runs_own_affair(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def failing(path: Any, *arguments: Any) -> int:
        if str(path).endswith("last.npz"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(path, *arguments)

    monkeypatch.setattr(os, "open", failing)
    assert not standing(sound, sound / "run").keep_if_finished(Listings())


def test_other_settings_are_another_cell(sound: Path, tmp_path: Path) -> None:
    run(sound / "full.yaml", tmp_path / "run", ("train.epochs=1", "optimizer.lr=0.2"))
    assert not standing(sound, tmp_path / "run").keep_if_finished(Listings())


@pytest.mark.parametrize("what", ["pipe", "link", "none"])
def test_a_status_that_is_no_file_of_the_run_is_none(sound: Path, tmp_path: Path, what: str) -> None:
    if what == "pipe":
        os.mkfifo(tmp_path / "status.json")
    elif what == "link":
        (tmp_path / "status.json").symlink_to(sound / "run/status.json")
    assert read_status(tmp_path) == {}


def test_the_time_of_a_run_is_that_of_all_its_sessions_or_of_its_process(sound: Path, tmp_path: Path) -> None:
    rows = [{"seconds": 1.5}, {"seconds": 2}, {"seconds": None}, {}]
    (tmp_path / "timing.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    one, other = standing(sound, tmp_path), standing(sound, tmp_path / "none")
    one.end(0, 60.0)
    other.end(2, 0.5)
    assert (one.seconds, other.seconds) == (3.5, 0.5)
    (tmp_path / "timing.jsonl").write_text("no row\n")
    assert trained_seconds(tmp_path) == 0.0


def test_data_that_has_changed_since_a_finished_run_is_told_and_listed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, level in (("dot", 40), ("bar", 200)):
        (tmp_path / "shapes" / name).mkdir(parents=True)
        for number in range(8):
            Image.new("L", (8, 8), level + number).save(tmp_path / f"shapes/{name}/{number}.png")
    Path("net.yaml").write_text(ON_FILES)
    Path("sweep.yaml").write_text("config: net.yaml\ngrid: {optimizer.lr: [0.1, 0.01]}\n")
    assert main(["sweep", "sweep.yaml", "-q"]) == 0
    assert main(["sweep", "sweep.yaml", "-q"]) == 0
    assert "the data has changed" not in capsys.readouterr().err
    (tmp_path / "shapes/dot/0.png").unlink()
    listed: list[Experiment] = []
    once = manifest.of
    monkeypatch.setattr(manifest, "of", lambda experiment: listed.append(experiment) or once(experiment))
    assert main(["sweep", "sweep.yaml", "-q"]) == 0, "its results stay"
    told = capsys.readouterr().err
    for cell in ("lr=0.1", "lr=0.01"):
        assert re.search(rf"warning: {cell}: the data has changed since this run was started .*: 1 missing, fir", told)
        assert f"Remove runs/sweep/{cell} to train it on the new data, or restore the old\n" in told
    assert len(listed) == 1
    shutil.rmtree(tmp_path / "shapes")
    assert main(["sweep", "sweep.yaml", "-q"]) == 0, "finished runs are shown without their data"
