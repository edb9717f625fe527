"""New data meets a trained network: one path from file to logits, whoever asks, and classes by their names."""

from __future__ import annotations

import json
import re
import shutil
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntrain.api.model import Model
from cnntrain.core.errors import DataError
from cnntrain.core.registry import make
from cnntrain.engine.engine import Engine
from cnntrain.engine.pool import Pool
from cnntrain.network.tally import Tally
from cnntrain.trained import inference, unseen
from cnntrain.trained.inference import Trained
from tests.support.experiments import CLIPS, run, write
from tests.support.networks import probabilities

COMMON = """\
model: {layers: [{type: conv2d, filters: 4, kernel_size: 3}, relu, global_avg_pool, {type: dense, units: auto}]}
train: {epochs: 2, batch_size: 8}
"""
PICTURES = """\
data:
  source: {type: image_folder, root: ROOT, size: [9, 7], channels: 3}
  train_transforms: [{type: random_crop, padding: 2}, hflip, invert, {type: normalize, from: dataset}]
  eval_transforms: [{type: center_crop, size: [9, 7]}, {type: normalize, from: dataset}]
"""
SOUNDS = """\
data:
  source: {type: audio_folder, root: ROOT, sample_rate: 8000, duration: 0.2, bands: 12}
  val: 0.3
"""


def paint(path, level, seed):
    """A picture of its own size, of about this brightness."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(level, level + 60, (8 + seed % 5, 10 + seed % 3, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures in train/ and val/, and a run on them."""
    folder = tmp_path_factory.mktemp("unseen")
    for number in range(24):
        for name, level in (("bright", 180), ("dark", 10), ("grey", 90)):
            paint(folder / "data" / ("val" if number % 3 else "train") / name / f"{number}.png", level, number)
    text = PICTURES.replace("ROOT", str(folder / "data"))
    run(write(folder, text + COMMON), folder / "run")
    return folder


@pytest.fixture
def trained(folder):
    with Pool(2) as pool:
        yield Trained(folder / "run" / "checkpoints" / "last.npz", pool)


@pytest.fixture
def logits(monkeypatch):
    """What the network gave, row by row, in every evaluation since: in the order of samples where one thread runs."""
    seen = []
    scored, unscored = Tally.of, Engine.outputs

    def spy(self, outputs, *others):
        seen.append(outputs.copy())
        return scored(self, outputs, *others)

    def spy_unscored(self, batch):
        seen.append(unscored(self, batch))
        return seen[-1]

    monkeypatch.setattr(Tally, "of", spy)
    monkeypatch.setattr(Engine, "outputs", spy_unscored)
    return seen


def test_validation_eval_and_predict_give_the_same_logits_to_the_bit(folder, tmp_path, logits):
    """Three commands, one path: files, resizing, preprocessing and network are the same."""
    text = PICTURES.replace("ROOT", str(folder / "data")) + COMMON.replace("epochs: 2", "epochs: 1")
    run(write(tmp_path, text), tmp_path / "run", threads=1)
    validated = np.concatenate(logits)[-48:]  # the last thing that training did
    assert validated.shape == (48, 3)
    files = sorted((folder / "data" / "val").rglob("*.png"))
    with Pool(1) as pool:
        trained = Trained(tmp_path / "run" / "checkpoints" / "last.npz", pool)
        asked = {
            "eval": lambda: trained.evaluate("val"),
            "eval --data": lambda: trained.evaluate("val", folder / "data"),
            "eval --data of classes alone": lambda: trained.evaluate(None, folder / "data" / "val"),
            "predict files": lambda: trained.predict(files),
            "predict a folder": lambda: trained.predict([folder / "data" / "val"]),
        }
        for what, ask in asked.items():
            logits.clear()
            ask()
            assert np.array_equal(np.concatenate(logits), validated), what


def test_classes_are_matched_by_name_whatever_their_place(folder, trained, tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("dark", "grey"):
        (tmp_path / "data" / name).symlink_to(folder / "data" / "val" / name)
    whole = trained.evaluate("val")
    document = trained.evaluate(None, tmp_path / "data")
    assert (document["split"], document["samples"], document["data"]) == ("train", 32, str(tmp_path / "data"))
    assert [row["class"] for row in document["per_class"]] == ["bright", "dark", "grey"]
    assert [row["samples"] for row in document["per_class"]] == [0, 16, 16]
    for here, there in zip(document["per_class"][1:], whole["per_class"][1:], strict=True):
        assert here["recall"] == there["recall"]


def test_a_class_it_does_not_know_is_named(folder, trained, tmp_path):
    (tmp_path / "data").mkdir()
    for mine, theirs in (("dark", "dark"), ("hell", "bright")):
        (tmp_path / "data" / mine).symlink_to(folder / "data" / "val" / theirs)
    with pytest.raises(DataError) as raised:
        trained.evaluate(None, tmp_path / "data")
    assert str(raised.value) == (
        f"the train split has classes that {folder}/run/checkpoints/last.npz was not trained on: 'hell'; it knows "
        "'bright', 'dark', 'grey'. Rename them as in training, or leave them out"
    )


@pytest.mark.parametrize("column", ["label", "class", "digit", "species", "form,hue", "label,digit"])
def test_a_table_without_names_of_classes_is_mended_as_the_messages_say(folder, trained, tmp_path, column):
    """Numbers for names, under any heading; or names under a heading that says nothing, of one class or of two."""
    files = [folder / "data" / "val" / name / f"{n}.png" for n in (1, 2, 4) for name in ("dark", "grey")]
    names, cells = column.split(","), {"numbers": [], "names": []}
    for path in files:
        cells["numbers"].append({"dark": "1", "grey": "2"}[path.parent.name])
        cells["names"].append(path.parent.name)
    table = tmp_path / "held.csv"

    def asked(header, written):
        rows = [",".join([str(path), *[cell] * len(names)]) for path, cell in zip(files, written, strict=True)]
        table.write_text("\n".join([",".join(["path", *header]), *rows]))
        return trained.evaluate(None, table)

    if not {"form", "species"} & {*names}:
        with pytest.raises(DataError) as raised:
            asked(names, cells["numbers"])
        if names == ["digit"]:
            assert str(raised.value).endswith(f"Call the column of {table} that has class names 'label'")
            names[0] = "label"
            with pytest.raises(DataError) as raised:
                asked(names, cells["numbers"])
        assert str(raised.value).endswith(
            "not trained on: '1', '2'; it knows 'bright', 'dark', 'grey'. Numbers do not say which is which: write "
            "names in their place, in a CSV file or as folders"
        )
    if "form" in names:
        with pytest.raises(DataError, match=r"Name it with init --target COLUMN, or call it 'label'$"):
            asked(names, cells["names"])
        names[0] = "label"
    assert [row["samples"] for row in asked(names, cells["names"])["per_class"]] == [0, 3, 3]


def test_arrays_have_numbers_for_names_and_another_shape(folder, trained, tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x_train=np.zeros((4, 9, 7, 3), np.uint8), y_train=np.arange(4) % 2)
    with pytest.raises(DataError, match="not trained on: '0', '1'; it knows 'bright'"):
        trained.evaluate(None, path)
    np.savez(path, x_train=np.zeros((4, 9, 8, 3), np.uint8), y_train=np.arange(4) % 2)
    same = r"\. Evaluate on data of the same kind$"
    kinds = r"the train split is 9x8x3 of 2 classes, .* was trained on 9x7x3 of 3 classes"
    with pytest.raises(DataError, match=kinds + same):
        trained.evaluate(None, path)
    with pytest.raises(DataError, match=r"data.npz gives samples of 9x8x3, .* was trained on 9x7x3$"):
        trained.predict([path])


def test_a_split_that_is_not_there(folder, trained):
    assert trained.evaluate(None, folder / "data")["split"] == "val"
    with pytest.raises(DataError, match=r"has no split 'test', it has train, val. Use --split train or --split val"):
        trained.evaluate("test", folder / "data")


def test_pictures_are_read_as_in_training_out_of_a_subset_too(folder, tmp_path):
    source = "{type: subset, fraction: 0.9, source: {type: image_folder, root: ROOT, size: [9, 7], channels: 3}}"
    text = PICTURES.replace("{type: image_folder, root: ROOT, size: [9, 7], channels: 3}", source)
    run(write(tmp_path, text.replace("ROOT", str(folder / "data")) + COMMON), tmp_path / "run")
    with Pool(1) as pool:
        trained = Trained(tmp_path / "run", pool)
        assert trained.evaluate("val", folder / "data") == trained.evaluate("val") | {"data": str(folder / "data")}


def test_a_network_that_hears_takes_sounds(tmp_path):
    for number in range(10):
        for name, pitch in (("low", 300), ("high", 2500)):
            path = tmp_path / "data" / name / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            with wave.open(str(path), "wb") as sound:
                sound.setparams((1, 2, 8000, 0, "NONE", ""))
                tone = 9000 * np.sin(2 * np.pi * (pitch + 30 * number) * np.arange(1600 + number) / 8000)
                sound.writeframes(tone.astype("<i2").tobytes())
    run(write(tmp_path, SOUNDS.replace("ROOT", str(tmp_path / "data")) + COMMON), tmp_path / "run", ("train.epochs=8",))
    with Pool(2) as pool:
        trained = Trained(tmp_path / "run", pool)
        answers = trained.predict([tmp_path / "data"])
        measured = trained.evaluate("train", tmp_path / "data")
    right = [json.loads(json.dumps(answer))["class"] in answer["path"] for answer in answers]
    assert len(right) == 20
    assert sum(right) / 20 == measured["accuracy"]


@pytest.mark.parametrize("split", ["", ", split: {val: '9[.]'}"])
def test_classes_in_the_names_of_files_are_found_in_another_folder(folder, tmp_path, split):
    """Which is no folder of class folders, and has neither the groups nor the splits of training."""
    for place, digit in (("own", "[0-7]"), ("own", "9"), ("other", "8")):
        (tmp_path / place).mkdir(exist_ok=True)
        for path in (folder / "data").rglob(f"*{digit}.png"):
            name = f"{path.parent.name}_{path.name}" if place == "other" else f"{path.parent.name}_x{path.name}"
            shutil.copy(path, tmp_path / place / name)
    source = f"root: {tmp_path / 'own'}, label: '^(.*)_', group: 'x(.*)[.]'{split}"
    run(write(tmp_path, PICTURES.replace("root: ROOT", source) + COMMON), tmp_path / "run")
    with Pool(1) as pool:
        trained = Trained(tmp_path / "run", pool)
        measured = trained.evaluate(None, tmp_path / "other")
        answers = trained.predict([tmp_path / "other"])
    assert measured["samples"] == len(answers) == 6
    right = sum(Path(answer["path"]).name.startswith(answer["class"]) for answer in answers)
    assert measured["accuracy"] == right / 6


def test_another_table_need_not_have_the_groups_of_training(folder, tmp_path):
    rows = [(path, path.parent.name, path.stem) for path in sorted((folder / "data" / "val").rglob("*.png"))]
    (tmp_path / "own.csv").write_text("path,label,who\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    (tmp_path / "other.csv").write_text("path,label\n" + "".join(f"{a},{b}\n" for a, b, _ in rows[::2]))
    source = f"{{type: csv, path: {tmp_path / 'own.csv'}, size: [9, 7], group: who}}"
    text = PICTURES.replace("{type: image_folder, root: ROOT, size: [9, 7], channels: 3}", source) + COMMON
    run(write(tmp_path, text), tmp_path / "run")
    with Pool(1) as pool:
        assert Trained(tmp_path / "run", pool).evaluate(None, tmp_path / "other.csv")["samples"] == 24


def test_pictures_of_a_table_are_read_alike_by_eval_and_predict(folder, tmp_path):
    """A network trained on a CSV file takes another CSV file, and pictures named or in folders."""
    files = sorted((folder / "data" / "val").rglob("*.png"))
    rows = [f"{path},{path.parent.name}" for path in files]
    for name, some in (("train", rows[::2]), ("other", rows[1::2])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["path,label", *some]))
    source = f"{{type: csv, path: {tmp_path / 'train.csv'}, size: [9, 7]}}"
    text = PICTURES.replace("{type: image_folder, root: ROOT, size: [9, 7], channels: 3}", source) + COMMON
    run(write(tmp_path, text), tmp_path / "run")
    with Pool(1) as pool:
        trained = Trained(tmp_path / "run", pool)
        measured = trained.evaluate(None, tmp_path / "other.csv")
        answers = trained.predict(files[1::2])
        assert trained.predict([tmp_path / "other.csv"]) == answers
    assert measured["samples"] == len(answers) == 24
    right = sum(answer["class"] == path.parent.name for answer, path in zip(answers, files[1::2], strict=True))
    assert measured["accuracy"] == right / 24


@pytest.mark.parametrize("header", ["path", "number,file", "id;picture;path", "what"])
def test_the_files_that_a_table_lists_are_predicted(folder, trained, tmp_path, header):
    """By the usual names of their column, or the endings of its cells; without labels, and from the table's folder."""
    (tmp_path / "pictures").symlink_to(folder / "data" / "val" / "dark")
    mark = ";" if ";" in header else ","
    rows = [mark.join([str(number)] * header.count(mark) + [f"pictures/{number}.png"]) for number in (1, 2, 4)]
    table = tmp_path / "list.csv"
    table.write_text("\n".join([header, *rows]))
    paths = [tmp_path / "pictures" / f"{number}.png" for number in (1, 2, 4)]
    assert trained.predict([table]) == trained.predict(paths)
    assert trained.unseen.names([table]) == [*map(str, paths)]
    failures: list[tuple[str, str]] = []
    table.write_text("\n".join([header, *rows, rows[0].replace("1.png", "none.png")]))
    assert len(trained.answers([table], 1, failures)) == 3
    assert [name for name, _ in failures] == [str(tmp_path / "pictures" / "none.png")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "the column 'path' is not among a, b. Call the column of images 'path'"),
        ("", "the column 'path' is not among none. Call the column of images 'path'"),
        ("path\n", "has no row below its header, expected one for each image. Add them"),
        ("path,x\n,2\n", ":2 names no image, expected a path. Mend the row, or remove it"),
        ("p/0.png\np/1.png\n", ":1 is a row of data (it has 'p/0.png'), expected a header that names the columns"),
    ],
)
def test_a_table_that_lists_no_files_is_told(trained, tmp_path, text, said):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(DataError, match=re.escape(said)):
        trained.predict([tmp_path / "list.csv"])


@pytest.mark.parametrize("form", ["folder", "csv"])
def test_one_class_of_a_network_is_data_too(folder, tmp_path, form):
    """Of pictures in folders and of a table; the other classes have no samples there."""
    whole, files = folder / "data" / "val", sorted((folder / "data" / "val" / "grey").glob("*.png"))
    if form == "folder":
        (tmp_path / "only").mkdir()
        (tmp_path / "only" / "grey").symlink_to(whole / "grey")
        place = tmp_path / "only"
    else:
        place = tmp_path / "only.csv"
        place.write_text("\n".join(["path,label", *(f"{path},grey" for path in files)]))
    with Pool(2) as pool:
        trained = Trained(folder / "run" / "checkpoints" / "last.npz", pool)
        document = trained.evaluate(None, place)
        everything = trained.evaluate("val")
    assert [row["samples"] for row in document["per_class"]] == [0, 0, 16]
    assert document["per_class"][2]["recall"] == everything["per_class"][2]["recall"]


def test_a_network_of_numbers_takes_arrays_of_one_class(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (24, 6, 6), np.uint8)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.arange(24) % 3)
    np.savez(tmp_path / "b.npz", x_train=x[:5], y_train=np.full(5, 0))
    run(write(tmp_path, f"data: {{source: {{type: npz, path: {tmp_path / 'a.npz'}}}}}\n{COMMON}"), tmp_path / "run")
    with Pool(1) as pool:
        trained = Trained(tmp_path / "run", pool)
        assert [row["samples"] for row in trained.evaluate(None, tmp_path / "b.npz")["per_class"]] == [5, 0, 0]
        assert len(trained.predict([tmp_path / "b.npz"])) == 5


@pytest.mark.parametrize("classes", [("bright", "dark", "grey"), ("grey",)])
def test_folders_of_a_test_split_alone_are_enough(folder, trained, tmp_path, classes):
    for name in classes:
        shutil.copytree(folder / "data" / "val" / name, tmp_path / "held" / "test" / name)
        shutil.copytree(folder / "data" / "val" / name, tmp_path / "whole" / name)
    found = trained.evaluate(None, tmp_path / "held")
    assert found["split"] == "test"
    named = {"data": str(tmp_path / "whole"), "split": "train"}
    assert found | named == trained.evaluate(None, tmp_path / "whole")
    with pytest.raises(DataError, match=r"has no split 'train', it has test\. Use --split test$"):
        trained.evaluate("train", tmp_path / "held")
    with pytest.raises(DataError, match=r"held has test but no train: the classes are those of train\. Add it"):
        trained.unseen.source(tmp_path / "held").load("train")  # to learn from


def test_pictures_of_a_test_split_alone_that_are_numbered_in_a_row_are_no_clips(folder, trained, tmp_path):
    for name in ("bright", "dark", "grey"):
        (tmp_path / "test" / name).mkdir(parents=True)
        for number in range(3):
            shutil.copy(folder / "data" / "val" / name / "1.png", tmp_path / "test" / name / f"{number}.png")
    found = trained.evaluate(None, tmp_path)
    assert (found["split"], found["samples"]) == ("test", 9)


@pytest.mark.parametrize("form", ["file", "folder"])
@pytest.mark.parametrize("labels", [(0, 1, 2), (0,), (2,)])
def test_arrays_of_a_test_split_alone_are_enough(tmp_path, form, labels):
    x = np.random.default_rng(0).integers(0, 256, (24, 6, 6), np.uint8)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.arange(24) % 3)
    arrays, place = {"x_test": x[:6], "y_test": np.resize(labels, 6)}, tmp_path / "held.npz"
    if form == "file":
        np.savez(place, **arrays)
    else:
        place = tmp_path / "held"
        place.mkdir()
        for name, array in arrays.items():
            np.save(place / f"{name}.npy", array)
    run(write(tmp_path, f"data: {{source: {{type: npz, path: {tmp_path / 'a.npz'}}}}}\n{COMMON}"), tmp_path / "run")
    with Pool(1) as pool:
        found = Trained(tmp_path / "run", pool).evaluate(None, place)
    assert (found["split"], found["samples"]) == ("test", 6)
    assert [row["samples"] for row in found["per_class"]] == [arrays["y_test"].tolist().count(k) for k in range(3)]
    source = make("datasets", "npz", path=str(place))
    with pytest.raises(DataError, match=r"has no array 'x_train', found x_test, y_test"):
        source.load("train")


def test_a_table_of_a_test_split_alone_is_enough(folder, tmp_path):
    files = sorted((folder / "data" / "val").rglob("*.png"))
    (tmp_path / "held").mkdir()
    for name in ("train.csv", "held/test.csv"):
        (tmp_path / name).write_text("\n".join(["path,label", *(f"{path},{path.parent.name}" for path in files)]))
    source = f"{{type: csv, path: {tmp_path / 'train.csv'}, size: [9, 7]}}"
    text = PICTURES.replace("{type: image_folder, root: ROOT, size: [9, 7], channels: 3}", source) + COMMON
    run(write(tmp_path, text), tmp_path / "run")
    with Pool(1) as pool:
        trained = Trained(tmp_path / "run", pool)
        found = trained.evaluate(None, tmp_path / "held")
        named = {"data": str(tmp_path / "train.csv"), "split": "train"}
        assert found | named == trained.evaluate(None, tmp_path / "train.csv")
    with pytest.raises(DataError, match=r"held holds no train\.csv, found test\. Set path to a CSV file"):
        make("datasets", "csv", path=str(tmp_path / "held"), size=(9, 7)).load("train")


def test_validation_of_a_source_of_its_own_may_lack_classes(folder, tmp_path):
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "grey").symlink_to(folder / "data" / "val" / "grey")
    text = PICTURES.replace("ROOT", str(folder / "data" / "train")) + COMMON
    own = f"data.val={{type: image_folder, root: {tmp_path / 'val'}, size: [9, 7]}}"
    rows = run(write(tmp_path, text), tmp_path / "run", (own,))
    assert rows["final"]["val/accuracy"] is not None
    (tmp_path / "val" / "stranger").symlink_to(folder / "data" / "val" / "dark")
    with pytest.raises(DataError, match=r"not among the 3 of training: 'stranger'. Rename them, or leave them out"):
        run(write(tmp_path, text), tmp_path / "run2", (own,))


@pytest.mark.parametrize("arrays", ["x_test", "x_train", "x_val", "x_test y_test", "x_train y_train", "x_test x_train"])
@pytest.mark.parametrize("count", [1, 3])
def test_rows_of_an_npz_need_no_targets_and_may_be_one(trained, tmp_path, arrays, count):
    """A single sample has no two classes, and one that is to be predicted no target."""
    rng = np.random.default_rng(0)
    path = tmp_path / "data.npz"
    images = rng.integers(0, 256, (count, *trained.network.image_shape), np.uint8)
    made = {name: images if name[0] == "x" else np.zeros(count, int) for name in arrays.split()}
    np.savez(path, **made)
    found = trained.predict([path])
    assert [row["path"] for row in found] == [f"{path}:{arrays.split()[0][2:]}[{i}]" for i in range(count)]
    expected = probabilities(trained, images)
    for row, shares in zip(found, expected, strict=True):
        np.testing.assert_allclose(list(row["probabilities"].values()), shares, rtol=1e-6)


@pytest.mark.parametrize(("module", "name", "value"), [(unseen, "CHUNK", 3), (inference, "_HELD", 7)])
def test_how_many_are_in_memory_at_a_time_does_not_matter(folder, trained, tmp_path, monkeypatch, module, name, value):
    """Files of a folder and rows of an array: all of them, each once, in order, with its own answer."""
    images = np.random.default_rng(0).integers(0, 256, (8, *trained.network.image_shape), np.uint8)
    np.savez(tmp_path / "data.npz", x_test=images)
    paths = [folder / "data" / "val", tmp_path / "data.npz"]
    expected = trained.predict(paths)
    assert len({row["path"] for row in expected}) == len(expected) == 48 + 8
    monkeypatch.setattr(module, name, value)
    assert trained.predict(paths) == expected


def test_an_npz_without_images_is_refused(trained, tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, y_test=np.zeros(1, int))
    with pytest.raises(DataError, match="has no array 'x_test', found y_test"):
        trained.predict([path])


def test_a_network_that_learned_from_computed_clips_takes_files_of_clips(tmp_path):
    run(write(tmp_path, CLIPS), tmp_path / "run", ("train.epochs=null", "train.steps=1"))
    clip = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8)
    (tmp_path / "clip").mkdir()
    for number, picture in enumerate(clip[..., 0]):
        Image.fromarray(picture).save(tmp_path / "clip" / f"{number}.png")
    with Model(tmp_path / "run", threads=1) as model:
        (found,) = model.predict([tmp_path / "clip"], top=2)
        assert found["top"] == model.predict(clip, top=2)["top"]
        with pytest.raises(DataError, match="one still picture"):
            model.predict([tmp_path / "clip" / "0.png"])


def test_a_network_of_a_version_to_which_frames_were_channels_says_how_to_train_it_again(trained):
    assert trained.unseen.former == ""
    clips = replace(trained.unseen, trained_on=make("datasets", "frames_folder", root="clips"))
    former = replace(clips, data=replace(clips.data, shape=(8, 8, 6))).former
    assert former.endswith(
        "Train it again with the transform frames_as_channels first in train_transforms and eval_transforms"
    )
    assert replace(clips, data=replace(clips.data, shape=(6, 8, 8, 1))).former == ""
