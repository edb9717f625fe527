"""A model answers whatever collection its pictures come in, from any thread, and says what it does not take."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnntrain
from cnntrain.core.errors import DataError, UsageError
from tests.support.experiments import write

SHAPE = (8, 8, 3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cnntrain.Run:
    folder = tmp_path_factory.mktemp("model")
    return cnntrain.fit(write(folder), set={"train.epochs": 1}, run_dir=folder / "run")


@pytest.fixture(scope="module")
def files(run: cnntrain.Run, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures")
    pixels = np.random.default_rng(0).integers(0, 256, (3, *run.model.trained.network.image_shape), np.uint8)
    for index, picture in enumerate(pixels):
        Image.fromarray(picture.squeeze()).save(folder / f"{index}.png")
    return [str(folder / f"{index}.png") for index in range(3)]


COLLECTIONS: list[Callable[[list[str]], Any]] = [
    tuple,
    iter,
    np.array,
    lambda files: np.array([*map(Path, files)], object),
    lambda files: dict.fromkeys(files).keys(),
    lambda files: (Path(file) for file in files),
]


@pytest.mark.parametrize("collected", COLLECTIONS)
def test_paths_may_come_in_any_collection(
    run: cnntrain.Run, files: list[str], collected: Callable[[list[str]], Any]
) -> None:
    assert run.predict(collected(files)) == run.predict(files)


def test_arrays_may_come_in_any_collection(run: cnntrain.Run) -> None:
    shape = run.model.trained.network.image_shape
    pixels = np.random.default_rng(1).integers(0, 256, (3, *shape), np.uint8)
    assert run.predict(picture for picture in pixels) == run.predict([*pixels]) == run.predict(pixels)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (["a.png", np.zeros(SHAPE)], "expected a path, got array"),
        ([], r"predict: got an array of shape \(0,\), expected \(n, 8, 8"),
        ([np.zeros((8, 8, 3)), np.zeros((9, 9, 3))], "predict: got no array of numbers but"),
        (None, "predict: got no array of numbers but None, expected"),
        (b"a.png", "predict: got no array of numbers but b'a.png', expected"),
        ({"a": 1}, "predict: got no array of numbers but {'a': 1}, expected"),
        (3, r"predict: got an array of shape \(\), expected"),
    ],
)
def test_anything_else_is_refused(run: cnntrain.Run, images: Any, words: str) -> None:
    with pytest.raises(UsageError, match=f"^{words}"):
        run.predict(images)


def test_what_is_measured_lies_in_a_file(run: cnntrain.Run, tmp_path: Path) -> None:
    shape = run.model.trained.network.image_shape
    x, y = np.zeros((6, *shape), np.uint8), np.arange(6) % 3
    for data, what in (((x, y), "tuple"), (x, "ndarray"), ({"x": x}, "dict")):
        with pytest.raises(UsageError) as raised:
            run.evaluate(data=data)  # type: ignore[arg-type]
        assert str(raised.value) == (
            f"evaluate: expected data to be a path, got {what}. Save arrays with np.savez('held.npz', x_test=x, "
            "y_test=y), and give 'held.npz'"
        )
    np.savez(tmp_path / "held.npz", x_test=x, y_test=y)
    assert run.evaluate(data=tmp_path / "held.npz")["samples"] == 6
    with pytest.raises(UsageError) as raised:
        cnntrain.load(x)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_outputs_are_of_arrays(run: cnntrain.Run, files: list[str]) -> None:
    for images in (files, files[0], np.array(files)):
        with pytest.raises(UsageError, match=r"^outputs: got no array of numbers .* predict reads and resizes files"):
            run.model.outputs(images)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
def test_pixels_are_finite(run: cnntrain.Run, value: float) -> None:
    pixels = np.zeros((3, *run.model.trained.network.image_shape))
    pixels[1, 0, 0, 0] = value
    for answer in (run.predict, run.model.outputs):
        with pytest.raises(DataError, match=r"^the input: sample 1 holds NaN or an infinity \(1 such\)"):
            answer(pixels)


def test_threads_may_ask_one_model(run: cnntrain.Run) -> None:
    shape = run.model.trained.network.image_shape
    pixels = np.random.default_rng(2).integers(0, 256, (60, *shape), np.uint8)
    alone = [run.predict(picture) for picture in pixels]
    with ThreadPoolExecutor(4) as threads:
        assert [*threads.map(run.predict, pixels)] == alone


def test_a_run_is_pickled_without_its_network(run: cnntrain.Run) -> None:
    assert run.model.step
    again = pickle.loads(pickle.dumps(run))
    assert (again.path, again.result) == (run.path, run.result)
    assert again.model.step == run.model.step


def test_a_run_that_has_moved_can_be_printed(tmp_path: Path) -> None:
    moved = cnntrain.fit(write(tmp_path), set={"train.epochs": 1}, run_dir=tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    assert repr(moved) == f"Run({str(tmp_path / 'run')!r}, not there or damaged)"
