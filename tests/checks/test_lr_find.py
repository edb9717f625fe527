"""The learning-rate finder: what it makes of a curve, and that it changes nothing."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image

from cnntrain.checks.lr_find import curve, find, picture, plot, smooth
from cnntrain.cli import main
from cnntrain.core.errors import DivergedError
from cnntrain.rundir.directory import read_metrics
from cnntrain.training.job import prepare
from tests.support.experiments import run, write

RATES = list(np.geomspace(1e-6, 10, 100))


def valley(rate: float) -> float:
    """A loss that falls from 2 to 1 on the way to 0.1, and then explodes."""
    return 2 - 1 / (1 + (0.01 / rate) ** 1.5) + (rate / 0.5) ** 3


def test_a_tenth_of_the_rate_with_the_smallest_loss_is_suggested():
    found = curve(RATES, [valley(rate) for rate in RATES])
    assert 0.05 < found.lowest < 0.5
    assert found.suggestion == float(f"{found.lowest / 10:.2g}")
    assert found.document()["steps"][3] == {
        "lr": RATES[3],
        "loss": found.losses[3],
        "smoothed": found.smoothed[3],
    }


@pytest.mark.parametrize("sam", ["", ", sam: {rho: 0.5}"])
def test_its_steps_are_those_of_fit(sam, tmp_path):
    """At a rate that stays; under sam, too, whose gradient is taken elsewhere."""
    optimizer = f"optimizer={{type: sgd, lr: 0.1, momentum: 0.9{sam}}}"
    sets = (optimizer, "schedule=constant", "train={steps: 8, batch_size: 10, log_every: 1}")
    config = write(tmp_path)
    run(config, tmp_path / "run", sets)
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    found = find(prepare([config], sets), 1, 0.1, 0.1, 8)
    assert list(found.losses) == [row["train/loss"] for row in rows if row["event"] == "train"]


def test_where_the_loss_never_falls_nothing_is_suggested():
    rng = np.random.default_rng(0)
    assert curve(RATES, list(2 + 0.01 * rng.random(100))).suggestion is None
    assert curve(RATES, [2 + rate for rate in RATES]).suggestion is None


def test_too_few_steps_are_an_error():
    with pytest.raises(DivergedError, match="give a smaller --low"):
        curve(RATES[:5], [1.0] * 5)


def test_smoothing_is_put_right_for_its_start():
    assert smooth([3.0] * 10) == pytest.approx([3.0] * 10)
    assert smooth([1.0, 2.0])[1] == pytest.approx((0.9 * 0.1 * 1 + 0.1 * 2) / (1 - 0.9**2))


def test_the_plot_shows_fall_and_explosion():
    lines = plot(curve(RATES, [valley(rate) for rate in RATES])).splitlines()
    assert len(lines) == 12
    assert max(map(len, lines)) <= 80
    grid = [line.partition("┤")[2].ljust(60) for line in lines[:10]]
    heights = [next(row for row in range(10) if grid[row][column] == "•") for column in range(60)]
    deepest = heights.index(max(heights))
    assert heights[0] < max(heights)
    assert heights[-1] < max(heights)
    assert 30 < deepest < 58
    assert lines[-1].split() == ["1e-06", "10"]


def test_the_picture_has_the_curve_and_the_suggestion_where_they_belong():
    found = curve(RATES, [valley(rate) for rate in RATES])
    image = np.asarray(picture(found)).astype(int)
    assert image.shape == (540, 960, 3)
    red, green, blue = (image[..., channel] for channel in range(3))
    curved = (blue > red + 100) & (blue > 180)
    marked = (red > blue + 100) & (red > green + 100)
    assert found.suggestion is not None
    share = (math.log10(found.suggestion) + 6) / 7
    assert np.median(np.nonzero(marked[100:400])[1]) == pytest.approx(80 + share * 850, abs=3)
    lowest = (math.log10(found.lowest) + 6) / 7
    columns = np.nonzero(curved)[1][np.nonzero(curved)[0] >= np.nonzero(curved)[0].max() - 2]
    assert columns.mean() == pytest.approx(80 + lowest * 850, abs=25)


def test_the_command_writes_a_picture_and_nothing_else(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = write(tmp_path).read_bytes()
    assert main(["lr-find", "full.yaml", "--steps", "30", "--low", "1e-3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["png"] == "runs/full/lr-find.png"
    assert 6 <= len(document["steps"]) <= 30
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {
        "full.yaml",
        "runs/full/lr-find.png",
    }
    assert (tmp_path / "full.yaml").read_bytes() == before
    with Image.open("runs/full/lr-find.png") as image:
        assert image.size == (960, 540)
    assert main(["lr-find", "full.yaml", "--low", "1", "--high", "0.1"]) == 2
    assert "--low 1 is not below --high 0.1" in capsys.readouterr().err
    assert main(["lr-find", "full.yaml", "--steps", "12", "--low", "1e-3"]) == 0
    assert "curve: runs/full/lr-find.png" in capsys.readouterr().out
