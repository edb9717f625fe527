"""Pictures that were saved again, resized or made lighter are found; different ones are not, digits among them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntrain.cli import main
from cnntrain.data import likeness
from cnntrain.data.likeness import alike, likenesses
from cnntrain.parts.datasets.idx import Idx

DIGITS = Path(__file__).resolve().parents[2] / "data/mnist-mini"


def scenes(count, side=48, seed=0):
    """Smooth pictures of several scales, uint8 (n, side, side, 3): none has another's shapes."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        layers = [Image.fromarray(rng.integers(0, 256, (n, n, 3), np.uint8)) for n in (3, 6, 12)]
        found.append(
            np.mean([np.asarray(layer.resize((side, side), Image.BICUBIC), float) for layer in layers], axis=0)
        )
    return np.array(found).astype(np.uint8)


def saved_again(picture, quality=75):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def resized(picture):
    small = Image.fromarray(picture).resize((32, 32), Image.BILINEAR)
    return np.asarray(small.resize(picture.shape[:2], Image.BILINEAR))


def lighter(picture):
    return (picture * 0.8 + 30).astype(np.uint8)


def noisy(picture):
    return np.clip(picture + np.random.default_rng(0).normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("change", [saved_again, resized, lighter, noisy])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_picture_is_found_again(change, kind):
    first = scenes(60)
    second = np.stack([change(picture) for picture in first])[::-1]
    pairs = list(alike(likenesses(first.astype(kind) / kind(1)), likenesses(second)))
    assert pairs == [(59 - number, number) for number in range(60)]


def test_different_pictures_are_not_alike():
    assert not list(alike(likenesses(scenes(300)), likenesses(scenes(300, seed=1))))


def test_digits_of_one_class_are_not_alike():
    """6,000 against 1,000, whose strokes have few shapes: a hash alone would call most of them near-duplicates."""
    source = Idx(str(DIGITS))
    pairs = list(alike(*(likenesses(source.load(split).pixels) for split in ("train", "test"))))
    assert len(pairs) <= 1


def ones(count, seed):
    """What is nearly all background: a line each, drawn by a hand that trembles, uint8 (n, 28, 28, 1)."""
    rng, found = np.random.default_rng(seed), []
    y, x = np.mgrid[:28, :28] - 13.5
    for slope, weight in rng.uniform((-0.1, 1.2), (0.1, 1.6), (count, 2)):
        tremor = np.interp(y, np.linspace(-10, 10, 6), rng.normal(0, 0.5, 6))
        line = np.clip(weight + 0.5 - np.abs(x - slope * y - tremor), 0, 1) * (np.abs(y) < 10)
        found.append(line * 255)
    return np.array(found).astype(np.uint8)[..., None]


def test_single_strokes_are_not_alike_by_chance_and_copies_are_found(monkeypatch):
    first, second = ones(400, 0), ones(100, 1)
    assert not list(alike(likenesses(first), likenesses(second)))
    copies = np.stack([lighter(one) for one in first[:20]])
    pairs = list(alike(likenesses(first[:20]), likenesses(copies)))
    assert len(pairs) >= 15  # the hash of so little misses some
    assert all(one == other for one, other in pairs)
    monkeypatch.setattr(likeness, "PLAIN", 0)  # what would be said of pictures with more in them
    assert list(alike(likenesses(first), likenesses(second)))


def test_what_is_all_of_one_grey_is_like_nothing():
    plain = likenesses(np.full((3, 20, 30, 1), 7, np.uint8))
    assert not list(alike(plain, plain))


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (16, 16), (17, 31), (200, 3)])
def test_means_over_cells(size):
    """By hand: every pixel counts by its share of a cell, so the mean of all stays."""
    pixels = np.random.default_rng(1).integers(0, 256, (4, *size, 2), np.uint8)
    found = likenesses(pixels)
    assert found.shape == (4, 256)
    assert found.mean(axis=1) == pytest.approx(pixels.mean(axis=(1, 2, 3)), abs=0.6)


@pytest.mark.parametrize("source", ["folder", "arrays"])
def test_check_names_them(tmp_path, capsys, source, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train, val = scenes(12), scenes(6, seed=1)
    val[2], val[3] = lighter(train[5]), train[7]  # the second is equal, which is another matter
    if source == "arrays":
        np.savez("d.npz", x_train=train, y_train=np.arange(12) % 2, x_val=val, y_val=np.r_[0, 1, 1, 1, 0, 1])
        data = "{type: npz, path: d.npz}"
    else:
        for split, pictures, labels in (("train", train, np.arange(12) % 2), ("val", val, [0, 1, 1, 1, 0, 1])):
            for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
                path = Path("d") / split / "ab"[label] / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(path)
        data = "{type: image_folder, root: d, size: 24}"
    model = "model: {layers: [flatten, {type: dense, units: auto}]}"
    Path("c.yaml").write_text(f"data: {{source: {data}}}\n{model}\ntrain: {{epochs: 1}}\n")
    assert main(["check", "c.yaml", "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)["survey"]
    names = ["d/train/b/5.png", "d/val/b/2.png"] if source == "folder" else ["train[5]", "val[2]"]
    assert found["alike"] == [names]
    assert len(found["leaked"]) == 1
    assert "1 sample is like one in training" in said.err
    assert main(["check", "c.yaml"]) == 0
    assert f"alike (1):\n  {names[0]} ~ {names[1]}" in capsys.readouterr().out
    assert main(["check", "c.yaml", "-s", "warnings.ignore=[alike, leaked]"]) == 0
    assert "warning" not in capsys.readouterr().err
