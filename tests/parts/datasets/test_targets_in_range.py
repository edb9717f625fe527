"""Targets on which the loss is not defined: an error that names the first, in every command and from every source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntrain.checks.preflight import dry_run, examine
from cnntrain.core.errors import DataError
from cnntrain.engine.pool import Pool
from cnntrain.trained.inference import Trained
from cnntrain.training.job import prepare
from tests.support.experiments import run

CONFIG = """\
name: several
data: {{source: {source}, val: 0.5}}
model: {{layers: [flatten, {{type: dense, units: auto}}]}}
optimizer: sgd
loss: {loss}
train: {{epochs: 1, batch_size: 2}}
"""
LOSSES = ["binary_cross_entropy", "focal", "{type: sum, terms: [mse, binary_cross_entropy]}"]


def csv(folder: Path, values: list[float], name: str = "labels.csv") -> str:
    rows = ["path,fine,edema"]
    for number, value in enumerate(values):
        Image.new("L", (4, 4), 30 * number).save(folder / f"{number}.png")
        rows.append(f"{number}.png,1,{value}")
    (folder / name).write_text("\n".join(rows) + "\n")
    return f"{{type: csv, path: {folder / name}, targets: [fine, edema]}}"


def npz(folder: Path, values: list[float], name: str = "labels.npz") -> str:
    y = np.array([[1, value] for value in values], np.float32)
    x = np.random.default_rng(0).random((len(y), 4, 4, 1), np.float32)
    np.savez(folder / name, x_train=x, y_train=y, x_test=x, y_test=y)
    return f"{{type: npz, path: {folder / name}}}"


def config(folder: Path, source: str, loss: str) -> Path:
    path = folder / "several.yaml"
    path.write_text(CONFIG.format(source=source, loss=loss))
    return path


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("source", "place"), [(csv, r"labels\.csv:4: edema"), (npz, r"labels\.npz: y_train\[2, 1\]")])
@pytest.mark.parametrize("value", [-1, 255, 1.5])
def test_the_first_such_target_is_named(tmp_path, source, place, loss, value):
    made = config(tmp_path, source(tmp_path, [0, 1, value, 0, 1, value]), loss)
    with pytest.raises(DataError, match=rf"{place} is {value:g}, [a-z_]+ takes 0 to 1\. Mend the data"):
        prepare([made])


@pytest.mark.parametrize("choice", ["subset, fraction: 0.9", "k_fold, folds: 2"])
def test_so_it_is_where_samples_are_chosen_from_the_source(tmp_path, choice):
    source = csv(tmp_path, [0, 1, 7, 0, 1, 7])
    made = config(tmp_path, f"{{type: {choice}, source: {source}}}", "binary_cross_entropy")
    with pytest.raises(DataError, match=r"labels\.csv:4: edema is 7"):
        prepare([made], ("data.val=null",) if "k_fold" in choice else ())


def test_every_command_that_trains_or_checks_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = config(tmp_path, csv(tmp_path, [0, 1, -1, 0]), "binary_cross_entropy")
    for command in (
        lambda: run(made, tmp_path / "run"),
        lambda: dry_run([made]),
        lambda: examine([made]),
    ):
        with pytest.raises(DataError, match="edema is -1, binary_cross_entropy takes 0 to 1"):
            command()
    assert not (tmp_path / "run").exists()


def test_validation_data_of_its_own_is_looked_at_too(tmp_path):
    made = config(tmp_path, npz(tmp_path, [0, 1, 0, 1]), "binary_cross_entropy")
    val = f"data.val={npz(tmp_path, [0, 1, 7, 0], 'other.npz')}"
    with pytest.raises(DataError, match=r"other\.npz: y_train\[2, 1\] is 7"):
        prepare([made], (val,))


def test_eval_of_other_data_is_refused(tmp_path):
    made = config(tmp_path, npz(tmp_path, [0, 1, 0, 1]), "binary_cross_entropy")
    run(made, tmp_path / "run")
    npz(tmp_path, [0, 1, -2, 0], "other.npz")
    with Pool(1) as pool:
        trained = Trained(tmp_path / "run", pool)
        assert trained.evaluate("test")["loss"] > 0
        with pytest.raises(DataError, match=r"other\.npz: y_test\[2, 1\] is -2"):
            trained.evaluate(None, tmp_path / "other.npz")


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "smooth_l1"])
def test_losses_of_values_take_any(tmp_path, loss):
    prepare([config(tmp_path, npz(tmp_path, [0, -1, 255, 1.5]), loss)])
