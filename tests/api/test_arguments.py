"""Arguments: what Python code may give, and that everything else is refused before anything is touched."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnntrain
from cnntrain.api.arguments import overrides
from cnntrain.config.fields import Duration
from cnntrain.core.errors import DataError, PausedError, UsageError
from tests.support.experiments import evidence, write

SHORT = {"train.epochs": 2}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cnntrain.Run:
    folder = tmp_path_factory.mktemp("arguments")
    return cnntrain.fit(write(folder), set=SHORT, run_dir=folder / "run")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"threads": 1.5}, "threads: expected a whole number from 1 to 256, got 1.5"),
    ({"threads": -1}, "threads: expected a whole number from 1 to 256, got -1"),
    ({"threads": 0}, "threads: expected a whole number from 1 to 256, got 0"),
    ({"max_time": "3"}, "max_time: expected a number of at least 0, got '3'"),
    ({"max_time": math.nan}, "max_time: expected a number of at least 0, got nan"),
    ({"pause_at": 1.5}, "pause_at: expected a duration such as '10ep', got 1.5"),
    ({"pause_at": True}, "pause_at: expected a duration such as '10ep', got True"),
    ({"pause_at": 0}, "pause_at: expected a duration greater than zero"),
    ({"pause_at": Duration(-1)}, "pause_at: expected a duration such as"),
    ({"figures": None}, "figures: expected a text or several, got None"),
    ({"figures": [1]}, r"figures: expected a text or several, got \[1\]"),
    ({"progress": "tqdm"}, "progress: expected one of auto, bar, plain, none, got 'tqdm'"),
    ({"progress": ["bar"]}, "progress: expected one of auto"),
    ({"announce": 3}, "announce: expected a function, got 3"),
    ({"warn": "no"}, "warn: expected a function, got 'no'"),
    ({"run_dir": 3}, "expected a path, got 3"),
    ({"set": 3}, "set: expected a mapping"),
    ({"set": [3]}, "set: expected a mapping"),
    ({"set": iter([3])}, "set: expected a mapping"),
]


@pytest.mark.parametrize("several", [list, tuple, iter])
def test_settings_may_come_in_any_collection(several: Callable[[Any], Any]) -> None:
    assert overrides(several(["optimizer.lr=1", "train.epochs=2"])) == ["optimizer.lr=1", "train.epochs=2"]


@pytest.mark.parametrize(("wrong", "words"), WRONG)
def test_a_run_is_not_overwritten_for_arguments_that_cannot_be_used(
    run: cnntrain.Run, wrong: dict[str, Any], words: str, tmp_path: Path
) -> None:
    before = evidence(run.path)
    with pytest.raises(UsageError, match=f"^{words}"):
        cnntrain.fit(**{"config": write(tmp_path), "run_dir": run.path, "overwrite": True, "set": SHORT} | wrong)
    assert evidence(run.path) == before
    assert run.state == "finished"


def test_numbers_of_numpy_are_numbers(run: cnntrain.Run, tmp_path: Path) -> None:
    paused = tmp_path / "run"
    with pytest.raises(PausedError):
        cnntrain.fit(write(tmp_path), set=SHORT, run_dir=paused, threads=np.int64(2), pause_at=np.int64(1))
    assert len(cnntrain.Run(paused).history["epoch"]) == 1
    assert cnntrain.Run(paused).resume(threads=np.int64(2), max_time=np.float32(1000)).state == "finished"
    assert evidence(paused) == evidence(run.path)


@pytest.mark.parametrize(("progress", "lively"), [(False, False), (None, False), (True, True), ("none", False)])
def test_yes_and_no_are_ways_to_show_progress(
    progress: Any, lively: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cnntrain.fit(write(tmp_path), set={"train.epochs": 1}, run_dir=tmp_path / "run", progress=progress)
    assert ("epoch 1/1" in capfd.readouterr().err) == lively


CONFIG = "nowhere.yaml"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda run: cnntrain.verify(run, steps=0), "steps: expected a whole number of at least 1, got 0"),
        (lambda _: cnntrain.time(CONFIG, steps=-1), "steps: expected a whole number of at least 1, got -1"),
        (lambda _: cnntrain.gradcheck(CONFIG, coordinates=0), "coordinates: expected a whole number"),
        (lambda _: cnntrain.lr_find(CONFIG, steps=9), "steps: expected a whole number of at least 10, got 9"),
        (lambda _: cnntrain.lr_find(CONFIG, low=0), "low: expected a number greater than 0, got 0"),
        (lambda _: cnntrain.lr_find(CONFIG, high=math.inf), "high: expected a number greater than 0, got inf"),
        (lambda _: cnntrain.init("a.npz", size=1.5), "size: expected a whole number from 8 to 1024, got 1.5"),
        (lambda _: cnntrain.init("a.npz", minutes=-1), "minutes: expected a number greater than 0, got -1"),
        (lambda run: run.predict(np.zeros((1, 8, 8, 3), np.uint8), 0), "top: expected a whole number of at least 1"),
        (lambda run: run.predict("a.wav", every=0), "every: expected a number from 0.001 to 86400, got 0"),
        (lambda run: cnntrain.load(run, score=2), "score: expected a number from 0 to 1, got 2"),
        (lambda run: cnntrain.load(run, threads="2"), "threads: expected a whole number from 1 to 256"),
        (lambda _: cnntrain.summary(CONFIG, threads=0), "threads: "),
        (lambda _: cnntrain.check(CONFIG, threads=0), "threads: "),
        (lambda run: cnntrain.report(run, threads=0), "threads: "),
        (lambda run: cnntrain.replay(run, threads=0), "threads: "),
        (lambda run: cnntrain.compare(run, ["val/loss<9", 3]), "filters: expected a text or several"),
        (lambda run: cnntrain.compare(run, sort=3), "sort: expected the name of a metric"),
        (lambda _: cnntrain.init("a.npz", targets=3), "targets: expected a text or several, got 3"),
        (lambda _: cnntrain.fetch(["mnist"]), r"no data set \['mnist'\] is known"),
    ],
)
def test_what_the_commands_refuse_python_refuses(
    run: cnntrain.Run, call: Callable[[cnntrain.Run], object], words: str
) -> None:
    with pytest.raises(UsageError, match=f"^{words}"):
        call(run)


@pytest.mark.parametrize("call", [cnntrain.summary, cnntrain.check, cnntrain.report, cnntrain.compare])
def test_none_is_no_path(call: Callable[[Any], object]) -> None:
    with pytest.raises(UsageError, match="expected a path, got None"):
        call(None)
    with pytest.raises(UsageError, match=r"expected a path or several, got none|no config given"):
        call([])


def test_a_run_is_a_path_of_its_own(run: cnntrain.Run, tmp_path: Path) -> None:
    assert cnntrain.summary(run) == cnntrain.summary(run.path)
    assert cnntrain.compare(iter([run])) == cnntrain.compare([run.path])  # type: ignore[arg-type]
    assert cnntrain.report(run, tmp_path / "page.html")["runs"] == [str(run.path)]


def test_one_text_is_no_sequence_of_letters(run: cnntrain.Run, tmp_path: Path) -> None:
    assert len(cnntrain.compare(run, "val/loss<1000")["runs"]) == 1
    (tmp_path / "a.csv").write_text("path,price\na.png,1\n")
    with pytest.raises(DataError) as caught:
        cnntrain.init(tmp_path / "a.csv", tmp_path / "a.yaml", targets="cost")
    assert "'cost'" in str(caught.value)
