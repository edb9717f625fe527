"""A detector from its config to its answers: the bits of a run, boxes led back, what an evaluation says, its export."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFont

from cnntrain.checks.gradcheck import check
from cnntrain.config.load import load_text
from cnntrain.core.boxes import BOXES, original
from cnntrain.core.description import Description
from cnntrain.core.errors import CheckpointError, ConfigError, PausedError
from cnntrain.core.moves import Move
from cnntrain.core.registry import make
from cnntrain.engine.pool import Pool
from cnntrain.network import build
from cnntrain.ops.average_precision import Found
from cnntrain.ops.locations import BOX, QUALITY, SCORES
from cnntrain.parts.datasets.shapes import Shapes
from cnntrain.parts.tasks.detect import _COLOURS, _INK, MOST, Detect, _counted, _drawn, _places, _written
from cnntrain.reading import fonts
from cnntrain.results import report
from cnntrain.results.export.files import export
from cnntrain.results.export.network import Duties
from cnntrain.rundir.checkpoint import read, save
from cnntrain.rundir.json_files import read_rows
from cnntrain.trained.inference import Trained
from tests.support.experiments import evidence, resumed_after_kills, run

CONFIG = """\
name: found
seed: 5
task: detect
data:
  source: {type: shapes, samples: 40, size: 32, things: [0, 3]}
  val: 0.2
  train_transforms: [hflip]
model: {preset: {type: fcos_small, width: 8, depth: 1}}
optimizer: {type: adamw, lr: 2e-3}
train: {epochs: 2, batch_size: 16}
checkpoint: {best: {monitor: val/ap}}
"""


def arrays_of(folder: Path) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in read(folder / "checkpoints" / "last.npz").arrays.items()}


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    """A run, and its config beside it."""
    folder: Path = tmp_path_factory.mktemp("detect")
    (folder / "found.yaml").write_text(CONFIG)
    run(folder / "found.yaml", folder / "run", threads=2)
    return folder


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_no_bit(straight, threads, tmp_path) -> None:
    run(straight / "found.yaml", tmp_path / "run", threads=threads)
    assert arrays_of(tmp_path / "run") == arrays_of(straight / "run")


def test_a_run_that_was_stopped_resumes_to_the_same_bits(straight, tmp_path) -> None:
    for _ in range(3):  # in the middle of an epoch, and at its end
        with pytest.raises(PausedError):
            run(straight / "found.yaml", tmp_path / "run", resume_or_start=True, max_time=0)
    run(None, tmp_path / "run", resume=True)
    assert arrays_of(tmp_path / "run") == arrays_of(straight / "run")


def test_a_run_that_is_killed_resumes_to_the_same_bits(straight, tmp_path, monkeypatch) -> None:
    """Within an epoch, and right after the end of one."""
    resumed_after_kills(straight / "found.yaml", tmp_path / "run", (1, 2), monkeypatch)
    assert evidence(tmp_path / "run") == evidence(straight / "run")


def test_accumulated_batches_take_the_step_of_one_large_batch(tmp_path) -> None:
    """Without batch norm; positives are counted over the whole step, of which batches have different numbers."""
    text = CONFIG.replace(
        "{preset: {type: fcos_small, width: 8, depth: 1}}",
        "{layers: [{type: conv2d, filters: 4, kernel_size: 3, stride: 2, padding: 1}, relu, {type: conv2d, filters: 8, "
        "kernel_size: 3, stride: 2, padding: 1}, {type: box_levels, from: [input, conv2d_2]}]}",
    )
    found = []
    for size, times in ((32, 1), (8, 4)):
        (tmp_path / "c.yaml").write_text(text)
        sets = (f"train.batch_size={size}", f"train.accumulate={times}", "train.shard=8")
        run(tmp_path / "c.yaml", tmp_path / f"run{times}", sets)
        found.append(arrays_of(tmp_path / f"run{times}"))
    params = [{name: array for name, array in arrays.items() if name.startswith("param/")} for arrays in found]
    assert params[0] == params[1]


@pytest.mark.parametrize("quality", ["centerness", "iou"])
def test_every_gradient_of_a_whole_detector_is_right(quality) -> None:
    check(load_text(f"{CONFIG}loss: {{type: fcos, quality: {quality}}}\n", "found.yaml"), coordinates=4).require()


def test_transforms_that_mix_are_refused_at_their_line() -> None:
    loaded = load_text(CONFIG.replace("[hflip]", "[hflip, {type: mixup, alpha: 0.2}]"), "found.yaml")
    with pytest.raises(ConfigError, match=r"found.yaml:7:\d+: mixup takes weighted sums of targets"):
        build.network(loaded, Shapes(samples=4, size=32).load("test").description)


def perfect(target: Any, classes: int) -> np.ndarray:
    """Rows of a network that finds just the boxes of a target, each twice."""
    there = np.flatnonzero(target["labels"] >= 0)
    rows = np.full((2 * len(there) + 3, 8 + classes), -20.0, np.float32)
    rows[:, BOX] = 0, 0, 5, 5
    for i, k in enumerate(np.r_[there, there]):
        rows[i, BOX], rows[i, QUALITY] = target["corners"][k], 20 - i
        rows[i, SCORES.start + target["labels"][k]] = 20
    return rows


def test_a_perfect_network_is_perfect_and_a_blind_one_finds_nothing() -> None:
    images = Shapes(samples=60, things=(1, 4)).load("test")
    task, data = Detect(), images.description
    rows = [perfect(target, 3) for target in images.targets]
    judged = np.concatenate([task.judged(r[None], t[None]) for r, t in zip(rows, images.targets, strict=True)])
    assert task.measured(judged, data) == pytest.approx({"ap": 1, "ap50": 1, "ap75": 1})
    found = task.breakdown(judged, data)
    assert [row["best_f1"] for row in found["per_class"]] == [1, 1, 1]
    assert sum(row["boxes"] for row in found["per_class"]) == int((images.targets["labels"] >= 0).sum())
    blind = np.full((12, 5, 11), -20.0, np.float32)
    assert task.measured(task.judged(blind, images.targets), data)["ap"] == 0


def test_boxes_are_led_back_and_cut_off_at_the_border() -> None:
    led = Move(np.array([[[0.5, 0, 0], [0, 0.5, 8]]]), (480, 640), (256, 320))  # a letterbox
    rows = np.zeros((2, 11), np.float32)
    rows[:, BOX] = (10, 28, 60, 88), (300, 200, 330, 260)
    found = Detect().situated(rows, led)
    assert found[:, BOX].tolist() == [[20, 40, 120, 160], [600, 384, 640, 480]]
    frame = np.array([0.5, 0.5, 0, 8])
    np.testing.assert_allclose(original(rows[:1, BOX], frame), found[:1, BOX])
    assert rows[0, 0] == 10, "the outputs themselves are left alone"


@pytest.mark.parametrize("bar", [(0, 0, 320, 8), (0, 248, 320, 256), (0, 0, 8, 256), (312, 0, 320, 256)])
def test_what_lies_in_the_bars_of_a_letterbox_is_no_answer_but_still_judged(bar) -> None:
    """Not even where it is a hair's breadth in the picture; and it takes no place among the hundred."""
    led = Move(np.array([[[0.5, 0, 8], [0, 0.5, 8]]]), (480, 608), (256, 320))
    rows = np.zeros((130, 9), np.float32)
    rows[:, QUALITY], rows[:, SCORES.start] = 20, np.linspace(9, 8, 130)
    rows[:, BOX] = bar
    rows[:20, BOX] += np.array([-0.001, -0.001, 0.001, 0.001], np.float32)
    rows[120:, BOX] = [(20 * i + 10, 30, 20 * i + 20, 60) for i in range(10)]
    task, data = Detect(), Description((256, 320, 1), ("a",), target=BOXES)
    situated = task.situated(rows, led)
    answer, annotation = task.answer(situated, data), task.annotation(situated, (480, 608), data)
    assert len(answer.document["boxes"]) == len(answer.rows) == len(annotation.rows) == 10
    assert all(x1 < x2 and y1 < y2 for *_, x1, y1, x2, y2 in answer.rows)
    assert answer.text.startswith("10 a")
    target = task.blank(1, data)
    target["frame"], target["size"] = (0.5, 0.5, 8, 8), (480, 608)
    assert len(annotation.results) == int((task.judged(rows[None], target)["labels"] >= 0).sum()) == MOST


def test_at_most_a_hundred_are_found_and_none_of_a_broken_network() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1, (2000, 10)).astype(np.float32)
    rows[:, BOX] = np.sort(rng.uniform(0, 500, (2000, 4)))[:, [0, 1, 2, 3]]
    found = Detect().found(rows)
    assert len(found.scores) == MOST
    assert (np.diff(found.scores) <= 0).all()
    assert len(Detect().found(np.full((5, 10), np.nan, np.float32)).scores) == 0


def test_predictions_are_in_pixels_of_the_original_picture(straight, tmp_path) -> None:
    pixels = Shapes(samples=20, size=32, things=(1, 3)).load("test").pixels
    Image.fromarray(pixels[0]).save(tmp_path / "small.png")
    Image.fromarray(pixels[0]).resize((96, 64), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    with Pool(1) as pool:
        trained = Trained(straight / "run", pool)
        small, large = trained.predict([tmp_path / "small.png", tmp_path / "large.png"])
        assert len(small["boxes"]) > 0
        assert all(0 <= x <= 32 for box in small["boxes"] for x in box["box"])
        reach = np.array([box["box"] for box in large["boxes"]]).max(axis=0)
        assert (reach <= [96, 64, 96, 64]).all()
        assert reach[2] > 32
        of_array = trained.answers_to(pixels[:1])[0].document["boxes"]
        assert of_array == small["boxes"]
        shown: dict[str, Any] = {}
        trained.answers([tmp_path / "large.png"], show=lambda name, all_: shown.update({name: all_}))
        (rendering,) = shown[str(tmp_path / "large.png")]
        assert rendering.pixels.shape == (4 * 64, 4 * 96, 3), "enlarged, so that captions do not hide it"


def test_exports_say_what_remains_to_be_done_with_their_boxes(straight, tmp_path, monkeypatch) -> None:
    with Pool(1) as pool:
        trained = Trained(straight / "run", pool)
        found = export(trained, "numpy", tmp_path / "detector.py")
        pixels = Shapes(samples=20, size=32).load("test").pixels[:3]
        outputs = trained.outputs(pixels)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("detector")
    np.testing.assert_allclose(module.forward(pixels.astype(np.float32) / 255), outputs, rtol=1e-3, atol=1e-3)
    assert Detect.remains in " ".join(module.__doc__.split())
    assert "non-maximum suppression is not done" in found["after"]
    assert "an IoU above 0.6" in found["after"]
    assert "the 1,000 highest scores of a picture, from 0.05 up, and keeps 100 boxes" in found["after"]


def test_who_does_what_remains_gets_what_predict_answers(straight) -> None:
    """Word by word as exports say it, in loops."""
    pixels = Shapes(samples=20, size=32).load("test").pixels[:3]
    with Pool(1) as pool:
        trained = Trained(straight / "run", pool)
        outputs = trained.outputs(pixels).astype(float)
        answers = [answer.document["boxes"] for answer in trained.answers_to(pixels)]
    for rows, answer in zip(outputs, answers, strict=True):
        scores = np.sqrt(1 / (1 + np.exp(-rows[:, 8:])) / (1 + np.exp(-rows[:, 7:8])))
        boxes = rows[:, :4].clip(0, 32)
        ranked = sorted(((score, at, label) for (at, label), score in np.ndenumerate(scores) if score >= 0.05))[::-1]
        kept: list[tuple[float, int, int]] = []
        for score, at, label in ranked[:1000]:
            if all(overlap(boxes[at], boxes[other]) <= 0.6 for _, other, of in kept if of == label):
                kept.append((score, at, label))
        assert len(answer) == len(kept[:100]) > 0
        np.testing.assert_allclose([box["score"] for box in answer], [score for score, _, _ in kept[:100]], atol=1e-5)
        first = next(iter(answer))
        np.testing.assert_allclose(first["box"], boxes[kept[0][1]], atol=0.01)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """The intersection of two boxes over their union."""
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "cover"])
def test_an_export_says_how_pictures_are_brought_to_size(fit) -> None:
    words = {"stretch": "proportions not kept", "letterbox": "bars of grey (114 of 255)", "cover": "is cut off"}
    assert words[fit] in Duties((32, 32, 3), "nothing", fit).facts()["resize"]


def test_an_evaluation_equals_the_validation_of_the_best_epoch_and_a_report_shows_it(straight) -> None:
    with Pool(2) as pool:
        trained = Trained(straight / "run", pool)
        found = trained.evaluate("val")
    rows = read_rows(straight / "run" / "metrics.jsonl")
    assert found["ap"] == pytest.approx(max(row["val/ap"] for row in rows if "val/ap" in row), abs=1e-12)
    assert set(found) >= {"loss", "ap", "ap50", "ap75", "ap_small", "ar100", "per_class"}
    assert [row["class"] for row in found["per_class"]] == ["disc", "square", "triangle"]
    text = report.page_of([straight / "run"])
    for heading in ("Classes", "Precision and recall", "Sizes", "Worst misses", "Worst false alarms", "Worst mistakes"):
        assert f">{heading}<" in text


def test_an_evaluation_tells_of_boxes_that_it_does_not_see(tmp_path) -> None:
    crop = "train_transforms: [{type: random_crop, size: 32}]\n  eval_transforms: [{type: center_crop, size: 32}]"
    config = CONFIG.replace("train_transforms: [hflip]", crop).replace("size: 32,", "size: 64,")
    (tmp_path / "c.yaml").write_text(config)
    run(tmp_path / "c.yaml", tmp_path / "run")
    told: list[str] = []
    with Pool(1) as pool:
        trained = Trained(tmp_path / "run", pool, warn=told.append)
        trained.evaluate("test")
    (said,) = told
    assert re.match(r"test: eval_transforms leave out .* a part of \d+ boxes: only what is in view is judged", said)


def test_what_people_are_shown_is_what_suits_validation_best(straight) -> None:
    images = Shapes(samples=60, things=(1, 4)).load("test")
    task, data = Detect(), images.description
    rows = [perfect(target, 3) for target in images.targets]
    judged = np.concatenate([task.judged(r[None], t[None]) for r, t in zip(rows, images.targets, strict=True)])
    judged["scores"] *= 0.6
    judged["scores"][:, -20:], judged["labels"][:, -20:], judged["boxes"][:, -20:] = 0.4, 0, (0, 0, 1, 1)
    point = task.operating_point(judged, data)
    assert point["score"] in (0.5, 0.51), "in the middle between what is right and what is not"
    found = task.breakdown(judged, data)
    assert (found["best_f1"], found["at_score"]) == (1, point["score"])
    judged["labels"] = -1
    assert task.operating_point(judged, data) == {}
    meta = read(straight / "run/checkpoints/best.npz").meta
    with Pool(1) as pool:
        trained = Trained(straight / "run", pool)
        assert trained.evaluate("val")["at_score"] == meta["operating_point"]["score"]
        assert trained.network.task.shown == meta["operating_point"]["score"]
        assert trained.network.task.score == Detect.score, "nothing of what is found is left out"
        assert Trained(straight / "run", pool, score=0.9).network.task.shown == 0.9


@pytest.mark.parametrize(
    ("point", "shown"),
    [(None, 0.5), ({}, 0.5), ({"score": 0.25}, 0.25), ({"score": 2.0}, ""), ({"x": 0.1}, ""), ([], "")],
)
def test_a_checkpoint_of_any_age_has_an_operating_point_or_is_refused(straight, point, shown, tmp_path) -> None:
    checkpoint = read(straight / "run/checkpoints/best.npz")
    meta = {key: value for key, value in checkpoint.meta.items() if key != "operating_point"}
    save(tmp_path / "c.npz", meta | ({} if point is None else {"operating_point": point}), checkpoint.arrays)
    with Pool(1) as pool:
        if shown:
            assert Trained(tmp_path / "c.npz", pool).network.task.shown == shown
        else:
            with pytest.raises(CheckpointError, match="the operating point of a detector is a score from 0 to 1"):
                Trained(tmp_path / "c.npz", pool)


def test_words() -> None:
    images = Shapes(samples=60, things=(1, 4)).load("test")
    task = make("tasks", "detect")
    census = task.census(images.targets, images.description)
    assert sum(census["boxes"].values()) == int((images.targets["labels"] >= 0).sum())
    assert task.told(images.targets[0], images.description)


def test_names_in_any_script_stand_by_themselves_and_are_written_into_pictures(monkeypatch) -> None:
    data = Description((8, 8, 3), ("שלום", "停车", "\N{AUTOMOBILE}"))
    assert _counted(np.array([0, 1, 1]), data.classes) == "1 \u2068שלום\u2069, 2 停车"
    monkeypatch.setattr(fonts, "installed", lambda _size: ())
    monkeypatch.setattr(fonts, "shapes", lambda: True)
    assert [_written(data.classes, label) for label in range(3)] == ["class 0", "class 1", "[automobile]"]
    boxes = Found(np.full((3, 4), [1, 1, 6, 6], np.float32), np.full(3, 0.5, np.float32), np.arange(3))
    assert _drawn(np.zeros((64, 64, 3), np.uint8), boxes, data.classes, 1 / 20).any()


@pytest.mark.parametrize("spread", [0, 1, 9])
def test_captions_lie_in_the_picture_and_cover_one_another_only_where_there_is_no_room(spread) -> None:
    sizes, within = [(30.0, 8.0)] * 6, (100, 60)
    boxes = np.array([[5, 5, 75, 40]] * 6, np.float64) + spread * np.arange(6)[:, None]
    places = _places(sizes, boxes, within)
    for k, (x, y) in enumerate(places):
        assert 0 <= x <= 100 - 30
        assert 0 <= y <= 60 - 8
        assert all(abs(x - a) >= 30 or abs(y - b) >= 8 for a, b in places[:k])
    crowded = _places(sizes * 20, boxes.repeat(20, axis=0), within)
    assert len(crowded) == 120
    assert _places([(300.0, 80.0)], boxes[:1], within) == [(0, 0)], "larger than the picture"


@pytest.mark.parametrize("side", [40, 400, 1600])
def test_captions_are_as_large_as_the_picture_is(side) -> None:
    if not isinstance(ImageFont.load_default(), ImageFont.FreeTypeFont):
        pytest.skip("Pillow is without FreeType")
    box = Found(
        np.array([[0.1, 0.5, 0.9, 0.9]], np.float32) * side, np.array([0.87], np.float32), np.zeros(1, np.int64)
    )
    heights = []
    for letters in (1 / 40, 1 / 20):
        drawn = _drawn(np.zeros((side, side, 3), np.uint8), box, ("disc",), letters)
        above = (drawn == _COLOURS[0]).all(axis=2).any(axis=1)[: len(drawn) // 2]
        heights.append(above.sum() / len(drawn))
    small, large = heights
    assert 0.015 < small < 0.03 < large < 0.06


@pytest.mark.parametrize("colour", _COLOURS)
def test_letters_stand_out_from_what_they_stand_on(colour) -> None:
    def luminance(colour) -> float:
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in np.divide(colour, 255)
        ]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))  # WCAG 2.2

    assert (luminance(colour) + 0.05) / (luminance(_INK) + 0.05) > 4.5
