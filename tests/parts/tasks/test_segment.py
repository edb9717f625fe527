"""Segmentation from end to end: bits, ignored pixels, answers at the original size, reports, exports."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntrain.api.model import load
from cnntrain.config.load import load_text
from cnntrain.core.arrays import Array
from cnntrain.core.description import Description
from cnntrain.core.display import Gallery
from cnntrain.core.errors import ConfigError
from cnntrain.core.masks import IGNORED, MASKS
from cnntrain.core.moves import Move
from cnntrain.core.registry import make
from cnntrain.network import build
from cnntrain.parts.tasks.base import Evaluation
from cnntrain.parts.tasks.segment import Segment
from cnntrain.results import report
from cnntrain.results.export.files import export
from cnntrain.results.report.judged import judging
from cnntrain.rundir.history import read
from tests.support.experiments import call, evidence, resumed_after_kills, run, write

CONFIG = """\
name: segment
seed: 4
data:
  source: {type: shapes, target: mask, size: 16, samples: 20, classes: 2}
  val: 0.2
  train_transforms: [{type: random_crop, padding: 2}, hflip, {type: normalize, from: dataset}]
  eval_transforms: [{type: normalize, from: dataset}]
model:
  preset: {type: unet, width: 4, depth: 2, norm: batch_norm, dropout: 0.1}
loss: {type: sum, terms: [cross_entropy, soft_dice], class_weight: balanced}
optimizer: {type: adam, lr: 0.01}
train: {epochs: 2, batch_size: 6, metrics: [pixel_accuracy, mean_iou, dice]}
checkpoint: {every: 1st, best: {monitor: val/mean_iou}}
"""  # 16 training samples: 3 steps an epoch, the last of 4 samples


def test_pixels_are_counted_in_little_more_memory_than_the_masks_take() -> None:
    masks = np.random.default_rng(0).choice(np.array([0, 1, IGNORED], np.uint8), (200, 64, 64))
    tracemalloc.start()
    counts = Segment().occurrences(masks, Description((64, 64, 1), ("a", "b", "c"), target=MASKS))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert counts == [int((masks == label).sum()) for label in range(3)]
    assert peak < masks.nbytes / 2


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from start to end with one thread."""
    folder = tmp_path_factory.mktemp("segment")
    run(write(folder, CONFIG), folder / "run", threads=1)
    return folder / "run"


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(straight: Path, threads: int, tmp_path: Path) -> None:
    run(write(tmp_path, CONFIG), tmp_path / "run", threads=threads)
    assert evidence(tmp_path / "run") == evidence(straight)


def test_a_run_that_is_killed_resumes_to_the_same_bits(straight: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Within an epoch, and right after the end of one."""
    resumed_after_kills(write(tmp_path, CONFIG), tmp_path / "run", (2, 3), monkeypatch)
    assert evidence(tmp_path / "run") == evidence(straight)


def step_gradient(config: str, sets: tuple[str, ...], tmp_path: Path) -> Array:
    run(write(tmp_path, config), tmp_path / "run", sets)
    with load(tmp_path / "run" / "checkpoints" / "last.npz") as model:
        return model.trained.engine.params.copy()


def test_accumulated_batches_take_the_step_of_a_large_one(tmp_path: Path) -> None:
    """The mean is over the pixels of the whole step, of which the crops ignore some and not equally many."""
    config = CONFIG.replace("norm: batch_norm, dropout: 0.1", "norm: none").replace("adam, lr: 0.01", "sgd, lr: 0.01")
    for name in ("large", "small"):
        (tmp_path / name).mkdir()
    whole = step_gradient(config, ("train.batch_size=16",), tmp_path / "large")
    parts = step_gradient(config, ("train.batch_size=4", "train.accumulate=4"), tmp_path / "small")
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-6)


def test_an_evaluation_counts_pixels_of_each_class(straight: Path) -> None:
    with load(straight) as model:
        document = model.evaluate("test")
    matrix = np.array(document["confusion"])
    assert matrix.sum() == 4 * 16 * 16
    assert document["pixel_accuracy"] == pytest.approx(matrix.trace() / matrix.sum())
    each = document["per_value"]
    assert [row["name"] for row in each] == ["background", "disc", "square"]
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - matrix.diagonal()
    assert [row["iou"] for row in each] == pytest.approx((matrix.diagonal() / union).tolist())
    assert document["mean_iou"] == pytest.approx(float(np.mean(matrix.diagonal() / union)))


def test_a_report_shows_classes_and_the_worst_pictures(straight: Path) -> None:
    with judging(read(straight), "test", (), 1) as judged:
        assert judged.outputs.shape == (4, 3, 3), "counts are kept, not maps"
        task = judged.trained.network.task
        worst = task.mistakes(judged.evaluation)
        assert [picture.shape for picture in judged.pictures(worst)] == [(16, 3 * 16 + 2 * 2, 3)] * len(worst)
        with load(straight) as model:
            assert judged.measured["mean_iou"] == pytest.approx(model.evaluate("test")["mean_iou"])
    text = report.page_of([straight])
    assert "Worst pictures" in text
    assert "IoU" in text
    assert "background is left clear" in text
    _, _, gallery = text.partition("Worst pictures")
    assert re.findall(r"background:rgb\((\d+ \d+ \d+)\).*?<bdi>(\w+)</bdi>", gallery) == [
        ("128 0 0", "disc"),
        ("0 128 0", "square"),
    ]


def test_the_key_to_the_colours_names_the_classes_that_occur() -> None:
    matrices = np.zeros((2, 4, 4), np.uint32)
    matrices[0, 0, 0], matrices[0, 1, 0], matrices[1, 0, 3] = 5, 1, 1
    data = Description((2, 3, 1), ("background", "a", "b", "c"), target=MASKS)
    judged = Evaluation(data, "val", np.arange(2), np.zeros((2, 2, 3), np.uint8), matrices)
    (gallery,) = Segment().report(judged)[-1].content
    assert isinstance(gallery, Gallery)
    assert gallery.key == [("a", (128, 0, 0)), ("c", (128, 128, 0))]
    assert gallery.captions[0] == ("100.0 % wrong", "mean IoU 0.000")


def test_predict_draws_the_answer_at_the_size_of_the_picture(straight: Path, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (31, 40, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "p.png")
    code, out, _ = call("predict", straight, "p.png", "--draw", "drawn", "--json", cwd=tmp_path)
    assert code == 0
    shares = json.loads(out)["predictions"][0]["shares"]
    assert sum(shares.values()) == pytest.approx(1)
    with Image.open(tmp_path / "drawn" / "p-mask.png") as mask:
        assert (mask.mode, mask.size) == ("P", (40, 31))
        assert np.asarray(mask).max() < 3
    with Image.open(tmp_path / "drawn" / "p.png") as overlay:
        assert (overlay.mode, overlay.size) == ("RGB", (40, 31))
    code, _, err = call("predict", straight, "p.png", "--draw", "drawn", cwd=tmp_path)
    assert code != 0
    assert "p.png exists and p.png would overwrite it" in err


def test_a_task_without_places_has_nothing_to_draw(tmp_path: Path) -> None:
    config = "data: {source: {type: synthetic, size: 8, samples: 8}}\nmodel: {preset: linear}\ntrain: {epochs: 1}\n"
    run(write(tmp_path, config), tmp_path / "run")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "p.png")
    code, _, err = call("predict", tmp_path / "run", "p.png", "--draw", "drawn", cwd=tmp_path)
    assert code == 2
    assert "--draw: the task classify has no answers that can be drawn into a picture" in err
    assert not (tmp_path / "drawn").exists()


def test_a_letterboxed_answer_is_led_back() -> None:
    """A picture of 2x4 in the middle of 4x4, and the network sees each of its pixels where it lies."""
    task: Any = make("tasks", "segment")
    labels = np.array([[0] * 4, [0, 1, 2, 0], [2, 2, 1, 1], [0] * 4])
    led = Move(np.array([[[1.0, 0, 0], [0, 1, 1]]]), (2, 4), (4, 4))
    data = Description((4, 4, 3), ("a", "b", "c"), target="mask")
    shown = task.rendered(np.zeros((2, 4, 3), np.uint8), np.eye(3)[labels], led, data)
    assert shown[1].pixels.tolist() == labels[1:3].tolist()
    answer = task.answer(task.situated(np.eye(3)[labels], led), data)
    assert answer.document["shares"] == {"a": 2 / 8, "b": 3 / 8, "c": 3 / 8}, "without the bars above and below"


def test_a_report_shows_no_answer_where_none_is_judged() -> None:
    task: Any = make("tasks", "segment")
    target, picture = np.array([[IGNORED, 1], [0, IGNORED]], np.uint8), np.full((2, 2, 3), 100, np.uint8)
    still = Move(np.array([[[1.0, 0, 0], [0, 1, 0]]]), (2, 2), (2, 2))
    data = Description((2, 2, 3), ("a", "b"), target="mask")
    _, truth, answer = task.compared(picture, np.eye(2)[np.array([[1, 1], [1, 1]])], target, still, data)
    assert (truth != 100).any(axis=2).tolist() == [[False, True], [False, False]]
    assert (answer != 100).any(axis=2).tolist() == [[False, True], [True, False]]


def test_what_a_crop_cut_off_has_no_share() -> None:
    task: Any = make("tasks", "segment")
    led = Move(np.array([[[1.0, 0, -1], [0, 1, -1]]]), (4, 4), (2, 2))
    outputs = np.eye(3)[np.array([[0, 1], [1, 2]])]
    answer = task.answer(task.situated(outputs, led), Description((2, 2, 3), ("a", "b", "c"), target="mask"))
    assert answer.document["shares"] == {"a": 1 / 4, "b": 2 / 4, "c": 1 / 4}
    assert answer.text == "b 50.0 %  a 25.0 %  c 25.0 %"


def test_a_large_picture_is_led_back_in_little_memory() -> None:
    led = Move(np.array([[[0.02, 0, 0], [0, 0.02, 0]]]), (2000, 1600), (40, 32))
    tracemalloc.start()
    mask = Segment().situated(np.zeros((40, 32, 2), np.float32), led)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * mask.size


def test_masks_follow_what_a_transform_does_to_the_picture() -> None:
    task: Any = make("tasks", "segment")
    masks = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    mirrored = Move(np.array([[[-1.0, 0, 4], [0, 1, 0]]]), (3, 4), (3, 4))
    assert (task.moved(masks, mirrored) == masks[:, :, ::-1]).all()
    shifted = Move(np.array([[[1.0, 0, 1], [0, 1, 0]]]), (3, 4), (3, 4))
    assert (task.moved(masks, shifted)[:, :, 1:] == masks[:, :, :-1]).all()
    assert (task.moved(masks, shifted)[:, :, 0] == IGNORED).all()


def test_ignored_pixels_change_nothing() -> None:
    rng = np.random.default_rng(2)
    outputs = rng.standard_normal((3, 4, 5, 3))
    masks = rng.integers(0, 3, (3, 4, 5)).astype(np.uint8)
    masks[:, 2] = IGNORED
    other = outputs.copy()
    other[:, 2] += 7
    for name in ("cross_entropy", "soft_dice"):
        loss: Any = make("losses", name)
        results = []
        for z in (outputs, other):
            losses, slopes = np.empty(3), np.empty_like(z)
            loss(z, masks, np.ones(3), losses, slopes)
            assert not slopes[:, 2].any()
            results.append((losses, slopes))
        np.testing.assert_array_equal(results[0][0], results[1][0])
        np.testing.assert_array_equal(results[0][1], results[1][1])
        assert loss.normalizer(masks, np.ones(3)) == 3 * 3 * 5


@pytest.mark.parametrize("kind", ["numpy", "onnx"])
def test_exports_answer_as_predict_does(straight: Path, kind: str, tmp_path: Path, monkeypatch: Any) -> None:
    if kind == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    pixels = np.random.default_rng(1).random((2, 16, 16, 3), np.float32)
    with load(straight) as model:
        ours = model.outputs(pixels)
        path = tmp_path / ("net.py" if kind == "numpy" else "net.onnx")
        document = export(model.trained, kind, path)
        if kind == "onnx":
            assert document["error"] < 1e-5
            return
    monkeypatch.syspath_prepend(tmp_path)
    import net  # type: ignore[import-not-found]

    np.testing.assert_allclose(net.forward(pixels), ours, rtol=1e-4, atol=1e-5)
    assert net.answers(net.forward(pixels)).sum(axis=-1) == pytest.approx(1, abs=1e-5)


def test_an_export_says_how_outputs_become_what_predict_shows(straight: Path, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / "p.png")
    code, out, _ = call("export", straight, "--format", "numpy", "--output", "net.py", cwd=tmp_path)
    assert code == 0
    assert "after: the softmax of the outputs gives the probabilities\nafter: a pixel's class is that of its la" in out
    _, out, _ = call("predict", straight, "p.png", "--json", cwd=tmp_path)
    (answer,) = json.loads(out)["predictions"]
    with load(straight) as model:
        largest = model.outputs(np.asarray(Image.open(tmp_path / "p.png"), np.float32)[None] / 255).argmax(axis=-1)
        assert [*answer["shares"].values()] == (np.bincount(largest.ravel(), minlength=3) / largest.size).tolist()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("model: {preset: lenet5}\n", "cross_entropy of masks needs scores for each of 16x16 pixels, the network ends"),
        ("model: {layers: [{type: conv2d, filters: 7, kernel_size: 1}]}\n", "7 scores for each pixel, the data has 3"),
        ("model: {layers: [{type: conv2d, filters: auto, kernel_size: 3}]}\n", "the network ends with 14x14x3"),
    ],
)
def test_networks_that_do_not_fit(lines: str, message: str) -> None:
    head = "data: {source: {type: shapes, target: mask, size: 16, samples: 8, classes: 2}}\ntrain: {epochs: 1}\n"
    with pytest.raises(ConfigError, match=message):
        build.network(load_text(head + lines, "t.yaml"), Description((16, 16, 3), ("a", "b", "c"), target="mask"))


def test_a_contact_sheet_shows_the_masks_after_augmentation(tmp_path: Path) -> None:
    """The colours of the classes lie over the pictures, and nowhere else in the sheet is anything so red."""
    code, _, err = call("check", write(tmp_path, CONFIG), "--show-batch", "sheet.png", cwd=tmp_path)
    assert code == 0, err
    task: Any = make("tasks", "segment")
    tints = task.tinted(np.array([[[0, 1, IGNORED, 2]]], np.uint8))
    assert tints.tolist() == [[[[0, 0, 0, 0], [128, 0, 0, 128], [224, 224, 192, 0], [0, 128, 0, 128]]]]
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    assert ((pixels[..., 0] >= 64) & (pixels[..., 0] > pixels[..., 1] + 40)).any()


def test_other_masks_are_measured_with_the_classes_of_training(tmp_path: Path) -> None:
    """`eval --data` takes the folders, and what the names of masks end with, from what lies there."""
    rng = np.random.default_rng(0)
    for data, folders, ending in (("own", ("images", "masks"), ""), ("new", ("img", "labels"), "_mask")):
        for kind, folder in zip(("picture", "mask"), folders, strict=True):
            (tmp_path / data / folder).mkdir(parents=True)
            for number in range(8):
                top = 256 if kind == "picture" else 2
                pixels = rng.integers(0, top, (16, 16), dtype=np.uint8)
                end = ending if kind == "mask" else ""
                Image.fromarray(pixels).save(tmp_path / data / folder / f"{number}{end}.png")
    own = f"pictures: {tmp_path}/own/images, masks: {tmp_path}/own/masks"
    source = f"{{type: masks, classes: [sky, sea], {own}, channels: 1}}"
    text = re.sub(r"source: .*", f"source: {source}", CONFIG)
    run(write(tmp_path, text), tmp_path / "run")
    with load(tmp_path / "run") as model:
        found = model.evaluate(data=tmp_path / "new")
        assert model.classes == ("sky", "sea")
    assert found["samples"] == 8
    assert 0 < found["mean_iou"] < 1
