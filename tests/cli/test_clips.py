"""Clips through every command: one answer for each, in every form that clips come in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnntrain as cnntrain_package
from cnntrain.engine.fixed import Fixed
from tests.support.experiments import CLIPS, evidence

CLASSES = {"left": -1, "right": 1}
FORMS = ("frames", "gif", "webp", "png", "tif")
SOURCE = "{type: motion, frames: 6, moving: 3, size: 8, samples: 48}"
CONFIG = CLIPS.replace(SOURCE, "{type: frames_folder, root: clips, frames: 6}").replace(
    "{type: random_crop, padding: 1}", "{type: random_crop, padding: 1}, {type: time_reversal, probability: 0.1}"
)


def frames(step: int, start: int, count: int = 6) -> list[Image.Image]:
    """A bar that moves over a black field."""
    moments = np.zeros((count, 8, 10), np.uint8)
    for time in range(count):
        moments[time, :, (start + step * time) % 10] = 255
    return [Image.fromarray(moment) for moment in moments]


def save(clip: list[Image.Image], place: Path, form: str) -> Path:
    """A clip as a folder of frames, or as an animated file."""
    if form == "frames":
        place.mkdir(parents=True)
        for index, frame in enumerate(clip):
            frame.save(place / f"frame{index}.png")
        return place
    path = place.with_suffix(f".{form}")
    path.parent.mkdir(parents=True, exist_ok=True)
    clip[0].save(path, save_all=True, append_images=clip[1:], **({"lossless": True} if form == "webp" else {}))
    return path


@pytest.fixture
def clips(desk: Path) -> Path:
    """Clips of five forms in two classes: training and test."""
    for name, step in CLASSES.items():
        for split, count in (("train", 12), ("test", 5)):
            for number in range(count):
                form = FORMS[number % 5]
                save(frames(step, 3 * number + len(split)), desk / "clips" / split / name / f"{number:03}", form)
    return desk / "clips"


def film(clip: list[Image.Image], path: Path) -> Path:
    """A clip as a video without loss. Skips where FFmpeg is not there."""
    av = pytest.importorskip("av", reason="comes with the extra `video`")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = 10, 8, "gray"
        for frame in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(frame), format="gray")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("videos", [False, True])
def test_one_answer_for_every_clip(cnntrain, clips: Path, videos: bool) -> None:
    """Of every form, in every command."""
    every = [f"clips/test/{name}/00{n}{'.' * (n > 0)}{FORMS[n] * (n > 0)}" for name in CLASSES for n in range(5)]
    if videos:
        every += [str(film(frames(step, 1), Path(f"clips/test/{name}/9.mkv"))) for name, step in CLASSES.items()]
        every.sort()
    (clips.parent / "moving.yaml").write_text(CONFIG)
    assert f"test        {len(every)} samples" in cnntrain("check", "moving.yaml").out
    assert cnntrain("fit", "moving.yaml", "-o", "run", "-q").code == 0
    asked = json.loads(cnntrain("predict", "run", *every, "--json").out)["predictions"]
    assert [one["path"] for one in asked] == every
    for folder, clips_in in [("clips/test/right", every[len(every) // 2 :]), ("clips/test", every)]:
        told = json.loads(cnntrain("predict", "run", folder, "--json").out)["predictions"]
        assert sorted(one["path"] for one in told) == sorted(clips_in)
        alone = {one["path"]: one["probabilities"] for one in asked}
        assert all(one["probabilities"] == alone[one["path"]] for one in told)
    measured = json.loads(cnntrain("eval", "run", "--json").out)
    right = sum(one["class"] == Path(one["path"]).parent.name for one in asked)
    assert (measured["samples"], measured["accuracy"]) == (len(every), pytest.approx(right / len(every)))
    elsewhere = json.loads(cnntrain("eval", "run", "--data", "clips", "--split", "test", "--json").out)
    assert {**elsewhere, "data": None} == {**measured, "data": None}
    refused = cnntrain("predict", "run", "clips/test/left/000/frame3.png")
    assert "one still picture, expected a clip: a folder of frames, an animated file or a video" in refused.error
    assert cnntrain("report", "run").code == 0
    assert "Where it looked" in (clips.parent / "run" / "report.html").read_text()
    assert cnntrain("export", "run", "--format", "numpy", "-o", "moving.py").code == 0


@pytest.mark.parametrize("sets", [(), ("-sdata.eval_transforms=[]", "-sdata.train_transforms=[]")])
def test_a_page_is_for_pictures(cnntrain, clips: Path, sets: tuple[str, ...]) -> None:
    (clips.parent / "moving.yaml").write_text(CONFIG)
    assert cnntrain("fit", "moving.yaml", *sets, "-strain.epochs=1", "-o", "run", "-q").code == 0
    refused = cnntrain("export", "run", "--format", "page")
    assert (refused.code, refused.error.split(";")[0]) == (
        2,
        "--format page is for networks that take pictures of 1 or 3 channels as `predict` reads them from files",
    )


def test_all_forms_of_a_clip_have_one_answer(cnntrain, clips: Path) -> None:
    (clips.parent / "moving.yaml").write_text(CONFIG)
    assert cnntrain("fit", "moving.yaml", "-s", "train.epochs=1", "-o", "run", "-q").code == 0
    forms = [save(frames(1, 2), Path(f"one_{form}"), form) for form in FORMS]
    film(frames(1, 2), Path("one.mkv"))
    told = json.loads(cnntrain("predict", "run", *forms, "one.mkv", "--json").out)["predictions"]
    assert len(told) == 6
    assert all(one["probabilities"] == told[0]["probabilities"] for one in told)


def test_init_and_check_see_clips(cnntrain, clips: Path) -> None:
    said = cnntrain("init", "--data", "clips", "-o", "found.yaml")
    assert "frames_folder: 24 training samples of 6x8x10x3, 2 classes" in said.out
    assert "train       19 samples" in cnntrain("check", "found.yaml").out  # and 5 to validate: no clip is in both
    assert cnntrain("fit", "found.yaml", "-s", "train.epochs=1", "-o", "found", "-q").code == 0


def test_the_same_bits_for_j_1_2_and_3_and_after_a_pause(cnntrain, clips: Path) -> None:
    (clips.parent / "moving.yaml").write_text(CONFIG)
    found = []
    for threads in (1, 2, 3):
        assert cnntrain("fit", "moving.yaml", "-j", str(threads), "-o", f"run{threads}", "-q").code == 0
        found.append(evidence(clips.parent / f"run{threads}"))
    assert cnntrain("fit", "moving.yaml", "-o", "paused", "-q", "--pause-at", "4st").code == 75
    assert cnntrain("fit", "--resume", "-o", "paused", "-q", "-j", "2").code == 0
    assert found[0] == found[1] == found[2] == evidence(clips.parent / "paused")


def test_several_stretches_are_averaged(cnntrain, clips: Path) -> None:
    """The outputs are the mean of those of each stretch alone."""
    (clips.parent / "moving.yaml").write_text(CONFIG)
    assert cnntrain("fit", "moving.yaml", "-s", "train.epochs=1", "-o", "run", "-q").code == 0
    pixels = np.stack([np.stack([np.asarray(frame)[..., None] for frame in frames(1, k)]) for k in range(5)])
    with cnntrain_package.load("run") as model:
        outputs = model.outputs(pixels)
        x = np.concatenate([pixels[:, :4], pixels[:, 2:]]).astype(np.float32) / 255
        alone = model.trained.engine.outputs(Fixed(x, np.zeros(10, np.int64)))
    np.testing.assert_allclose(outputs, (alone[:5] + alone[5:]) / 2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data.train_transforms", "[{type: temporal_views, frames: 4}]", "use temporal_crop here"),
        ("data.eval_transforms", "[{type: temporal_crop, frames: 9}]", "cannot take 9 moments of a clip of 6"),
        ("data.train_transforms", "[frames_as_channels]", "training images become (8, 10, 6)"),
    ],
)
def test_what_does_not_fit_is_said(cnntrain, clips: Path, key: str, value: str, message: str) -> None:
    (clips.parent / "moving.yaml").write_text(CONFIG)
    assert message in cnntrain("fit", "moving.yaml", "-s", f"{key}={value}", "-o", "run", "-q").err


def test_frames_are_channels_where_one_says_so(cnntrain, clips: Path) -> None:
    config = CONFIG[: CONFIG.index("  train_transforms")] + (
        "  train_transforms: [frames_as_channels]\n"
        "  eval_transforms: [frames_as_channels]\n"
        "model: {layers: [{type: conv2d, filters: 8, kernel_size: 3}, relu, flatten, {type: dense, units: auto}]}\n"
        "train: {epochs: 1, batch_size: 8}\n"
    )
    (clips.parent / "moving.yaml").write_text(config)
    assert cnntrain("fit", "moving.yaml", "-o", "run", "-q").code == 0
    assert "6x8x8" in cnntrain("summary", "moving.yaml").out  # 8x10 less the kernel's border, 8 filters


def test_a_video_of_an_unknown_codec_is_refused_by_name(cnntrain, clips: Path) -> None:
    (clips.parent / "moving.yaml").write_text(CONFIG)
    assert cnntrain("fit", "moving.yaml", "-s", "train.epochs=1", "-o", "run", "-q").code == 0
    path = film(frames(1, 2), Path("one.mkv"))
    path.write_bytes(path.read_bytes().replace(b"FFV1", b"FFX1"))
    refused = cnntrain("predict", "run", "one.mkv")
    assert refused.code == 3
    assert "one.mkv has a codec that FFmpeg does not know. Convert it" in refused.err


@pytest.mark.parametrize(
    ("first", "told"), [("conv3d, filters: 2, kernel_size: 3}, {type: global_avg_pool", 9), ("flatten", 48)]
)
def test_a_report_shows_the_filters_of_all_moments(cnntrain, clips: Path, first: str, told: int) -> None:
    layers = f"[{{type: {first}}}, {{type: dense, units: auto}}]"
    (clips.parent / "moving.yaml").write_text(
        f"data: {{source: {{type: frames_folder, root: clips, frames: 6}}}}\nmodel: {{layers: {layers}}}\n"
    )
    assert cnntrain("fit", "moving.yaml", "-o", "run", "-q", "-s", "train={epochs: 1, batch_size: 8}").code == 0
    assert cnntrain("report", "run").code == 0
    assert f"2 filters of {told} by " in (clips.parent / "run" / "report.html").read_text()
