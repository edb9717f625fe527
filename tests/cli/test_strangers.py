"""What strangers' files can and cannot do, as tests/README.md says: name what is read, but not write or steer."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest
from PIL import Image

from cnntrain.core import registry
from cnntrain.rundir import checkpoint
from tests.support.experiments import FULL, write

LOGS = (".lock", "metrics.jsonl", "timing.jsonl", "train.log", "command.txt")  # are opened and written
REPLACED = ("status.json", "metrics.csv", "env.json", "checkpoints/best.npz")


@pytest.mark.parametrize(
    "text",
    [
        f"run_dir: ../elsewhere\n{FULL}",
        f"output: /elsewhere\n{FULL}",
        FULL.replace("name: full", "name: ../../elsewhere"),
        FULL.replace("name: full", "name: /elsewhere"),
        FULL.replace("name: full", "name: ..."),
        FULL.replace("checkpoint: {", "checkpoint: {directory: ../elsewhere, "),
    ],
)
def test_a_config_cannot_say_where_to_write(cnntrain, desk, tmp_path, text):
    before = sorted(tmp_path.rglob("*"))
    assert cnntrain("fit", write(tmp_path, text)).code == 2
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "full.yaml"])
    assert not list(desk.iterdir())


def test_a_config_may_train_for_very_long(cnntrain, tmp_path):
    checked = cnntrain("check", write(tmp_path, FULL.replace("epochs: 5", "epochs: 1000000")))
    assert checked.code == 0


def test_a_checkpoint_may_answer_wrongly(cnntrain, finished):
    last = finished / "checkpoints" / "last.npz"
    before = json.loads(cnntrain("eval", last, "--split", "val", "--json").out)
    saved = checkpoint.read(last)
    head = next(name for name in saved.arrays if name.startswith("param/dense") and name.endswith("weight"))
    checkpoint.save(last, saved.meta, {**saved.arrays, head: -saved.arrays[head]})
    after = json.loads(cnntrain("eval", last, "--split", "val", "--json").out)
    assert after["confusion"] != before["confusion"]


def test_an_archive_may_fill_memory_with_the_data_that_it_holds(tmp_path):
    pixels = np.zeros((2000, 32, 32, 3), np.uint8)
    np.savez_compressed(tmp_path / "a.npz", x_train=pixels, y_train=np.arange(2000) % 2)
    assert (tmp_path / "a.npz").stat().st_size < pixels.nbytes / 100
    loaded = registry.make("datasets", "npz", path=str(tmp_path / "a.npz")).load("train")
    assert loaded.pixels[np.arange(2000)].nbytes == pixels.nbytes


@pytest.mark.parametrize("name", LOGS)
def test_a_link_in_place_of_a_file_of_a_run_leads_nowhere(cnntrain, finished, tmp_path, name):
    other = tmp_path / "precious"
    other.write_text("precious\n" * 1000)
    (finished / name).unlink()
    (finished / name).symlink_to(other)
    outcome = cnntrain("fit", "-o", finished, "--resume", "-q", "-s", "train.epochs=2")
    assert outcome.code == 5
    assert f"{finished / name}: " in outcome.error
    assert outcome.error.endswith(
        f"{os.strerror(errno.ELOOP)}. A link stands where a file of the run is needed: remove it"
    )
    assert other.read_text() == "precious\n" * 1000


@pytest.mark.parametrize("name", REPLACED)
def test_a_link_in_place_of_a_file_that_is_replaced_is_replaced(cnntrain, finished, tmp_path, name):
    other = tmp_path / "precious"
    other.write_bytes((finished / name).read_bytes())
    before = other.read_bytes()
    (finished / name).unlink()
    (finished / name).symlink_to(other)
    assert cnntrain("fit", "-o", finished, "--resume", "-q", "-s", "train.epochs=2").code == 0
    assert other.read_bytes() == before


def test_a_checkpoint_that_is_a_link_is_not_resumed_from(cnntrain, finished, tmp_path):
    last, other = finished / "checkpoints" / "last.npz", tmp_path / "precious"
    last.rename(other)
    last.symlink_to(other)
    before = other.read_bytes()
    outcome = cnntrain("fit", "-o", finished, "--resume", "-q", "-s", "train.epochs=2")
    assert (outcome.code, "is a link, which may lead anywhere" in outcome.error) == (4, True)
    assert other.read_bytes() == before


@pytest.mark.parametrize(
    ("folder", "named"),
    [(".", "checkpoints/last.npz"), ("checkpoints", "last.npz"), ("checkpoints", "../checkpoints/last.npz")],
)
def test_a_checkpoint_that_is_a_link_is_not_read_however_it_is_named(
    cnntrain, finished, tmp_path, folder, named, monkeypatch
):
    last = finished / "checkpoints" / "last.npz"
    last.rename(tmp_path / "precious")
    last.symlink_to(tmp_path / "precious")
    monkeypatch.chdir(finished / folder)
    outcome = cnntrain("inspect", named)
    assert (outcome.code, "is a link, which may lead anywhere" in outcome.error) == (4, True)


def test_names_from_files_do_not_steer_the_terminal(cnntrain, tmp_path, desk):
    evil = "\x1b]0;title\x07\x1b[31m"
    outcome = cnntrain("check", write(tmp_path, FULL.replace("name: full", f'name: "{evil}"'.replace("\x1b", r"\e"))))
    assert outcome.code == 2
    assert "\x1b" not in outcome.err
    (desk / f"data{evil}").mkdir()
    source = f'{{type: image_folder, root: "data{evil}"}}'.replace("\x1b", r"\e").replace("\x07", r"\a")
    text = FULL.replace("{type: synthetic, size: 8, classes: 3, samples: 90, noise: 0.3}", source)
    outcome = cnntrain("check", write(tmp_path, text))
    assert outcome.code == 3
    assert "data" in outcome.err
    assert "\x1b" not in outcome.err
    assert "\x07" not in outcome.err


def test_a_table_may_name_any_picture_and_a_checkpoint_any_data_which_eval_alone_reads(cnntrain, desk, tmp_path):
    places = [os.path.relpath(tmp_path / "mine", desk / "theirs"), tmp_path / "mine"]  # with .., and absolute
    (desk / "theirs").mkdir()
    (tmp_path / "mine").mkdir()
    rows = [f"{places[number % 2]}/{number}.png,{'ab'[number % 2]}" for number in range(8)]
    for number in range(8):
        Image.new("L", (4, 4), 30 * number).save(tmp_path / "mine" / f"{number}.png")
    (desk / "theirs" / "list.csv").write_text("\n".join(["path,label", *rows]))
    source = (
        "data: {source: {type: csv, path: theirs/list.csv}}\nmodel: {layers: [flatten, {type: dense, units: auto}]}"
    )
    config = write(tmp_path, f"{source}\noptimizer: {{type: sgd, lr: 0.1}}\ntrain: {{epochs: 1, batch_size: 8}}\n")
    assert cnntrain("fit", config, "-q", "-o", "run").code == 0
    assert cnntrain("eval", "run", "--split", "train").code == 0
    (desk / "theirs" / "list.csv").rename(desk / "moved.csv")
    assert cnntrain("eval", "run", "--split", "train").code == 3
    assert cnntrain("predict", "run", tmp_path / "mine" / "3.png").code == cnntrain("inspect", "run").code == 0


def test_the_folder_of_checkpoints_may_be_a_link(cnntrain, finished, tmp_path):
    before = cnntrain("eval", finished).out
    (finished / "checkpoints").rename(tmp_path / "others")
    (finished / "checkpoints").symlink_to(tmp_path / "others")
    assert cnntrain("eval", finished).out == before


def test_a_message_may_quote_a_line_of_a_file_that_a_config_names(cnntrain, desk):
    (desk / "secret.txt").write_text("password: 1234\n")
    (desk / "theirs.yaml").write_text("extends: secret.txt\n")
    outcome = cnntrain("fit", "theirs.yaml")
    assert (outcome.code, "password: 1234" in outcome.err) == (2, True)
