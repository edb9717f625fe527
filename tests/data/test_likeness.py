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


def enlarged(picture):
    height, width = picture.shape[:2]
    return np.asarray(Image.fromarray(picture).resize((width * 3 // 2, height * 3 // 2), Image.BILINEAR))


@pytest.mark.parametrize("change", [lambda digit: saved_again(digit, 50), enlarged, lighter, noisy])
def test_digits_that_were_planted_are_found_among_all(change):
    """A copy that was saved badly is farther from its digit than some digits are from each other."""
    digits = Idx(str(DIGITS)).load("train").pixels[:]
    copies = np.stack([change(digit) for digit in digits[:600:6, :, :, 0]])[..., None]
    pairs = list(alike(likenesses(digits), likenesses(copies)))
    assert len(pairs) >= 95
    assert all(one == 6 * other for one, other in pairs)


def test_how_many_are_compared_at_a_time_does_not_matter(monkeypatch):
    pictures, strokes = scenes(40), ones(60, 0)
    first = np.concatenate([likenesses(pictures), likenesses(strokes)])
    second = np.concatenate([likenesses(lighter(pictures[::-1])), likenesses(lighter(strokes)), first[50:]])
    expected = list(alike(first, second))
    assert {divmod(one, 40) for one, _ in expected} > {(0, number) for number in range(40)}
    monkeypatch.setattr(likeness, "_CHUNK", 13)
    monkeypatch.setattr(likeness, "_ROWS", 17)
    assert list(alike(first, second)) == expected


def test_faint_pictures_keep_what_tells_them_apart():
    """Two greys apart, as on a wall: a cell rounded to bytes would keep nothing of it."""
    first = np.clip(120 + (scenes(60).astype(float) - 128) / 40, 0, 255).astype(np.uint8)
    pairs = list(alike(likenesses(first), likenesses(np.stack([enlarged(one) for one in first]))))
    assert pairs == [(number, number) for number in range(60)]


def test_frames_of_one_scene_are_alike_though_none_stands_out():
    """Each is as near to its neighbours as a copy is to its picture."""
    before, after = (layer.astype(float) for layer in scenes(2))
    frames = np.array([before + (after - before) * share for share in np.linspace(0, 1, 80)]).astype(np.uint8)
    looks = likenesses(frames)
    pairs = list(alike(looks[::2], looks[1::2]))
    assert len(pairs) >= 38
    assert all(abs(2 * one - (2 * other + 1)) == 1 for one, other in pairs)


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
    for grey in (np.uint8(7), np.float32(0.1)):
        plain = likenesses(np.full((3, 21, 30, 3), grey))
        assert not plain.any()
        assert not list(alike(plain, plain))


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (16, 16), (17, 31), (200, 3)])
def test_means_over_cells(size):
    """By hand: a pixel cut into 16x16 parts gives each cell whole ones; their means are spread over the bytes."""
    pixels = np.random.default_rng(1).integers(0, 256, (4, *size, 2), np.uint8)
    found = likenesses(pixels)
    parts = pixels.mean(axis=3).repeat(16, 1).repeat(16, 2).reshape(4, 16, size[0], 16, size[1])
    cells = parts.mean(axis=(2, 4)).reshape(4, 256)
    cells -= cells.min(axis=1, keepdims=True)
    expected = cells * 255 / np.maximum(cells.max(axis=1, keepdims=True), 1e-9)
    assert np.abs(found - expected).max() <= 0.51


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
