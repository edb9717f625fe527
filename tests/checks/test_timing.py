"""`cnntrain time`: every node is there, shares add up, the prediction is about right."""

from __future__ import annotations

import json
import time

import pytest

from cnntrain.checks.timing import _nodes, measure
from cnntrain.cli import main
from cnntrain.engine.plan import Call
from cnntrain.engine.pool import Pool
from cnntrain.training.job import prepare
from tests.support.experiments import FULL, run, write
from tests.support.networks import engine_of, plain


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("time")
    job = prepare([write(folder)], ["data.source.samples=300"])
    return job, measure(job, threads=2, steps=5)


def test_every_node_has_its_row_and_the_shares_add_up(measured):
    job, result = measured
    assert [row["name"] for row in result["nodes"]] == [*(node.name for node in job.network.graph.nodes), "loss"]
    assert sum(row["share"] for row in result["nodes"]) == pytest.approx(1)
    assert all(row["forward_seconds"] > 0 for row in result["nodes"])
    assert result["nodes"][0]["algorithm"] == "direct"
    assert result["images_per_second"] == pytest.approx(10 / result["step_seconds"])


def test_what_is_made_for_a_pass_beforehand_is_booked_with_it():
    calls = [(Call(do, 0), 1.0) for do in ("fill", "forward", "fill_back", "backward", "backward")]
    with Pool(1) as pool:
        row, *_ = _nodes(engine_of(plain(), pool), calls, 1, 10)
    assert (row["forward_seconds"], row["backward_seconds"], row["share"]) == (2.0, 3.0, 1.0)


def test_what_is_kept_is_what_backward_reads(measured):
    _, result = measured
    kept = {row["name"]: row.get("kept_bytes") for row in result["nodes"]}
    pixels = 8 * 8 * 6 * 4 * 10
    assert kept["conv2d_1"] == 0  # it reads the batch itself
    assert kept["relu_1"] == pixels
    assert kept["batch_norm_1"] >= pixels


def test_the_prediction_is_of_the_right_size(measured, tmp_path):
    """Within a factor of three: this is a machine that others use too."""
    job, result = measured
    start = time.monotonic()
    run(write(tmp_path, FULL), tmp_path / "run", ("data.source.samples=300", "checkpoint.every=5ep"), threads=2)
    taken = time.monotonic() - start
    assert result["run_seconds"] / 3 < taken < result["run_seconds"] * 3 + 1
    assert job.loaded.experiment.train.epochs == 5


def test_the_command_prints_a_table_or_json_and_writes_nothing(tmp_path, capsys, monkeypatch):
    config = write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["time", str(config), "--steps", "2", "-j", "1"]) == 0
    out = capsys.readouterr().out
    assert "conv2d_1" in out
    assert "on 1 thread" in out
    assert main(["time", str(config), "--steps", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run_seconds"] > 0
    assert [path.name for path in tmp_path.iterdir()] == [config.name]
