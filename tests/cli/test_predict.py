"""`cnntrain predict`: pictures of every kind, several at once, and files that are none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from cnntrain import registry


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
    assert prediction.keys() == {"path", "class", "top"}
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
    outcome = cnntrain("predict", finished, good, "text.png", "absent.png", ".")
    assert outcome.code == 3
    assert outcome.error == (
        "cannot read 3 of 4 images: text.png: not an image, expected PNG, JPEG, BMP, GIF, WEBP, TIFF, PPM. "
        "Name image files"
    )
    outcome = cnntrain("predict", finished, "absent.png")
    assert outcome.code == 3
    assert outcome.error == "cannot read the image: absent.png: No such file or directory. Name image files"


def test_a_dash_is_a_name(cnntrain, finished, picture, desk):
    (desk / picture("a.png", 8, 8)).rename(desk / "--top")
    outcome = cnntrain("predict", finished, "--", "--top")
    assert outcome.code == 0
    assert outcome.out.startswith("--top  ")


def test_names_a_terminal_would_act_upon_are_escaped(cnntrain, finished, picture):
    outcome = cnntrain("predict", finished, picture("\x1b[31m\n.png", 8, 8))
    assert outcome.out.startswith(r"\x1b[31m\n.png  ")
    assert outcome.out.count("\n") == 1


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


def test_a_network_of_two_channels_reads_no_picture(cnntrain, config, desk, picture):
    _npz_run(cnntrain, desk, config, channels=2)
    outcome = cnntrain("predict", "run", picture("a.png", 8, 8))
    assert outcome.code == 2
    assert "was trained on images of 2 channels; an image file has 1 (grey) or 3 (colour)" in outcome.error
