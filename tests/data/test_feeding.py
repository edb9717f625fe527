"""Feeding pictures to training: the same bits however they are read, and what the run tells about it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntrain.core import files
from cnntrain.core.errors import DataError, StoppedError
from cnntrain.engine.pool import Pool
from cnntrain.reading import pictures
from cnntrain.rundir.json_files import read_rows
from cnntrain.trained.inference import Trained
from cnntrain.training.trainer import Trainer
from tests.support.experiments import FULL, evidence, run, write

SETS = ("train.epochs=2", "checkpoint.every=1st")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment with augmentation on 66 small JPEGs of three classes, two of them damaged."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog", "emu")):
        place = tmp_path / "pictures" / name
        place.mkdir(parents=True)
        for number in range(22):
            pixels = rng.integers(60 * label, 60 * label + 120, (9, 10, 3), np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.jpg")
    for number in (3, 4):
        (tmp_path / "pictures" / "dog" / f"{number}.jpg").write_bytes(b"<html>")
    source = "{type: image_folder, root: pictures, size: 8, on_bad_image: skip}"
    return write(tmp_path, FULL.replace("{type: synthetic, size: 8, classes: 3, samples: 90, noise: 0.3}", source))


def count_decoding(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    decoding: list[int] = []
    original = pictures._pixels

    def pixels(image, *settings):
        decoding.append(1)
        return original(image, *settings)

    monkeypatch.setattr(pictures, "_pixels", pixels)
    return decoding


def test_the_same_bits_by_any_threads_with_the_cache_cold_warm_and_off(config, tmp_path, monkeypatch):
    decoding = count_decoding(monkeypatch)
    run(config, tmp_path / "cold", SETS, threads=1)
    assert len(decoding) == 64  # once each, for two epochs and validation
    expected = evidence(tmp_path / "cold")
    for threads in (1, 2, 3):
        run(config, tmp_path / f"warm{threads}", SETS, threads=threads)
        assert evidence(tmp_path / f"warm{threads}") == expected
    assert len(decoding) == 64  # nor ever again
    run(config, tmp_path / "off", (*SETS, "data.cache=false"), threads=2)
    assert evidence(tmp_path / "off") == expected
    assert len(decoding) == 128
    for path in (tmp_path / "runs" / ".cache").iterdir():
        path.unlink()
    run(config, tmp_path / "again", SETS, threads=3)
    assert evidence(tmp_path / "again") == expected


def test_a_resume_inside_an_epoch_without_the_cache_it_began_with(config, tmp_path, monkeypatch):
    run(config, tmp_path / "straight", SETS, threads=2)

    def take(self: Trainer) -> None:
        if self.state.step == 8:
            self.interrupts.stop = signal.SIGTERM
        original(self)

    original = Trainer._take_step
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_take_step", take)
        with pytest.raises(StoppedError):
            run(config, tmp_path / "run", SETS, threads=2)
    for path in (tmp_path / "runs" / ".cache").iterdir():
        path.unlink()
    run(None, tmp_path / "run", ("data.cache=false",), resume=True, threads=1)
    assert evidence(tmp_path / "run") == evidence(tmp_path / "straight")


def test_what_the_run_tells(config, tmp_path, capsys):
    run(config, tmp_path / "run", SETS)
    said = capsys.readouterr().err
    assert "warning: 2 of 66 images unreadable, first: " in said
    skipped = json.loads((tmp_path / "run" / "data.json").read_text())["skipped"]
    assert [line.rpartition("pictures/")[2] for line in skipped] == [
        f"dog/{number}.jpg: not an image, expected PNG, JPEG, BMP, GIF, WEBP, TIFF, PPM" for number in (3, 4)
    ]
    rows = read_rows(tmp_path / "run" / "timing.jsonl")
    assert len(rows) == 2
    assert all(0 < row["waiting_for_data"] < 1 for row in rows)
    with Pool(1) as pool:
        Trained(tmp_path / "run", pool).evaluate("train")
    assert "warning: 2 of 66 images unreadable, first: " in capsys.readouterr().err
    with pytest.raises(DataError, match="2 of 66 images unreadable"):
        run(config, tmp_path / "strict", (*SETS, "data.source.on_bad_image=error"))
    assert not (tmp_path / "strict").exists()


def test_data_that_changed_or_vanished_is_noticed_on_resume(config, tmp_path):
    run(config, tmp_path / "run", ("train.epochs=1",))
    place = tmp_path / "pictures" / "cat" / "0.jpg"  # among the samples whose pixels the checkpoint knows
    before = place.read_bytes()
    Image.fromarray(np.full((9, 10, 3), 255, np.uint8)).save(place)
    with pytest.raises(DataError, match=r"not what this run was started with \(pixels\)") as caught:
        run(None, tmp_path / "run", ("train.epochs=2",), resume=True)
    assert caught.value.exit_code == 3
    place.unlink()
    with pytest.raises(DataError, match=r"samples: 64 then, 63 now"):
        run(None, tmp_path / "run", ("train.epochs=2",), resume=True)
    place.write_bytes(before)
    (tmp_path / "pictures").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="pictures does not exist"):
        run(None, tmp_path / "run", ("train.epochs=2",), resume=True)
    moved = f"data.source.root={tmp_path / 'elsewhere'}"
    assert run(None, tmp_path / "run", ("train.epochs=2", moved), resume=True)["epochs"] == 2


def test_a_signal_while_pictures_are_decoded_leaves_no_half_of_a_file(config, tmp_path, monkeypatch):
    decoding = count_decoding(monkeypatch)
    original = files.write_all

    def write_all(descriptor, data):
        signal.raise_signal(signal.SIGINT)
        original(descriptor, data)

    monkeypatch.setattr(files, "write_all", write_all)
    with pytest.raises(StoppedError, match="stopped by SIGINT before training") as caught:
        run(config, tmp_path / "run", SETS)
    assert caught.value.exit_code == 130
    assert decoding
    assert not (tmp_path / "run").exists()
    assert list((tmp_path / "runs" / ".cache").glob(f"{files.TEMPORARY}*")) == []  # a whole one may be there
