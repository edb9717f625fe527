"""Folders of clips: what is a clip, which frames are taken, how they become channels; a network learns from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntrain.core import registry
from tests.support.datasets import refusal
from tests.support.experiments import run, write
from tests.support.pictures import gif, png

PALETTE = bytes([0, 0, 0, 255, 255, 255])


def folder_clip(place: Path, *greys: int, name: str = "f{}.png") -> None:
    place.mkdir(parents=True)
    for index, grey in enumerate(greys):
        (place / name.format(index)).write_bytes(png(3, 2, 8, 0, bytes([grey] * 6)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes: one with a folder of 12 frames, one with a folder of frames and with a moving file."""
    folder_clip(tmp_path / "up" / "one", *range(12))
    folder_clip(tmp_path / "down" / "deep" / "two", 9, 8, 7)
    (tmp_path / "down" / "a.gif").write_bytes(gif(3, 2, PALETTE, 1, 0, 1))
    return tmp_path


def make(root: Path, **fields: Any) -> Any:
    return registry.make("datasets", "frames_folder", root=str(root), **fields)


def test_clips_and_their_frames(root: Path) -> None:
    source = make(root, frames=3)
    images = source.load("train")
    assert images.classes == ("down", "up")
    assert images.targets.tolist() == [0, 0, 1]
    assert images.shape == (2, 3, 3)
    assert images.pixels[:, 0, 0].tolist() == [[255, 0, 255], [9, 8, 7], [0, 4, 8]]  # f4 and f8, before f10
    assert len(source.files("train")) == 16


def test_colours_and_short_clips(root: Path) -> None:
    images = make(root, frames=4, channels=3).load("train")
    assert images.shape == (2, 3, 12)
    assert images.pixels[1, 0, 0].tolist() == [9] * 6 + [8] * 3 + [7] * 3
    assert make(root, frames=1).load("train").shape == (2, 3, 1)
    assert make(root, size=5).load("train").shape == (5, 5, 8)


def test_a_still_picture_in_the_class_folder_is_a_clip_too(root: Path) -> None:
    (root / "up" / "still.png").write_bytes(png(3, 2, 8, 0, bytes([5] * 6)))
    (root / "up" / "still.jpg").write_bytes(b"no moving format: not looked at")
    assert make(root, frames=2).load("train").pixels[-1, 0, 0].tolist() == [5, 5]


def test_what_is_wrong_with_clips(root: Path) -> None:
    odd = root / "up" / "one" / "f4.png"
    odd.write_bytes(png(1, 1, 8, 0, b"\0"))
    first = root / "up" / "one" / "f0.png"
    said = refusal("frames_folder", root=str(root), frames=3)
    assert f"1 of 3 clips unreadable, first: {first}: frames of different sizes, expected one size: set size" in said
    odd.write_bytes(b"")
    assert f"1 of 3 clips unreadable, first: {odd}: not an image" in refusal("frames_folder", root=str(root), frames=3)
    said = refusal("frames_folder", root=str(root), frames=3, on_bad_image="skip")
    assert f"{root}: of the class 'up' nothing can be read; skipped first: {odd}: not an image" in said
    assert make(root, frames=2).load("train").targets.tolist() == [0, 0, 1]  # where f4 is not looked at
    with pytest.raises(ValueError, match="frames must be in"):
        make(root, frames=0)


CONFIG = """\
seed: 0
data:
  source: {type: frames_folder, root: clips, frames: 4}
  val: 0.25
model:
  layers: [{type: conv2d, filters: 8, kernel_size: 3, padding: same}, relu, flatten, {type: dense, units: auto}]
optimizer: {type: adam, lr: 0.01}
train: {epochs: 12, batch_size: 16}
"""


def test_a_network_learns_which_way_things_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar that moves left or right from anywhere: no single frame tells the class."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(120):
        name, step = (("left", -1), ("right", 1))[number % 2]
        start = int(rng.integers(10))
        frames = np.zeros((4, 8, 10), np.uint8)
        for time in range(4):
            frames[time, :, (start + step * time) % 10] = 255
        clips = [Image.fromarray(frame) for frame in frames]
        place = tmp_path / "clips" / name
        place.mkdir(parents=True, exist_ok=True)
        clips[0].save(place / f"{number}.gif", save_all=True, append_images=clips[1:])
    result = run(write(tmp_path, CONFIG, "moving.yaml"), tmp_path / "run")
    assert result["final"]["val/accuracy"] >= 0.9
