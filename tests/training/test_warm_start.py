"""Warm starts: what is loaded, what is not and who says so, and that a run remembers where it came from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cnntrain.cli import main
from cnntrain.rundir import checkpoint

CONFIG = """\
seed: {seed}
data: {{source: {{type: synthetic, size: 6, classes: {classes}, samples: 24}}}}
model:
  layers:
    - {{type: conv2d, name: stem, filters: 4, kernel_size: 3}}
    - {{type: batch_norm, name: norm}}
    - {middle}
    - flatten
    - {{type: dense, name: head, units: auto}}
  {init_from}
train: {{epochs: 1, batch_size: 12}}
warnings: {{ignore: [no-validation]}}
"""


def config(folder: Path, init_from: str = "", seed: int = 1, classes: int = 3, middle: str = "relu") -> Path:
    path = folder / f"seed{seed}.yaml"
    wish = f"init_from: {{{init_from}}}" if init_from else ""
    path.write_text(CONFIG.format(seed=seed, classes=classes, middle=middle, init_from=wish))
    return path


def fit(path: Path, run: Path) -> int:
    return main(["fit", str(path), "-o", str(run), "--progress", "none"])


def params(run: Path, name: str) -> dict[str, np.ndarray]:
    arrays = checkpoint.read(run / "checkpoints" / name).arrays
    return {key: array for key, array in arrays.items() if key.startswith("param/")}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    assert fit(config(folder), folder / "run") == 0
    return folder / "run"


def first(path: Path, run: Path, monkeypatch) -> dict[str, np.ndarray]:
    """The parameters at step 0, kept by making the first step the last save."""
    kept = {}
    right = checkpoint.pack

    def pack(meta, arrays):
        if not kept:
            kept.update({name: array.copy() for name, array in arrays.items() if name.startswith("param/")})
        return right(meta, arrays)

    monkeypatch.setattr(checkpoint, "pack", pack)
    assert fit(path, run) == 0
    return kept


def test_training_starts_where_the_other_run_was_best(teacher, tmp_path, monkeypatch, capsys):
    start = first(config(tmp_path, f"checkpoint: {teacher}", seed=2), tmp_path / "run", monkeypatch)
    theirs = params(teacher, "best.npz")
    assert start.keys() == theirs.keys()
    assert all(np.array_equal(start[name], theirs[name]) for name in theirs)  # running statistics too
    said = capsys.readouterr().err
    assert f"init_from {teacher / 'checkpoints' / 'best.npz'}: 8 parameters loaded\n" in said
    assert "missing" not in said


def test_the_run_remembers_the_digest_of_what_it_loaded(teacher, tmp_path):
    assert fit(config(tmp_path), tmp_path / "other") == 0
    assert fit(config(tmp_path, seed=3), tmp_path / "third") == 0
    digests = []
    for number, source in enumerate([teacher, tmp_path / "other", tmp_path / "third"]):
        run = tmp_path / str(number)
        assert fit(config(tmp_path, f"checkpoint: {source}", seed=2), run) == 0
        kept = json.loads((run / "data.json").read_text())["init_from"]
        assert kept["checkpoint"] == str(source / "checkpoints" / "best.npz")
        assert len(kept["loaded"]) == 8
        digests.append(kept["sha256"])
    assert digests[0] == digests[1] != digests[2]  # the first two runs are the same, whatever they are called


def test_what_does_not_fit_is_named_and_nothing_is_started(teacher, tmp_path, capsys):
    middle = "{type: conv2d, name: extra, filters: 4, kernel_size: 1, bias: false}"
    run = tmp_path / "run"
    assert fit(config(tmp_path, f"checkpoint: {teacher}", classes=4, middle=middle), run) == 4
    said = capsys.readouterr().err
    assert "does not fit this network: 1 missing: extra.weight; 2 mismatched: head.weight (64x3, here 64x4), " in said
    assert "head.bias (3, here 4)" in said
    assert "Name them in model.init_from.ignore" in said
    assert not run.exists()


def test_what_the_network_has_not_is_unused(teacher, tmp_path, capsys):
    text = config(tmp_path, f"checkpoint: {teacher}").read_text().replace("    - {type: batch_norm, name: norm}\n", "")
    (tmp_path / "less.yaml").write_text(text)
    assert main(["check", str(tmp_path / "less.yaml")]) == 4
    assert "4 unused: norm.scale, norm.shift, norm.running_mean, norm.running_var." in capsys.readouterr().err


def test_not_strict_loads_the_rest_and_says_so(teacher, tmp_path, monkeypatch, capsys):
    path = config(tmp_path, f"checkpoint: {teacher}, strict: false", seed=2, classes=4)
    start = first(path, tmp_path / "run", monkeypatch)
    theirs = params(teacher, "best.npz")
    assert np.array_equal(start["param/stem.weight"], theirs["param/stem.weight"])
    assert start["param/head.weight"].shape == (64, 4)
    assert np.abs(start["param/head.weight"]).max() > 0
    said = capsys.readouterr().err
    assert "6 parameters loaded" in said
    assert "2 mismatched: head.weight (64x3, here 64x4), head.bias (3, here 4)" in said


@pytest.mark.parametrize("pattern", ["head", "hea*", "head.*"])
def test_ignored_layers_keep_their_first_values(teacher, tmp_path, monkeypatch, pattern):
    fresh = first(config(tmp_path, seed=2), tmp_path / "fresh", monkeypatch)
    monkeypatch.undo()
    start = first(
        config(tmp_path, f"checkpoint: {teacher}, ignore: ['{pattern}']", seed=2), tmp_path / "w", monkeypatch
    )
    assert np.array_equal(start["param/head.weight"], fresh["param/head.weight"])
    assert np.array_equal(start["param/stem.weight"], params(teacher, "best.npz")["param/stem.weight"])


def test_a_pattern_that_names_nothing_is_an_error_at_its_place(teacher, tmp_path, capsys):
    path = config(tmp_path, f"checkpoint: {teacher}, ignore: [haed]")
    assert main(["check", str(path)]) == 2
    said = capsys.readouterr().err
    assert f"{path}:10:" in said
    assert "'haed' names no parameter and no layer of the network or of the checkpoint; did you mean 'head'?" in said


def test_a_checkpoint_that_is_not_there(tmp_path, capsys):
    assert main(["check", str(config(tmp_path, "checkpoint: nowhere"))]) == 4
    assert "there is no checkpoint or run directory nowhere" in capsys.readouterr().err


def test_resuming_does_not_need_it_again(teacher, tmp_path):
    moved = tmp_path / "teacher.npz"
    moved.write_bytes((teacher / "checkpoints" / "best.npz").read_bytes())
    path, run, straight = config(tmp_path, f"checkpoint: {moved}", seed=2), tmp_path / "run", tmp_path / "straight"
    assert fit(path, run) == 0
    assert main(["fit", str(path), "-o", str(straight), "--progress", "none", "-s", "train.epochs=2"]) == 0
    moved.unlink()
    assert main(["fit", "-o", str(run), "--resume", "--progress", "none", "-s", "train.epochs=2"]) == 0
    one, two = params(run, "last.npz"), params(straight, "last.npz")
    assert all(np.array_equal(one[name], two[name]) for name in one)
