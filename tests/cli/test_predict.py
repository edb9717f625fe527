"""`cnntrain predict`: pictures of every kind, several at once, and files that are none."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from cnntrain.core import registry


@pytest.fixture
def picture(desk):
    """Save a picture of random pixels: grey, colour or whatever shape, in a file of that name."""

    def save(name, *shape, seed=0):
        pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
        Image.fromarray(pixels).save(desk / name)
        return name

    return save


def test_a_picture_gets_its_likeliest_class(cnntrain, finished, picture):
    outcome = cnntrain("predict", finished, picture("a.png", 8, 8))
    assert (outcome.code, outcome.err) == (0, "")
    name, label, probability = outcome.out.split()
    assert (name, label in "012") == ("a.png", True)
    assert 1 / 3 <= float(probability) <= 1


def test_top_shows_the_next_ones_in_order_and_all_where_there_are_fewer(cnntrain, finished, picture):
    document = json.loads(cnntrain("predict", finished, picture("a.png", 8, 8), "--top", "99", "--json").out)
    assert document["checkpoint"] == str(finished / "checkpoints" / "best.npz")
    (prediction,) = document["predictions"]
    assert prediction.keys() == {"path", "class", "top", "probabilities"}
    assert sorted(guess["class"] for guess in prediction["top"]) == ["0", "1", "2"]
    shares = [guess["probability"] for guess in prediction["top"]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    assert prediction["class"] == prediction["top"][0]["class"]


def test_several_pictures_are_answered_in_their_order_each_as_if_alone(cnntrain, finished, picture):
    names = [picture(f"{number}.png", 8, 8, seed=number) for number in range(40)]  # more than a shard
    together = json.loads(cnntrain("predict", finished, *names, "--json").out)["predictions"]
    assert [prediction["path"] for prediction in together] == names
    for number in (0, 35, 39):
        alone = json.loads(cnntrain("predict", finished, names[number], "--json").out)["predictions"]
        assert alone == [together[number]]


def test_a_line_for_each_picture_with_aligned_names(cnntrain, finished, picture):
    outcome = cnntrain("predict", finished, picture("a.png", 8, 8), picture("longer.png", 8, 8))
    assert [line[:12] for line in outcome.out.splitlines()] == ["a.png       ", "longer.png  "]


@pytest.mark.parametrize(
    ("name", "shape"),
    [("colour.png", (8, 8, 3)), ("clear.png", (8, 8, 4)), ("wide.jpg", (20, 300)), ("tiny.bmp", (1, 1))],
)
def test_any_picture_is_brought_to_the_size_and_channels_of_training(cnntrain, finished, picture, name, shape):
    outcome = cnntrain("predict", finished, picture(name, *shape))
    assert (outcome.code, outcome.err) == (0, "")


def test_a_picture_is_preprocessed_as_in_training(cnntrain, config, desk):
    """A picture of the test split, saved as a file, is classified as `eval` does it."""
    assert cnntrain("fit", config, "-o", "run", "-q", "-s", "train.epochs=4").code == 0
    images = registry.make(
        "datasets", "synthetic", size=8, classes=3, samples=90, noise=0.3
    ).load("test")  # fmt: skip
    for number, pixels in enumerate(images.pixels):
        Image.fromarray(pixels[:, :, 0]).save(desk / f"{number}.png")
    names = [f"{number}.png" for number in range(len(images))]
    found = [int(one["class"]) for one in json.loads(cnntrain("predict", "run", *names, "--json").out)["predictions"]]
    confusion = np.zeros((3, 3))
    np.add.at(confusion, (images.targets, found), 1)
    assert confusion.tolist() == json.loads(cnntrain("eval", "run", "--json").out)["confusion"]


def test_files_that_are_no_pictures_are_counted_and_the_first_is_named(cnntrain, finished, picture, desk):
    (desk / "text.png").write_text("<html>")
    good = picture("a.png", 8, 8)
    outcome = cnntrain("predict", finished, good, "text.png", "absent.png")
    assert outcome.code == 3
    assert outcome.out.startswith("a.png  ")
    assert outcome.err.removeprefix("cnntrain: error: ") == (
        "cannot read 2 of 3 images: text.png: not an image, expected PNG, JPEG, BMP, GIF, WEBP, TIFF, PPM. "
        "Name image files\n"
    )


BROKEN = {  # what is said of a picture first, and last what to do
    "absent.png": ("No such file or directory", "Check its path"),
    "text.png": ("not an image, expected PNG", "Name image files"),
    "cut.png": ("damaged (", "Fetch or make it again"),
    "bad.jpg": ("damaged (", "Fetch or make it again"),
    "deep.tif": ("32-bit integer pixels, expected 8 or 16 bits", "Convert it"),
    "long.png": ("a picture of 1x1000001, expected sides of at most", "Mend it, or leave it out"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("command", ["predict", "explain"])
def test_what_to_do_about_a_picture_follows_from_what_is_wrong_with_it(cnntrain, finished, desk, name, command):
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    Image.fromarray(pixels).save(desk / "good.png")
    Image.fromarray(pixels).save(desk / "good.jpg")
    Image.fromarray(pixels.astype(np.int32) + 70_000).save(desk / "deep.tif")
    Image.new("L", (1_000_001, 1)).save(desk / "long.png")
    (desk / "text.png").write_text("<html>")
    (desk / "cut.png").write_bytes((desk / "good.png").read_bytes()[:1000])
    (desk / "bad.jpg").write_bytes((desk / "good.jpg").read_bytes()[:100])
    outcome = cnntrain(command, finished, name)
    assert outcome.code == 3
    first, last = BROKEN[name]
    assert outcome.error.startswith(f"cannot read the image: {name}: {first}")
    assert outcome.error.endswith(f". {last}")
    assert outcome.error.count(". ") == 1


def test_a_dash_is_a_name(cnntrain, finished, picture, desk):
    (desk / picture("a.png", 8, 8)).rename(desk / "--top")
    outcome = cnntrain("predict", finished, "--", "--top")
    assert outcome.code == 0
    assert outcome.out.startswith("--top  ")


def test_names_a_terminal_would_act_upon_are_escaped(cnntrain, finished, picture):
    outcome = cnntrain("predict", finished, picture("\x1b[31m\n.png", 8, 8))
    assert outcome.out.startswith(r"\x1b[31m\n.png  ")
    assert outcome.out.count("\n") == 1


def test_a_folder_stands_for_the_pictures_in_it_sorted(cnntrain, finished, picture, desk):
    for name in ("10.png", "9.png", "b.JPG", ".hidden.png"):
        picture(name, 8, 8)
    (desk / "inner").mkdir()
    (desk / picture("z.png", 8, 8)).rename(desk / "inner" / "a.png")
    (desk / "notes.txt").write_text("none")
    found = json.loads(cnntrain("predict", finished, ".", "9.png", "--json").out)["predictions"]
    assert [one["path"] for one in found] == ["10.png", "9.png", "b.JPG", "inner/a.png", "9.png"]
    (desk / "empty").mkdir()
    outcome = cnntrain("predict", finished, "empty")
    assert outcome.code == 3
    assert outcome.error.startswith(f"{desk / 'empty'} holds no images, expected files named .bmp, ")


def test_csv_has_the_likeliest_and_the_probability_of_every_class(cnntrain, finished, picture):
    names = [picture("a.png", 8, 8), picture('b, "c".png', 8, 8, seed=1)]
    outcome = cnntrain("predict", finished, *names, "--csv", "--top", "2")
    assert (outcome.code, outcome.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert [*rows[0]] == ["path", "class", "probability", "class_2", "probability_2", "p:0", "p:1", "p:2"]
    document = json.loads(cnntrain("predict", finished, *names, "--json").out)["predictions"]
    for row, one in zip(rows, document, strict=True):
        assert (row["path"], row["class"]) == (one["path"], one["class"])
        assert {name: float(row[f"p:{name}"]) for name in "012"} == one["probabilities"]
        assert float(row["probability"]) == max(one["probabilities"].values())
    assert cnntrain("predict", finished, *names, "--csv", "--json").code == 2


def _npz_run(cnntrain, desk, config, channels=1, regression=False):
    x = np.random.default_rng(0).random((30, 8, 8, channels), np.float32)
    y = x.mean(axis=(1, 2, 3))[:, None] * [1, -1] if regression else np.arange(30) % 3
    np.savez(desk / "data.npz", x_train=x, y_train=y.astype(np.float32) if regression else y)
    sets = ["data.source={type: npz, path: data.npz}", "train.epochs=1", "checkpoint.best.monitor=null"]
    sets += ["loss=mse"] if regression else []
    outcome = cnntrain("fit", config, "-o", "run", "-q", *(word for text in sets for word in ("-s", text)))
    assert outcome.code == 0, outcome.err


def test_a_network_of_values_predicts_values(cnntrain, config, desk, picture):
    _npz_run(cnntrain, desk, config, regression=True)
    document = json.loads(cnntrain("predict", "run", picture("a.png", 8, 8), "--json").out)
    (prediction,) = document["predictions"]
    assert prediction.keys() == {"path", "values"}
    assert len(prediction["values"]) == 2
    assert len(cnntrain("predict", "run", "a.png").out.split()) == 3
    assert cnntrain("predict", "run", "a.png", "--csv").out.splitlines()[0] == "path,value_1,value_2"


def test_the_samples_of_an_archive_are_predicted_each(cnntrain, config, desk):
    _npz_run(cnntrain, desk, config, channels=2)
    found = json.loads(cnntrain("predict", "run", "data.npz", "--json").out)["predictions"]
    assert [one["path"] for one in found] == [f"data.npz:train[{index}]" for index in range(30)]
    truth = np.load(desk / "data.npz")["y_train"].tolist()
    right = sum(int(one["class"]) == label for one, label in zip(found, truth, strict=True))
    measured = json.loads(cnntrain("eval", "run", "--split", "train", "--json").out)["accuracy"]
    assert right / 30 == measured


def test_a_network_of_two_channels_reads_no_picture(cnntrain, config, desk, picture):
    _npz_run(cnntrain, desk, config, channels=2)
    outcome = cnntrain("predict", "run", picture("a.png", 8, 8))
    assert outcome.code == 3
    assert "a.png gives samples of 8x8x3, run/checkpoints/best.npz was trained on 8x8x2" in outcome.error


@pytest.mark.parametrize("bad", ["text.png", "absent.png", "empty", "broken.npz"])
@pytest.mark.parametrize("form", [[], ["--csv"], ["--json"]], ids=["plain", "csv", "json"])
def test_what_can_be_read_is_answered_whatever_cannot(cnntrain, finished, picture, desk, bad, form):
    """A file that is none, that is not there, a folder without any, a damaged archive: named at the end."""
    (desk / "text.png").write_text("<html>")
    (desk / "broken.npz").write_bytes(b"PK")
    (desk / "empty").mkdir()
    names = [picture(f"{number}.png", 8, 8, seed=number) for number in range(3)]
    alone = cnntrain("predict", finished, *names, *form)
    outcome = cnntrain("predict", finished, names[0], bad, *names[1:], *form)
    assert (alone.code, outcome.code) == (0, 3)
    assert outcome.err.startswith("cnntrain: error: cannot read 1 of 4 images: ")
    assert outcome.err.count("\n") == 1
    assert bad in outcome.err
    if form == ["--json"]:
        document = json.loads(outcome.out)
        assert document["predictions"] == json.loads(alone.out)["predictions"]
        assert [entry["path"] for entry in document["unreadable"]] == [bad]
        assert document["unreadable"][0]["reason"]
    else:
        assert outcome.out == alone.out


def test_a_network_trained_on_what_could_be_read_skips_the_rest(cnntrain, picture, desk):
    for name in ("cat", "dog"):
        (desk / "data" / name).mkdir(parents=True)
        for number in range(3):
            (desk / picture(f"{number}.png", 8, 8, seed=number)).rename(desk / "data" / name / f"{number}.png")
    (desk / "data" / "cat" / "z.png").write_text("<html>")
    (desk / "c.yaml").write_text(
        "data: {source: {type: image_folder, root: data, on_bad_image: skip}}\n"
        "model: {preset: linear}\ntrain: {epochs: 1}\n"
    )
    assert cnntrain("fit", "c.yaml", "-o", "run", "-q").code == 0
    outcome = cnntrain("predict", "run", "data", "--csv")
    assert (outcome.code, outcome.out.count("\n")) == (0, 7)
    assert outcome.err.startswith("cnntrain: warning: cannot read 1 of 7 images: data/cat/z.png: not an image")
    assert cnntrain("predict", "run", "data/cat/z.png").code == 3


def test_a_picture_of_too_many_pixels_is_read_as_the_message_says(cnntrain, picture, desk):
    for name in ("cat", "dog"):
        (desk / "data" / name).mkdir(parents=True)
        (desk / picture("0.png", 8, 8)).rename(desk / "data" / name / "0.png")
    source = "{type: image_folder, root: data, size: 8, max_pixels: 64}"
    (desk / "c.yaml").write_text(f"data: {{source: {source}}}\nmodel: {{preset: linear}}\ntrain: {{epochs: 1}}\n")
    assert cnntrain("fit", "c.yaml", "-o", "run", "-q").code == 0
    outcome = cnntrain("predict", "run", picture("large.png", 20, 10))
    assert outcome.code == 3
    assert (
        "more than 64 pixels (20x10). If it is sound, set max_pixels: 200 or more in its data source" in outcome.error
    )
    assert cnntrain("predict", "run", "large.png", "-s", "data.source.max_pixels=200").code == 0
    assert cnntrain("predict", "run", "large.png", "-s", "seed=3").code == 2


@pytest.mark.parametrize("loss", ["mse", "binary_cross_entropy"])
def test_values_have_the_names_of_their_columns(cnntrain, picture, desk, loss):
    """In predict for people, as a table and as JSON, and in eval figures of each."""
    rows = [f"{picture(f'{number}.png', 8, 8, seed=number)},{number % 2},{number % 3 // 2}" for number in range(12)]
    (desk / "l.csv").write_text("\n".join(["path,red,round", *rows]))
    source = "{type: csv, path: l.csv, targets: [red, round]}"
    text = f"data: {{source: {source}}}\nmodel: {{preset: linear}}\nloss: {loss}\ntrain: {{epochs: 1}}\n"
    (desk / "c.yaml").write_text(text)
    assert cnntrain("fit", "c.yaml", "-o", "run", "-q").code == 0
    header, row = cnntrain("predict", "run", "0.png", "--csv").out.splitlines()
    (one,) = json.loads(cnntrain("predict", "run", "0.png", "--json").out)["predictions"]
    assert header == "path,red,round"
    assert one["by_name"] == dict(zip(["red", "round"], one["values"], strict=True))
    assert [float(cell) for cell in row.split(",")[1:]] == one["values"]
    assert cnntrain("predict", "run", "0.png").out.split()[1::2] == ["red", "round"]
    document = json.loads(cnntrain("eval", "run", "--split", "train", "--json").out)
    assert [row["name"] for row in document["per_value"]] == ["red", "round"]
    everything = json.loads(cnntrain("predict", "run", ".", "--json").out)["predictions"]
    values = {one["path"]: one["values"] for one in everything}
    truth = {cells[0]: [float(cell) for cell in cells[1:]] for cells in (row.split(",") for row in rows)}
    said, meant = (np.array([table[path] for path in truth]) for table in (values, truth))
    for place, figures in enumerate(document["per_value"]):
        if loss == "mse":
            assert figures["mae"] == pytest.approx(np.abs(said - meant)[:, place].mean(), rel=1e-5)
            assert figures["rmse"] == pytest.approx(np.sqrt(np.square(said - meant)[:, place].mean()), rel=1e-5)
        else:
            yes, true = said[:, place] > 0.5, meant[:, place] > 0.5
            assert figures["samples"] == true.sum()
            assert figures["recall"] == pytest.approx((yes & true).sum() / true.sum())
            above = said[true, place][:, None] - said[~true, place]
            assert figures["auc"] == pytest.approx(((above > 0) + (above == 0) / 2).mean())
            assert figures["precision"] == (pytest.approx((yes & true).sum() / yes.sum()) if yes.any() else None)
    assert cnntrain("eval", "run", "--split", "train", "--csv").out.startswith("name,")
    assert "\nred " in cnntrain("eval", "run", "--split", "train").out


@pytest.mark.parametrize("option", [("--coco", "r.json"), ("--txt", "d"), ("--score", "0.5")])
def test_a_classifier_has_no_boxes(cnntrain, finished, picture, option) -> None:
    outcome = cnntrain("predict", finished, picture("a.png", 8, 8), *option)
    assert outcome.code == 2
    assert outcome.err.startswith(f"cnntrain: error: {option[0]}: ")
    assert "the task classify " in outcome.err
