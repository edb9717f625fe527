"""`cnntrain explain`: the page about one sample, and what it cannot be made of."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from tests.support.experiments import CLIPS, run, write

CLIP_LAYERS = {  # what comes first in a network of clips
    "conv2d": "{type: conv2d, filters: 3, kernel_size: 3}",
    "conv3d": "{type: conv3d, filters: 3, kernel_size: 3}",
    "conv2plus1d": "{type: conv2plus1d, filters: 3}",
    "max_pool2d": "{type: max_pool2d, kernel_size: 2}",
    "max_pool3d": "{type: max_pool3d, kernel_size: 2}",
    "avg_pool3d": "{type: avg_pool3d, kernel_size: 2}",
    "temporal_shift": "{type: conv2d, filters: 4, kernel_size: 1}, {type: temporal_shift, parts: 2}",
}


def test_writes_one_page_that_needs_nothing(cnntrain, finished, desk):
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(desk / "<b>.png")
    outcome = cnntrain("explain", finished, "<b>.png")
    assert (outcome.code, outcome.out) == (0, "explanation.html\n")
    page = (desk / "explanation.html").read_text()
    assert page.startswith("<!doctype html>")
    for title in ("The answer", "Forward and back, layer by layer", "One convolution", "One dense unit", "One update"):
        assert f"<h2>{title}</h2>" in page
    assert "The input is the picture after data.eval_transforms: the values are normalized, if the config" in page
    assert "Gradients are those of the loss cross_entropy for this one sample, with the network in evaluation" in page
    assert "evaluation mode. The truth is taken to be " in page
    assert "&lt;b&gt;.png" in page
    assert "<b>.png" not in page
    assert "<script" not in page
    document = json.loads(cnntrain("explain", finished, "<b>.png", "-o", "deep/er.html", "--json").out)
    assert document["page"] == "deep/er.html"
    assert (desk / "deep" / "er.html").is_file()


def test_what_cannot_be_explained_is_said_and_nothing_is_written(cnntrain, finished, desk):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(desk / "a.png")
    Image.fromarray(np.ones((8, 8), np.uint8)).save(desk / "b.png")
    (desk / "bad.png").write_bytes(b"no picture")
    outcome = cnntrain("explain", finished, "a.png", "--truth", "cat")
    assert outcome.code == 2
    assert outcome.error.startswith("--truth: no class is called 'cat'")
    outcome = cnntrain("explain", finished, ".")
    assert outcome.code == 3
    assert "bad.png" in outcome.error
    (desk / "bad.png").unlink()
    outcome = cnntrain("explain", finished, ".")
    assert (outcome.code, outcome.error) == (2, "explain shows one sample, but . holds 2. Name a file with one")
    assert not (desk / "explanation.html").exists()


@pytest.mark.parametrize("first", CLIP_LAYERS)
def test_a_clip_is_shown_by_some_of_its_moments(cnntrain, desk, first):
    layers = f"model.layers=[{CLIP_LAYERS[first]}, relu, global_avg_pool, {{type: dense, units: auto}}]"
    run(write(desk, CLIPS), desk / "run", (layers, "train.epochs=null", "train.steps=1"))
    rng = np.random.default_rng(0)
    (desk / "clip").mkdir()
    for moment in range(6):
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(desk / "clip" / f"{moment}.png")
    documents = json.loads(cnntrain("predict", "run", "clip", "--json").out)["predictions"]
    assert [document["path"] for document in documents] == ["clip"]
    outcome = cnntrain("explain", "run", "clip")
    assert (outcome.code, outcome.out) == (0, "explanation.html\n"), outcome.err
    page = (desk / "explanation.html").read_text()
    assert "<h2>One dense unit</h2>" in page
    assert "<h2>One pooling window</h2>" not in page
    assert "The answer is the mean over 2 views, of which the page shows the middle one." in page
    assert f"{documents[0]['top'][0]['probability']:.4f}"[:4] in page
    pictures = [Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r"base64,([^\"]+)", page)]
    assert len(pictures) > 4
    assert all(max(picture.size) < 1500 for picture in pictures)


def test_of_several_views_the_answer_is_the_mean_and_the_page_shows_one(cnntrain, desk):
    views = "data.eval_transforms=[{type: spatial_views, shift: 1}, {type: normalize, from: dataset}]"
    run(write(desk), desk / "run", (views, "train.epochs=null", "train.steps=1"))
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(desk / "a.png")
    outcome = cnntrain("explain", "run", "a.png")
    assert (outcome.code, outcome.out) == (0, "explanation.html\n"), outcome.err
    assert (
        "The answer is the mean over 6 views, of which the page shows the middle one."
        in (desk / "explanation.html").read_text()
    )
