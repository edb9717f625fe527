"""The learning-rate finder: what it makes of a curve, and that it changes nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from cnntrain.checks.lr_find import find, in_a_line, judged, smooth
from cnntrain.cli import main
from cnntrain.core.errors import CheckpointError, DivergedError, MissingExtraError
from cnntrain.core.extras import install
from cnntrain.core.sparkline import BARS
from cnntrain.results.report import paper, range_test
from cnntrain.rundir.json_files import read_rows
from cnntrain.training.job import prepare
from tests.support.experiments import run, write

RATES = list(np.geomspace(1e-6, 10, 100))


def valley(rate: float) -> float:
    """A loss that falls from 2 to 1 on the way to 0.1, and then explodes."""
    return 2 - 1 / (1 + (0.01 / rate) ** 1.5) + (rate / 0.5) ** 3


def test_a_tenth_of_the_rate_with_the_smallest_loss_is_suggested():
    found = judged(RATES, [valley(rate) for rate in RATES])
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
    rows = read_rows(tmp_path / "run" / "metrics.jsonl")
    found = find(prepare([config], sets), 1, 0.1, 0.1, 8)
    assert list(found.losses) == [row["train/loss"] for row in rows if row["event"] == "train"]


def test_it_starts_from_the_weights_that_training_would_start_from(tmp_path):
    config = write(tmp_path)
    run(config, tmp_path / "before", ("train.epochs=1",))
    sets = (
        f"model.init_from={{checkpoint: {tmp_path / 'before'}}}",
        "optimizer={type: sgd, lr: 0.1, momentum: 0.9}",
        "schedule=constant",
        "train={steps: 8, batch_size: 10, log_every: 1}",
    )
    run(config, tmp_path / "run", sets)
    rows = read_rows(tmp_path / "run" / "metrics.jsonl")
    found = find(prepare([config], sets), 1, 0.1, 0.1, 8)
    assert list(found.losses) == [row["train/loss"] for row in rows if row["event"] == "train"]
    with pytest.raises(CheckpointError, match=r"gone\.npz"):
        find(prepare([config], [f"model.init_from={{checkpoint: {tmp_path / 'gone.npz'}}}"]), 1, 0.1, 0.1, 8)


def test_where_the_loss_never_falls_nothing_is_suggested():
    rng = np.random.default_rng(0)
    assert judged(RATES, list(2 + 0.01 * rng.random(100))).suggestion is None
    assert judged(RATES, [2 + rate for rate in RATES]).suggestion is None


def test_too_few_steps_are_an_error():
    with pytest.raises(DivergedError, match="give a smaller --low"):
        judged(RATES[:5], [1.0] * 5)


def test_smoothing_is_put_right_for_its_start():
    assert smooth([3.0] * 10) == pytest.approx([3.0] * 10)
    assert smooth([1.0, 2.0])[1] == pytest.approx((0.9 * 0.1 * 1 + 0.1 * 2) / (1 - 0.9**2))


def test_a_line_shows_fall_and_explosion():
    found = judged(RATES, [valley(rate) for rate in RATES])
    line = in_a_line(found.document()["steps"])
    assert line.startswith("loss 2 ")
    assert line.endswith(f" {found.smoothed[-1]:.4g}, rates from 1e-06 to 10")
    bars = [BARS.index(letter) for letter in line if letter in BARS]
    assert len(bars) == 60
    assert bars[0] > 0 < bars[-1]
    deepest = bars.index(0)
    assert RATES[deepest * 100 // 60] == pytest.approx(found.lowest, rel=1)


def test_the_chart_has_the_losses_and_the_suggestion_where_they_belong():
    found = judged(RATES, [valley(rate) for rate in RATES])
    chart = range_test.chart(found)
    steps, smoothed, suggested = chart.content
    assert list(steps.y) == list(found.losses)
    assert list(smoothed.x) == RATES
    assert list(smoothed.y) == list(found.smoothed)
    assert suggested.x == found.suggestion
    assert chart.x.scale == "log"
    assert chart.y.low < min(found.losses)
    assert chart.y.high < max(found.losses)  # of the explosion only the beginning is shown


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
        assert image.size == (1320, 825)
    assert main(["lr-find", "full.yaml", "--low", "1", "--high", "0.1"]) == 2
    assert "--low 1 is not below --high 0.1" in capsys.readouterr().err
    assert main(["lr-find", "full.yaml", "--steps", "12", "--low", "1e-3"]) == 0
    assert "chart: runs/full/lr-find.png" in capsys.readouterr().out


def test_without_matplotlib_there_is_a_line_and_no_chart(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paper, "available", lambda: False)
    write(tmp_path)
    small = ["lr-find", "full.yaml", "--steps", "12", "--low", "1e-3"]
    assert main(small) == 0
    said = capsys.readouterr().out
    assert any(bar in said for bar in BARS)
    assert f"no chart: it needs Matplotlib. Install it with: {install('report')}" in said
    assert main([*small, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["png"] is None
    assert main([*small, "--png", "a.png"]) == MissingExtraError.exit_code
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {"full.yaml"}
