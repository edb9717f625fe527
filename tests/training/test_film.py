"""The film: the same moments to the bit whatever becomes of its run, and a training that is none the wiser."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from cnntrain.checks import forecast as checks
from cnntrain.cli import main
from cnntrain.config.fields import Duration
from cnntrain.core.errors import PausedError
from cnntrain.rundir import film_files
from cnntrain.rundir.directory import RunDirectory
from cnntrain.training.film import Film, moments
from cnntrain.training.job import prepare
from cnntrain.training.trainer import Trainer
from tests.support.experiments import DETECTION, SEGMENTATION, TINY, evidence, filmed, run, write

FILM = "checkpoint.film=9"


class Killed(BaseException):
    """What no part of the program catches."""


def test_its_moments_lie_closer_the_earlier_and_reach_from_the_first_step_to_the_last():
    assert moments(361, 20) == [k * k for k in range(20)]
    for total in (0, 1, 5, 30, 10**9):
        for count in (2, 3, 20, 1000):
            steps = moments(total, count)
            assert steps == sorted(set(steps))
            assert (steps[0], steps[-1]) == (0, total)
            assert len(steps) == min(count, total + 1)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(TINY, id="classify"),
        pytest.param(DETECTION, id="detect", marks=pytest.mark.faults),
        pytest.param(SEGMENTATION, id="segment", marks=pytest.mark.faults),
    ],
)
def test_it_changes_no_bit_of_training_and_is_the_same_after_any_kill(tmp_path, monkeypatch, text):
    config = write(tmp_path, text)
    run(config, tmp_path / "plain")
    run(config, tmp_path / "filmed", (FILM,), threads=1)
    (arrays, rows), (plain, plain_rows) = evidence(tmp_path / "filmed"), evidence(tmp_path / "plain")
    assert (arrays, rows) == (plain, plain_rows)
    expected = filmed(tmp_path / "filmed")
    assert len(expected) == 9 + 1
    run_dir, step, take, save = tmp_path / "killed", Film.step, Trainer._take_step, RunDirectory.save_checkpoint
    left = {"film": 5, "take": 17, "save": 3}  # how many calls of each come through until a kill

    def killing(name, call, after):
        def wrapped(self, *arguments, **options):
            left[name] -= 1
            if not left[name] and not after:
                raise Killed
            result = call(self, *arguments, **options)
            if not left[name]:
                raise Killed
            return result

        return wrapped

    monkeypatch.setattr(Film, "step", killing("film", step, after=True))
    monkeypatch.setattr(Trainer, "_take_step", killing("take", take, after=False))
    monkeypatch.setattr(RunDirectory, "save_checkpoint", killing("save", save, after=False))
    kills = 0
    while True:
        try:
            if (run_dir / "checkpoints/last.npz").exists():
                run(None, run_dir, threads=2, resume=True)
            else:
                run(config, run_dir, (FILM,), threads=2, resume_or_start=True)
            break
        except Killed:
            kills += 1
    assert kills == 3
    assert filmed(run_dir) == expected
    assert evidence(run_dir) == evidence(tmp_path / "filmed")


def test_a_moment_says_what_the_network_was(tmp_path):
    config = write(tmp_path, TINY)
    run(config, tmp_path / "run", (FILM, "checkpoint.keep=9"))
    film = film_files.read(tmp_path / "run")
    last, moment = np.load(tmp_path / "run/checkpoints/last.npz", allow_pickle=False), film.moments[-1]
    np.testing.assert_array_equal(moment.arrays["film/filters"], last["param/conv2d_1.weight"])
    counts = moment.arrays["film/confusion"]
    assert counts.sum() == moment.meta["judged"] == 8
    assert np.trace(counts) / counts.sum() == moment.meta["values"]["accuracy"]
    assert [about["name"] for about in moment.meta["layers"]] == ["relu_1", "dense_1"]
    np.testing.assert_array_equal(moment.arrays["film/layer/1"], moment.arrays["film/outputs"])
    assert not np.array_equal(moment.arrays["film/outputs"], film.moments[0].arrays["film/outputs"])


def test_one_that_ends_early_or_goes_on_for_longer_has_its_last_step(tmp_path):
    config = write(tmp_path, TINY)
    early = "train.until={metric: train/loss, at_most: 100}"
    run(config, tmp_path / "run", (FILM, early))
    assert max(filmed(tmp_path / "run")) == "step-00000010.npz"
    run(None, tmp_path / "run", ("train.epochs=4", "train.until=null"), resume=True)
    names = [name for name in filmed(tmp_path / "run") if name != film_files.SAMPLES]
    assert {"step-00000010.npz"} < set(names)


def test_moments_of_steps_that_are_taken_again_do_not_outlive_a_resume(tmp_path):
    config = write(tmp_path, TINY)
    with pytest.raises(PausedError):
        run(config, tmp_path / "run", (FILM,), pause_at=Duration(1))
    folder = tmp_path / "run" / film_files.FOLDER
    for step in (12, 29):  # of another length of training, or filmed before the kill came
        shutil.copy(folder / film_files.name(0), folder / film_files.name(step))
    run(None, tmp_path / "run", ("train.epochs=2",), resume=True)
    assert {film_files.name(12), film_files.name(29)}.isdisjoint(filmed(tmp_path / "run"))


def test_a_file_of_it_that_is_taken_for_a_checkpoint_is_called_what_it_is(tmp_path, capsys):
    config = write(tmp_path, TINY)
    run(config, tmp_path / "run", (FILM, "train.epochs=1"))
    for name in ("samples.npz", "step-00000000.npz"):
        file = str(tmp_path / "run/film" / name)
        for call in (
            ["eval", file],
            ["predict", file, str(tmp_path)],
            ["inspect", file],
            ["export", file, "--format", "numpy"],
        ):
            assert main(call) == 4
            said = capsys.readouterr().err
            assert f"{file} is a file of a film" in said
            assert f"Give the run directory, {tmp_path / 'run'}, or a file of {tmp_path / 'run/checkpoints'}" in said


def test_its_bytes_are_foretold(tmp_path):
    for text in (TINY, SEGMENTATION):
        config = write(tmp_path, text)
        job = prepare([config], [FILM])
        foretold = checks.forecast(job, 1, tmp_path)
        run_dir = tmp_path / job.loaded.experiment.name
        run(config, run_dir, (FILM, "checkpoint.every=1ep"))
        size = sum(map(len, filmed(run_dir).values()))
        assert foretold["film_moments"] == 9
        assert 0.5 * size < foretold["film_bytes"] < 2 * size
        assert foretold["disk_bytes"] > foretold["film_bytes"]
