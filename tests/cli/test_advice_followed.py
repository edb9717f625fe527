"""What messages about data advise is done, in the situation in which they advise it, and helps."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

CONFIG = """\
data: {source: {type: SOURCE, size: 8}}
model: {preset: linear}
train: {epochs: 1, batch_size: 4}
"""


@pytest.fixture
def photographs(desk):
    """Two classes of small pictures, and in one of them a photograph of 26 megapixels; a config."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (desk / "data" / name).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 256, (9, 9, 3), np.uint8)
            Image.fromarray(pixels).save(desk / "data" / name / f"{number}.png")
    Image.new("1", (6500, 4000), 1).save(desk / "data" / "cat" / "photo.png")
    (desk / "c.yaml").write_text(CONFIG.replace("SOURCE", "image_folder, root: data"))
    return desk / "data"


@pytest.mark.parametrize("command", ["check", "fit", "eval", "predict"])
def test_max_pixels_is_set_as_the_message_says(cnntrain, photographs, command):
    refused = {
        "check": ["check", "c.yaml"],
        "fit": ["fit", "c.yaml", "-o", "run", "-q"],
        "eval": ["eval", "run", "--data", "data"],
        "predict": ["predict", "run", "data"],
    }[command]
    if command in ("eval", "predict"):
        (photographs / "cat" / "photo.png").rename(photographs / "photo.png")
        assert cnntrain("fit", "c.yaml", "-o", "run", "-q").code == 0
        (photographs / "photo.png").rename(photographs / "cat" / "photo.png")
    outcome = cnntrain(*refused)
    assert outcome.code == 3
    advice = re.search(r"set max_pixels: (\d+) or more in its data source, or (on_bad_image): skip", outcome.err)
    assert advice, outcome
    assert advice[1] == str(6500 * 4000)
    assert "Mend or remove" not in outcome.err
    for setting in (f"max_pixels={advice[1]}", "on_bad_image=skip"):
        again = cnntrain(*refused, "-s", f"data.source.{setting}", *(["--overwrite"] if command == "fit" else []))
        assert again.code == 0, again


def test_init_sets_max_pixels_itself(cnntrain, photographs, desk):
    assert cnntrain("init", "--data", "data", "-o", "new.yaml").code == 0
    assert "max_pixels: 26000000" in (desk / "new.yaml").read_text()
    assert cnntrain("check", "new.yaml").code == 0


def test_the_library_has_a_limit_of_its_own_which_no_setting_exceeds(cnntrain, photographs, desk):
    """Of 179 million pixels: what is said is true on both sides of it."""
    Image.new("1", (17_000, 10_000), 1).save(desk / "data" / "cat" / "photo.png")
    assert cnntrain("check", "c.yaml", "-s", "data.source.max_pixels=170000000").code == 0
    outcome = cnntrain("check", "c.yaml", "-s", "data.source.max_pixels=169999999")
    said = "more than 169,999,999 pixels (10000x17000). If it is sound, set max_pixels: 170000000 or more"
    assert said in outcome.err
    outcome = cnntrain("check", "c.yaml", "-s", "data.source.max_pixels=500000000")
    assert outcome.code == 2
    assert "max_pixels must be in [1, 1.78957e+08], got 500000000" in outcome.err
    Image.new("1", (20_000, 10_000), 1).save(desk / "data" / "cat" / "photo.png")
    assert "more than 178,956,970 pixels" in cnntrain("check", "c.yaml", "-s", "data.source.max_pixels=178956970").err


BACKSLASHES = "The path has backslashes, as Windows writes them: write / instead"


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        (r"img\{}.png", BACKSLASHES + ": {}/img/0.png is there"),
        (r"C:\img\{}.png", BACKSLASHES),
        ("~/img/{}.png", "Only shells know a path that begins with ~: write the folder's name"),
        ("https://example.org/{}.png", "URLs are not fetched: download what is there, and name the files"),
    ],
)
@pytest.mark.parametrize("command", ["check", "fit", "init"])
def test_paths_in_a_table_are_mended_as_the_message_says(cnntrain, desk, command, path, hint):
    (desk / "img").mkdir()
    for number in range(8):
        Image.new("L", (8, 8), 9 * number).save(desk / "img" / f"{number}.png")
    (desk / "c.yaml").write_text(CONFIG.replace("SOURCE", "csv, path: l.csv"))

    def run(form):
        rows = "".join(f"{form.format(number)},{'ab'[number % 2]}\n" for number in range(8))
        (desk / "l.csv").write_text(f"path,label\n{rows}")
        arguments = {"init": ["init", "--data", "l.csv", "--overwrite"], "check": ["check", "c.yaml"]}
        return cnntrain(*arguments.get(command, ["fit", "c.yaml", "-o", "run", "-q"]))

    outcome = run(path)
    assert outcome.code == 3
    assert hint.format(desk) in outcome.err
    assert "8 of 8 " in outcome.err or command == "fit"  # which stops at the first that is not there
    assert run("img/{}.png").code == 0
