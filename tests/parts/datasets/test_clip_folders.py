"""Folders of clips: what is a clip, in which forms it comes, which of its moments are taken."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError
from cnntrain.core.extras import install
from cnntrain.data.recognition import recognize
from tests.support.datasets import refusal
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
    assert images.shape == (3, 2, 3, 1)
    assert images.pixels[:, :, 0, 0, 0].tolist() == [[255, 0, 255], [9, 8, 7], [0, 4, 8]]  # f4 and f8, before f10
    assert len(source.files("train")) == 16
    assert images.names == tuple(str(root / name) for name in ("down/a.gif", "down/deep/two", "up/one"))


def test_frames_of_one_number_are_in_one_order_in_every_process(tmp_path: Path) -> None:
    """Texts are hashed otherwise in each, and a set of them goes by that."""
    names = [f"{number:0{digits}}.png" for number in range(1, 8) for digits in (3, 2, 1)]
    (tmp_path / "a/clip").mkdir(parents=True)
    for index, name in enumerate(names):
        (tmp_path / "a/clip" / name).write_bytes(png(3, 2, 8, 0, bytes([index] * 6)))
    ((sample, _),) = make(tmp_path).labelled_samples("train")
    assert [path.name for path in sample] == names


def test_colours_and_short_clips(root: Path) -> None:
    images = make(root, frames=4, channels=3).load("train")
    assert images.shape == (4, 2, 3, 3)
    assert images.pixels[1, :, 0, 0].tolist() == [[9] * 3, [9] * 3, [8] * 3, [7] * 3]
    assert make(root, frames=1).load("train").shape == (1, 2, 3, 1)
    assert make(root, size=5).load("train").shape == (8, 5, 5, 1)


def test_a_still_picture_is_no_clip(root: Path) -> None:
    (root / "up" / "still.png").write_bytes(png(3, 2, 8, 0, bytes([5] * 6)))
    (root / "up" / "still.jpg").write_bytes(b"no moving format: not looked at")
    assert f"{root / 'up' / 'still.png'}: one still picture, expected a clip" in refusal(
        "frames_folder", root=str(root)
    )


def test_what_is_wrong_with_clips(root: Path) -> None:
    odd = root / "up" / "one" / "f4.png"
    odd.write_bytes(png(1, 1, 8, 0, b"\0"))
    first = root / "up" / "one" / "f0.png"
    said = refusal("frames_folder", root=str(root), frames=3)
    assert f"1 of 3 clips unreadable, first: {first}: frames of different sizes, expected one size: set size" in said
    odd.write_bytes(b"")
    assert f"1 of 3 clips unreadable, first: {odd}: not an image" in refusal("frames_folder", root=str(root), frames=3)
    said = refusal("frames_folder", root=str(root), frames=3, on_bad_image="skip")
    assert f"{root}: no file of the class 'up' can be read; skipped first: {odd}: not an image" in said
    assert make(root, frames=2).load("train").targets.tolist() == [0, 0, 1]  # where f4 is not looked at
    with pytest.raises(ValueError, match="frames must be in"):
        make(root, frames=0)


# Videos


def video(place: Path, greys: Sequence[int], rate: int = 10, rotation: int = 0, **options: Any) -> Path:
    """A video whose frame number k is grey like greys[k], its left half black."""
    av = pytest.importorskip("av", reason="comes with the extra `video`")
    place.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(place), "w") as container:
        stream = container.add_stream(options.get("codec", "mpeg4"), rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.bit_rate = 4_000_000
        for grey in greys:
            pixels = np.full((32, 64, 3), grey, np.uint8)
            pixels[:, :32] = 0
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return place


GREYS = [*range(0, 250, 10)]  # 25 frames, 2.5 s


def told(pixels: Array) -> list[int]:
    """The numbers of the frames of a clip, by their grey."""
    return [round(float(frame[8:24, 40:56].mean()) / 10) for frame in pixels]


@pytest.mark.parametrize("suffix", ["mp4", "avi", "mov", "mkv", "webm"])
def test_moments_of_videos(tmp_path: Path, suffix: str) -> None:
    codec = {"webm": "libvpx"}.get(suffix, "mpeg4")
    place = video(tmp_path / "a" / f"v.{suffix}", GREYS, codec=codec)

    def frames(**fields: Any) -> list[int]:
        source = registry.make("datasets", "video_folder", root=str(tmp_path), **fields)
        pixels = source.read_sample((place,))
        assert pixels.shape[1:] == (32, 64, 3)
        assert pixels[:, 8:24, 8:24].max() < 40
        return told(pixels)

    assert frames(frames=5) == [10, 11, 12, 13, 14]  # the middle
    assert frames(frames=5, stride=3) == [6, 9, 12, 15, 18]
    assert frames(frames=4, fps=5.0) == [9, 11, 13, 15]
    assert frames(frames=3, fps=20.0) == [11, 12, 12]
    assert frames(frames=30)[-7:] == [23, 24, 24, 24, 24, 24, 24]  # the last frame, again and again
    evenly = registry.make("datasets", "frames_folder", root=str(tmp_path), frames=5, channels=3)
    assert told(evenly.read_sample((place,))) == [0, 5, 10, 15, 20]


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_a_rate_goes_by_how_long_the_frames_of_an_animation_are_shown(tmp_path: Path, suffix: str) -> None:
    """Times of 100, 100, 600, 100 and 100 ms; a frame that says none stays for 100. TIFF has no times."""
    shown = [100, 100, 600, 100, 0]
    frames = [Image.new("L", (64, 32), 40 * k) for k in range(5)]
    (tmp_path / "a").mkdir()
    place = tmp_path / "a" / f"v.{suffix}"
    lossless = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(place, save_all=True, append_images=frames[1:], duration=shown, **lossless)

    def taken(**fields: Any) -> list[int]:
        source = registry.make("datasets", "video_folder", root=str(tmp_path), channels=1, **fields)
        return [round(float(frame.mean()) / 40) for frame in source.read_sample((place,))]

    counted = suffix == "tif"
    assert taken(frames=5, fps=5.0) == ([0, 1, 2, 3, 4] if counted else [0, 2, 2, 2, 3])  # from 50 ms on, every 200
    assert taken(frames=3, fps=10.0, stride=2) == ([0, 2, 4] if counted else [2, 2, 2])
    assert taken(frames=5) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("told", [0, 10])
def test_a_frame_that_says_no_time_is_shown_as_browsers_do(tmp_path: Path, told: int) -> None:
    frames = [Image.new("L", (8, 8), 40 * k) for k in range(6)]
    place = tmp_path / "v.gif"
    frames[0].save(place, save_all=True, append_images=frames[1:], duration=told)
    source = registry.make("datasets", "video_folder", root=str(tmp_path), channels=1, frames=3, fps=5.0)
    assert [round(float(frame.mean()) / 40) for frame in source.read_sample((place,))] == [0, 2, 4]


def test_what_is_wrong_with_videos(tmp_path: Path) -> None:
    whole = video(tmp_path / "a" / "v.mp4", GREYS).read_bytes()
    source = registry.make("datasets", "video_folder", root=str(tmp_path), frames=4)
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n"
    for name, data in [("empty", b""), ("text", b"no video"), ("cut", whole[:300]), ("list", playlist)]:
        (tmp_path / "a" / f"{name}.mp4").write_bytes(data)
        with pytest.raises(DataError, match=rf"{name}\.mp4.*(no video|not a video|damaged|no frame)"):
            source.read_sample((tmp_path / "a" / f"{name}.mp4",))
    with pytest.raises(DataError, match="set max_pixels: 2048 or more"):
        registry.make("datasets", "video_folder", root=str(tmp_path), max_pixels=100).read_sample(
            (tmp_path / "a" / "v.mp4",)
        )


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "v.mp4").write_bytes(b"whatever")
    with pytest.raises(DataError, match=re.escape(install("video"))):
        registry.make("datasets", "video_folder", root=str(tmp_path)).read_sample((tmp_path / "v.mp4",))


# Which folders are clips


@pytest.mark.parametrize(
    ("numbers", "sizes", "kind"),
    [
        ([(3, 4, 5)] * 3, [(3, 2)], "frames_folder"),
        ([(3, 4, 5)] * 3, [(3, 2), (2, 3)], "image_folder"),  # some photographs are upright
        ([(2031, 2044), (7, 9), (31, 34)], [(3, 2)], "image_folder"),
        ([(2031, 2033, 2035), (7, 8, 9), (7, 8)], [(3, 2)], "image_folder"),
        ([(0, 5, 10, 15), (0, 7, 14, 21), (7, 8)], [(3, 2)], "frames_folder"),  # frames at a distance were kept
        ([(0, 10, 20)] * 3, [(3, 2)], "frames_folder"),
        ([(0, 10), (5, 15), (30, 40)], [(3, 2)], "frames_folder"),  # the same in every folder
    ],
)
def test_photographs_in_folders_within_those_of_classes_are_no_clips(
    tmp_path: Path, numbers: Sequence[Sequence[int]], sizes: Sequence[tuple[int, int]], kind: str
) -> None:
    for folder, shown in zip(("animal/cats", "animal/dogs", "thing/cups"), numbers, strict=True):
        (tmp_path / folder).mkdir(parents=True)
        for place, number in enumerate(shown):
            width, height = sizes[place % len(sizes)]
            (tmp_path / folder / f"IMG_{number}.png").write_bytes(png(width, height, 8, 0, bytes(6)))
    assert recognize(tmp_path).name_in_config == kind


def test_folders_of_clips_are_recognized(tmp_path: Path) -> None:
    for name in ("left", "right"):
        for number in range(3):
            folder_clip(tmp_path / "frames" / name / f"{number:03}", 1, 2, 3, name="shot_{}.png")
            folder_clip(tmp_path / "pictures" / name / f"of {number}", 1, 2, 3, name="{}a7.png")
        (tmp_path / "moving" / name).mkdir(parents=True)
        (tmp_path / "moving" / name / "a.gif").write_bytes(gif(3, 2, PALETTE, 1, 0, 1))
    found = recognize(tmp_path / "frames")
    assert (found.name_in_config, found.size, found.channels) == ("frames_folder", (2, 3), 1)
    assert recognize(tmp_path / "moving").name_in_config == "frames_folder"
    (tmp_path / "moving" / "left" / "b.png").write_bytes(png(3, 2, 8, 0, bytes(6)))
    assert recognize(tmp_path / "moving").name_in_config == "image_folder"
    assert recognize(tmp_path / "pictures").name_in_config == "image_folder"
    video(tmp_path / "films" / "a" / "v.mp4", GREYS)
    video(tmp_path / "films" / "b" / "v.mp4", GREYS)
    found = recognize(tmp_path / "films")
    assert (found.name_in_config, found.size, found.channels, found.fps) == ("video_folder", (32, 64), 3, 8.0)
