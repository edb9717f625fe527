"""`cnntrain explain`: the page about one sample, and what it cannot be made of."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image


def test_writes_one_page_that_needs_nothing(cnntrain, finished, desk):
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(desk / "<b>.png")
    outcome = cnntrain("explain", finished, "<b>.png")
    assert (outcome.code, outcome.out) == (0, "explanation.html\n")
    page = (desk / "explanation.html").read_text()
    assert page.startswith("<!doctype html>")
    for title in ("The answer", "Forward and back, layer by layer", "One convolution", "One dense unit", "One update"):
        assert f"<h2>{title}</h2>" in page
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
