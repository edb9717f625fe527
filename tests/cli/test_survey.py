"""A survey finds every file that is wrong, by name, and the figures of all; a manifest, what has changed since."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntrain.checks import survey as surveys
from cnntrain.checks.contact_sheet import Strip, render
from cnntrain.checks.survey import survey
from cnntrain.config.load import load
from cnntrain.core.errors import DataError
from cnntrain.data import manifest
from cnntrain.engine.pool import Pool
from tests.support.experiments import write
from tests.support.samples import make_samples

CONFIG = """\
data: {source: {type: image_folder, root: data, size: [8, 8]}, train_transforms: [hflip]}
model: {preset: linear}
train: {epochs: 1, batch_size: 4}
"""


def paint_file(path, seed, height=9, width=8):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def data(desk):
    """Pictures in train/ and val/, and a config: nothing is wrong with them."""
    for number in range(4):
        for place, name in enumerate(("cat", "dog")):
            paint_file(desk / "data" / "train" / name / f"{number}.png", 10 * place + number, 9 + number)
            paint_file(desk / "data" / "val" / name / f"{number}.png", 100 + 10 * place + number)
    write(desk, CONFIG, "my.yaml")
    return desk / "data"


def copy(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def found(cnntrain, *arguments):
    outcome = cnntrain("check", "my.yaml", "--json", *arguments)
    return json.loads(outcome.out)["survey"]


def test_sound_data_has_figures_and_no_findings(cnntrain, data):
    document = found(cnntrain)
    assert (document["files"], document["bytes"]) == (16, sum(p.stat().st_size for p in data.rglob("*.png")))
    assert document["extents"] == {"min": [9, 8], "median": [9, 8], "max": [12, 8]}
    assert [document[kind] for kind in ("unreadable", "mislabelled", "leaked", "duplicates")] == [[]] * 4
    pixels = load(["my.yaml"]).experiment.data.source.load("train").pixels / 255
    assert document["mean"] == pytest.approx(pixels.mean(axis=(0, 1, 2)))
    assert document["std"] == pytest.approx(pixels.std(axis=(0, 1, 2)))


def test_what_is_wrong_is_told_by_name(cnntrain, data):
    copy(data / "train/cat/0.png", data / "train/cat/again.png")
    copy(data / "train/cat/1.png", data / "train/dog/strange.png")
    copy(data / "train/dog/2.png", data / "val/dog/leak.png")
    outcome = cnntrain("check", "my.yaml")
    assert outcome.code == 0
    assert outcome.out.startswith(
        "mislabelled (1):\n  data/train/cat/1.png = data/train/dog/strange.png\n\n"
        "leaked (1):\n  data/train/dog/2.png = data/val/dog/leak.png\n\n"
        "duplicates (2):\n  data/train/cat/0.png = data/train/cat/again.png\n"
        "  data/train/cat/1.png = data/train/dog/strange.png\n\n"
    )
    assert outcome.err == (
        "cnntrain: warning: 1 sample is in training and in another split, so that scores on that split are too "
        "good [leaked]\ncnntrain: warning: 1 sample is in two classes, one of which is wrong [mislabelled]\n"
    )
    assert not cnntrain("check", "my.yaml", "-s", "warnings.ignore=[leaked, mislabelled]").err
    assert "\nfiles       19, " in outcome.out
    assert "\nsizes       9x8 to 12x8, median 9x8\n" in outcome.out
    assert "\npixels      {type: normalize, mean: [0." in outcome.out


@pytest.mark.parametrize("threads", ["1", "3"])
def test_what_cannot_be_read_is_told_file_by_file(cnntrain, data, threads):
    (data / "train/cat/text.png").write_text("<html>")
    (data / "val/dog/cut.png").write_bytes((data / "val/dog/0.png").read_bytes()[:60])
    (data / "val/dog/empty.jpg").touch()
    outcome = cnntrain("check", "my.yaml", "-j", threads)
    assert outcome.code == 3
    listed = outcome.out.splitlines()
    assert listed[0] == "unreadable (3):"
    assert [line.split(":")[0] for line in listed[1:4]] == [
        "  data/train/cat/text.png",
        "  data/val/dog/cut.png",
        "  data/val/dog/empty.jpg",
    ]
    assert outcome.err.startswith(
        "cnntrain: error: 3 of 19 files cannot be read, first: data/train/cat/text.png: not an image"
    )
    document = cnntrain("check", "my.yaml", "--json", "-j", threads)
    assert document.code == 3
    assert len(json.loads(document.out)["survey"]["unreadable"]) == 3


def test_what_the_config_says_to_skip_is_told_and_no_error(cnntrain, data):
    (data / "train/cat/0.png").write_text("<html>")
    outcome = cnntrain("check", "my.yaml", "-s", "data.source.on_bad_image=skip", "-s", "data.val=0.3")
    assert outcome.code == 0
    assert outcome.out.startswith("skipped (1):\n  data/train/cat/0.png: not an image")
    document = found(cnntrain, "-s", "data.source.on_bad_image=skip")
    assert (document["unreadable"], len(document["skipped"])) == ([], 1)


def test_a_class_that_training_does_not_know_is_an_error(cnntrain, data):
    paint_file(data / "val" / "cow" / "0.png", 0)
    outcome = cnntrain("check", "my.yaml")
    assert outcome.code == 3
    assert "class 'cow' is not among the 2 classes of train" in outcome.error


def test_a_validation_share_leaks_what_is_twice_in_training(cnntrain, data):
    for name in ("cat", "dog"):
        for number in range(4):
            copy(data / f"train/{name}/{number}.png", data / f"train/{name}/{number}-again.png")
    document = found(cnntrain, "-s", "data.source.root=data/train", "-s", "data.val=0.5")
    assert len(document["duplicates"]) + len(document["leaked"]) == 8
    assert document["leaked"]


@pytest.mark.parametrize("chunk", [1, 5, 1024])
def test_samples_of_arrays_are_compared_one_by_one(cnntrain, desk, monkeypatch, chunk):
    monkeypatch.setattr(surveys, "CHUNK", chunk)
    x = np.random.default_rng(0).integers(0, 256, (12, 4, 4), np.uint8)
    x[3], x[5] = x[0], x[1]
    y = np.arange(12) % 3
    np.savez(desk / "data.npz", x_train=x, y_train=y, x_test=x[[2, 7]][:, ::-1], y_test=y[[2, 7]])
    text = CONFIG.replace("{type: image_folder, root: data, size: [8, 8]}", "{type: npz, path: data.npz}")
    write(desk, text, "my.yaml")
    document = found(cnntrain)
    assert document["duplicates"] == [["train[0]", "train[3]"], ["train[1]", "train[5]"]]
    assert document["mislabelled"] == [["train[1]", "train[5]"]]
    assert document["mean"] == pytest.approx([x.mean() / 255])
    assert document["std"] == pytest.approx([x.std() / 255])
    assert (document["files"], document["leaked"]) == (1, [])


def test_every_source_of_a_composition_is_read_and_the_bits_do_not_depend_on_threads(cnntrain, data):
    part = "{type: image_folder, root: data, size: [8, 8]}"
    source = f"data.source={{type: concat, sources: [{{type: subset, fraction: 0.5, source: {part}}}, {part}]}}"
    documents = []
    for threads in (1, 3):
        with Pool(threads) as pool:
            documents.append(survey(load(["my.yaml"], [source]), pool).document())
    assert documents[0] == documents[1]
    assert documents[0]["files"] == 16


def test_fit_notices_what_changed_since_the_check(cnntrain, data, desk):
    assert cnntrain("check", "my.yaml").code == 0
    quiet = ("-s", "train.epochs=null", "-s", "train.steps=1")
    assert cnntrain("fit", "my.yaml", "-n", *quiet).err == ""
    os.utime(data / "train/cat/0.png")
    assert cnntrain("fit", "my.yaml", "-n", *quiet).err == "", "touched, and its digest is the same"
    paint_file(data / "train/cat/1.png", 77)
    (data / "train/cat/2.png").unlink()
    paint_file(data / "val/dog/new.png", 78)
    outcome = cnntrain("fit", "my.yaml", "-o", "run", "-q", *quiet)
    assert outcome.code == 0
    made = manifest.read(manifest.place(load(["my.yaml"]).experiment)).made
    assert outcome.err == (
        f"cnntrain: warning: the data has changed since 'cnntrain check' read it ({made}): "
        f"1 changed, first: {data}/train/cat/1.png; 1 missing, first: {data}/train/cat/2.png; "
        f"1 new, first: {data}/val/dog/new.png. Run it again\n"
    )
    kept = manifest.read(desk / "run" / "manifest.json").files
    assert len(kept) == 16
    assert kept[f"{data}/train/cat/3.png"][2] == manifest.digest(data / "train/cat/3.png")
    assert kept[f"{data}/train/cat/1.png"][2] is None


PICTURES, TABLE = "{type: image_folder, root: samples/pictures}", "{type: csv, path: samples/table/all.csv}"
BOTH = f"{{type: concat, sources: [{PICTURES}, {TABLE}]}}"


@pytest.mark.parametrize(
    ("source", "val"),
    [(PICTURES, "0.3"), (PICTURES, PICTURES), (PICTURES, TABLE), (TABLE, PICTURES), (BOTH, BOTH), (BOTH, TABLE)],
)
def test_where_nothing_changed_nobody_says_so(cnntrain, desk, source, val):
    """Whichever splits of a source, and of one of its own for validation, are read."""
    (desk / "samples").mkdir()
    make_samples(desk / "samples")
    write(desk, CONFIG, "my.yaml")
    sets = (f"data.source={source}", f"data.val={val}")
    outcome = cnntrain("check", "my.yaml", *(word for one in sets for word in ("-s", one)))
    assert (outcome.code, "has changed" in outcome.err) == (0, False)
    experiment = load(["my.yaml"], sets).experiment
    kept = manifest.read(manifest.place(experiment))
    assert manifest.changes(kept, manifest.of(experiment)) == []


def test_a_resumed_run_says_which_files_changed(cnntrain, data):
    steps = ("-s", "train.epochs=null", "-s", "train.steps=2", "-q")
    assert cnntrain("fit", "my.yaml", "-o", "run", *steps).code == 0
    paint_file(data / "train/cat/1.png", 77)
    outcome = cnntrain("fit", "-o", "run", "--resume", "-q")
    assert outcome.code == 3
    assert f"1 changed, first: {data}/train/cat/1.png. Restore it for the same result" in outcome.err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1, "made": "x", "files": {"a": [1]}}'])
def test_a_manifest_that_makes_no_sense_is_none(tmp_path, text):
    (tmp_path / "m.json").write_text(text)
    assert manifest.read(tmp_path / "m.json") is None


def test_a_file_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*gone: No such file"):
        manifest.facts_with_digest(tmp_path / "gone")


def test_the_batch_is_shown_with_its_labels(cnntrain, data, desk):
    outcome = cnntrain("check", "my.yaml", "--show-batch", "sheets/a.png", "-s", "train.batch_size=5")
    assert outcome.code == 0
    with Image.open(desk / "sheets" / "a.png") as picture:
        assert picture.size == (4 + 8 * 100, 18 + 2 * 18 + 2 * 114)
    again = cnntrain("check", "my.yaml", "--show-batch", "b.png", "-s", "train.batch_size=5", "-j", "1")
    assert again.code == 0
    assert (desk / "b.png").read_bytes() == (desk / "sheets" / "a.png").read_bytes()
    assert cnntrain("check", "my.yaml", "--show-batch", "b.png", "--no-data").code == 2


def test_a_sheet_shows_the_pixels_that_it_is_given():
    image = np.zeros((1, 2, 2, 1), np.float32)
    image[0, 0, 1] = 5
    sheet = np.asarray(Image.open(io.BytesIO(render("t", [Strip("h", image, ["one"])]))).convert("L"))
    tile = sheet[36:132, 4:100]
    assert (tile[:48, 48:] > 250).all()
    assert (tile[:, :48] < 5).all()
    assert (tile[48:] < 5).all()


@pytest.mark.parametrize(("side", "shown"), [(2, 96), (28, 112), (64, 128), (96, 96), (100, 100)])
def test_small_pictures_are_enlarged_until_their_captions_have_room(side, shown):
    sheet = Image.open(io.BytesIO(render("t", [Strip("h", np.zeros((1, side, side, 1)), ["1 disc, 1 square"])])))
    assert sheet.width == 4 + shown + 4


@pytest.mark.parametrize(
    ("label", "lines"),
    [("cat", 1), ("background disc", 1), ("background disc square triangle", 2), ("one " * 40, 3), ("x" * 99, 3)],
)
def test_a_caption_takes_the_lines_that_it_needs_up_to_three(label, lines):
    sheet = Image.open(io.BytesIO(render("t", [Strip("h", np.zeros((2, 96, 96, 1)), ["a", label])])))
    assert sheet.height == 2 * 18 + 96 + 14 * lines + 4


def test_channels_beyond_colour_stand_side_by_side():
    image = np.zeros((1, 3, 2, 4), np.float32)
    image[0, :, :, 3] = 1
    image[0, 0, 0, :3] = 1  # so that each channel has a range
    image[0, 0, 0, 3] = 0
    sheet = Image.open(io.BytesIO(render("t", [Strip("h", image, ["one"])]))).convert("L")
    assert np.asarray(sheet)[36 + 90, 4 + 60] > 250, "the fourth channel stands at the bottom right"
    assert np.asarray(sheet)[36 + 90, 4 + 10] < 5


def test_files_that_are_not_read_for_their_names_are_counted(cnntrain, data):
    for name in ("a.heic", "b.heic", "c.avif", "notes.txt", ".hidden"):
        (data / "train" / "cat" / name).write_bytes(b"x")
    copy(data / "train" / "cat" / "0.png", data / "train" / "dog" / "z.jfif")
    assert found(cnntrain)["left_out"] == {".heic": 2, ".avif": 1, ".txt": 1}
    outcome = cnntrain("check", "my.yaml")
    row = next(line for line in outcome.out.splitlines() if line.startswith("left out"))
    assert row.split(maxsplit=2)[2] == "4 files: 2 .heic, 1 .avif, 1 .txt"
    assert "3 files are left out for their names: 2 .heic, 1 .avif" in outcome.err


def test_what_is_not_read_is_counted_also_where_a_file_is_damaged_and_a_pipe_not_blamed_for_its_name(cnntrain, data):
    (data / "train" / "cat" / "a.heic").write_bytes(b"x")
    os.mkfifo(data / "train" / "cat" / "9.png")
    row = "left out  2 files: 1 .heic, 1 special (pipe, socket or device)"
    outcome = cnntrain("check", "my.yaml")
    assert " ".join(row.split()) in " ".join(outcome.out.split())
    assert "train: 1 file is left out for its name: 1 .heic" in outcome.err
    (data / "train" / "cat" / "0.png").write_bytes(b"x")
    outcome = cnntrain("check", "my.yaml")
    assert outcome.code == 3
    assert row in outcome.out


def test_what_cannot_be_read_is_counted_of_what_was_asked_for(cnntrain, data, desk):
    (desk / "list.csv").write_text("path,label\n" + "".join(f"gone/{n}.png,{n % 2}\n" for n in range(6)))
    outcome = cnntrain("check", "my.yaml", "-s", "data.source={type: csv, path: list.csv, size: 8}")
    assert outcome.code == 3
    (line,) = outcome.err.splitlines()
    assert line.startswith("cnntrain: error: 6 of 6 files cannot be read, first: gone/0.png")
    assert "unreadable (6):" in outcome.out
