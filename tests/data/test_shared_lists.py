"""Runs on the same files keep one list of them, and none of them depends on another."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntrain.core import files
from cnntrain.core.strict_json import encode
from cnntrain.data import identity, manifest
from cnntrain.rundir import directory
from tests.support.experiments import run, write

TEXT = """
data: {source: {type: image_folder, root: pictures}}
model: {layers: [flatten, {type: dense, units: auto}]}
optimizer: {type: sgd, lr: 0.01}
train: {steps: 1, batch_size: 4}
warnings: {ignore: [no-validation]}
"""
MORE = ("train.steps=2",)


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(directory, "_WORTH_SHARING", 0)
    rng = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).save(f"pictures/{name}/{number}.png")
    return write(tmp_path, TEXT)


def resume(folder: Path, capsys) -> str:
    """Go on with a run: what it warned about."""
    capsys.readouterr()
    run(None, folder, MORE, resume=True)
    return capsys.readouterr().err


def test_two_runs_have_one_list(config):
    for name in ("one", "two"):
        run(config, Path(name))
    one, two = (Path(name, manifest.LIST).stat() for name in ("one", "two"))
    assert one.st_ino == two.st_ino
    assert one.st_nlink == 3
    assert len(manifest.read(Path("one", manifest.FILE)).files) == 8
    assert Path("one", manifest.FILE).stat().st_size < 300
    one, two = (Path(name, identity.FILE).stat() for name in ("one", "two"))
    assert one.st_ino == two.st_ino


def test_other_samples_of_the_same_files_are_a_list_of_their_own(config):
    for number in range(2):
        run(config, Path(str(number)), ("data.val=0.5", f"seed={number}"))
    one, two = (Path(str(number), identity.FILE) for number in range(2))
    assert one.stat().st_ino != two.stat().st_ino
    assert [path.stat().st_nlink for path in (one, two)] == [2, 2]


def test_a_short_list_is_the_runs_own(config, monkeypatch):
    monkeypatch.setattr(directory, "_WORTH_SHARING", 2**20)
    run(config, Path("one"))
    assert Path("one", manifest.LIST).stat().st_nlink == 1
    assert not manifest.FOLDER.exists()


def test_a_list_that_no_run_has_any_more_goes(config):
    run(config, Path("one"))
    (first,) = manifest.FOLDER.glob("files-*.json")
    shutil.rmtree("one")
    Image.new("RGB", (4, 4)).save("pictures/a/9.png")
    run(config, Path("two"))
    assert first not in [*manifest.FOLDER.glob("files-*.json")]
    assert len([*manifest.FOLDER.glob("files-*.json")]) == 1


def test_a_run_that_is_copied_elsewhere_is_whole(config, tmp_path, capsys):
    run(config, Path("one"))
    shutil.copytree("one", tmp_path / "elsewhere")
    shutil.rmtree("one")
    shutil.rmtree(manifest.FOLDER)
    assert len(manifest.read(tmp_path / "elsewhere" / manifest.FILE).files) == 8
    assert resume(tmp_path / "elsewhere", capsys) == ""


def test_a_change_is_told_of_whether_or_not_the_list_is_shared(config, capsys):
    run(config, Path("one"))
    Image.open("pictures/a/0.png").save("pictures/a/0.png", compress_level=0)  # the same pixels
    assert "1 changed, first: " in resume(Path("one"), capsys)


def test_a_run_without_its_list_takes_the_one_that_is_kept(config, capsys):
    run(config, Path("one"))
    Path("one", manifest.LIST).unlink()
    assert len(manifest.read(Path("one", manifest.FILE)).files) == 8


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_text("{}")])
def test_a_list_that_is_gone_or_another_is_named(config, capsys, damage):
    run(config, Path("one"))
    shutil.rmtree(manifest.FOLDER)
    damage(Path("one", manifest.LIST))
    assert manifest.read(Path("one", manifest.FILE)) is None
    Image.open("pictures/a/0.png").save("pictures/a/0.png", compress_level=0)
    said = resume(Path("one"), capsys)
    assert "one/files.json is not the list of files that this run was started with" in said
    assert "cannot be told" in said


def test_without_hard_links_a_run_has_a_list_of_its_own(config, monkeypatch):
    def link(*_args, **_options):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(files.os, "link", link)
    run(config, Path("one"))
    assert Path("one", manifest.LIST).stat().st_nlink == 1
    assert len(manifest.read(Path("one", manifest.FILE)).files) == 8


def test_a_run_of_an_older_version_has_its_files_in_the_manifest(config, capsys):
    run(config, Path("one"))
    found = manifest.read(Path("one", manifest.FILE))
    Path("one", manifest.FILE).write_text(encode(found.document()))
    Path("one", manifest.LIST).unlink()
    shutil.rmtree(manifest.FOLDER)
    assert manifest.read(Path("one", manifest.FILE)) == found
    assert resume(Path("one"), capsys) == ""
    Image.open("pictures/a/0.png").save("pictures/a/0.png", compress_level=0)
    run_again = ("train.steps=3",)
    capsys.readouterr()
    run(None, Path("one"), run_again, resume=True)
    assert "1 changed, first: " in capsys.readouterr().err
