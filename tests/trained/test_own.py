"""A run's own samples are measured, whatever lies where they lay: every source, every way to change it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntrain.core.errors import DataError
from cnntrain.data.identity import FILE, beside, identify
from cnntrain.engine.pool import Pool
from cnntrain.results import report
from cnntrain.results.average import merge
from cnntrain.rundir.checkpoint import read, save
from cnntrain.trained.inference import Trained
from tests.support.experiments import run, write

MODEL = "model: {layers: [flatten, {type: dense, units: auto}]}\noptimizer: {type: sgd, lr: 0.01}\n"
TRAIN = "train: {epochs: 1, batch_size: 8}\n"
FOLDER = "{type: image_folder, root: d, size: 4}"
SOURCES = {
    "image_folder": (FOLDER, 0.3),
    "csv": ("{type: csv, path: list.csv, size: 4}", 0.3),
    "npz": ("{type: npz, path: data.npz}", 0.3),
    "k_fold": (f"{{type: k_fold, source: {FOLDER}, folds: 3}}", None),
    "subset": (f"{{type: subset, source: {FOLDER}, per_class: 8}}", 0.3),
    "concat": (f"{{type: concat, sources: [{FOLDER}, {{type: image_folder, root: v, size: 4}}]}}", 0.3),
    "val of its own": (FOLDER, "{type: image_folder, root: v, size: 4}"),
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Noise in two classes, as pictures, as a list of them, and as arrays."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder in ("d", "v"):
        for name in "ab":
            (tmp_path / folder / name).mkdir(parents=True)
            for number in range(12):
                Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).save(f"{folder}/{name}/{number:02}.png")
    listed()
    np.savez("data.npz", x_train=rng.integers(0, 256, (24, 4, 4, 3), np.uint8), y_train=np.arange(24) % 2)
    return tmp_path


def listed():
    names = sorted(f"{path.parent.name}/{path.name}" for path in Path("d").glob("*/*.png"))
    rows = [f"d/{name},{name[0]}" for name in names]
    write(Path(), "\n".join(["path,label", *rows]) + "\n", "list.csv")


def trained_on(place, source, val):
    text = f"data: {{source: {source}, val: {json.dumps(val) if val is None or isinstance(val, float) else val}}}\n"
    run(write(place, text + MODEL + TRAIN), place / "run")


def add(place):
    """A sample before all others, in every form."""
    new = np.full((4, 4, 3), 7, np.uint8)
    for folder in ("d", "v"):
        Image.fromarray(new).save(f"{folder}/a/0.png")
    listed()
    with np.load("data.npz") as held:
        arrays = dict(held)
    pixels, labels = np.concatenate([new[None], arrays["x_train"]]), np.r_[1, arrays["y_train"]]
    np.savez("data.npz", x_train=pixels, y_train=labels)


def rename(place):
    """The first of a class becomes its last, in every form."""
    for folder in ("d", "v"):
        shutil.move(f"{folder}/a/00.png", f"{folder}/a/zz.png")
    listed()
    with np.load("data.npz") as held:
        np.savez("data.npz", **{name: np.roll(array, 5, axis=0) for name, array in held.items()})


def remove(place):
    """All but a few, in every form."""
    for folder in ("d", "v"):
        for number in range(2, 12):
            (place / folder / "a" / f"{number:02}.png").unlink()
    listed()
    with np.load("data.npz") as held:
        np.savez("data.npz", **{name: array[:8] for name, array in held.items()})


def add_class(place, folders=("d", "v")):
    """A class that the network does not know, between the others and after them, in every form."""
    rng = np.random.default_rng(1)
    for folder in folders:
        for name in ("aa", "c"):
            (place / folder / name).mkdir()
            for number in range(12):
                Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).save(f"{folder}/{name}/{number:02}.png")
    listed()
    with np.load("data.npz") as held:
        pixels = np.concatenate([rng.integers(0, 256, (6, 4, 4, 3), np.uint8), held["x_train"]])
        labels = np.r_[np.arange(6) % 2 + 2, held["y_train"]]
    np.savez("data.npz", x_train=pixels, y_train=labels)


def add_class_to_training(place):
    """The same, where a source of its own that validates lacks it."""
    add_class(place, ("d",))


def measured(split="val"):
    """The identities of what a command would measure, in order of their digests."""
    with Pool(1) as pool:
        images, indices = Trained(Path("run"), pool).samples(split)
    return sorted(identify(images, indices).pixels.tolist())


@pytest.mark.parametrize("change", [add, rename, add_class, add_class_to_training])
@pytest.mark.parametrize("source", SOURCES)
def test_the_samples_that_validated_are_found_again(place, source, change, capsys):
    if source == "concat" and change is add_class_to_training:
        pytest.skip("its sources must have the same classes, and say so")
    trained_on(place, *SOURCES[source])
    known = beside(place / "run/checkpoints/last.npz")
    assert measured() == sorted(known["val"].pixels.tolist())
    assert measured("train") == sorted(known["train"].pixels.tolist())
    assert "warning" not in capsys.readouterr().err
    change(place)
    assert measured() == sorted(known["val"].pixels.tolist())
    assert not set(measured()) & set(known["train"].pixels.tolist())
    assert measured("train") == sorted(known["train"].pixels.tolist())


@pytest.mark.parametrize("source", SOURCES)
def test_samples_that_are_gone_are_counted_and_nothing_is_measured(place, source):
    trained_on(place, *SOURCES[source])
    remove(place)
    with pytest.raises(DataError, match=r"its \d+ validation samples are gone or altered|expected 8 or more"):
        measured()
    warnings = report.write([place / "run"])["warnings"]
    assert any("is not judged" in line for line in warnings)


@pytest.mark.parametrize("source", ["image_folder", "csv", "npz", "val of its own"])
def test_the_figures_are_those_of_before_a_class_was_added(place, source):
    trained_on(place, *SOURCES[source])
    before = [evaluated("val"), evaluated("train")]
    add_class(place)
    assert [evaluated("val"), evaluated("train")] == before


def evaluated(split):
    with Pool(1) as pool:
        found = Trained(Path("run"), pool).evaluate(split)
    return {key: pytest.approx(value, rel=1e-6) if isinstance(value, float) else value for key, value in found.items()}


def test_samples_of_an_unknown_class_that_are_not_the_runs_are_refused_with_advice(place):
    trained_on(place, *SOURCES["image_folder"])
    add_class(place)
    with Pool(1) as pool, pytest.raises(DataError, match="Rename them as in training, or leave them out"):
        Trained(Path("run"), pool).evaluate(None, place / "v")


def test_a_sample_of_another_class_is_another_sample(place):
    trained_on(place, *SOURCES["csv"])
    text = (place / "list.csv").read_text()
    (place / "list.csv").write_text(text.replace(",a", ",c").replace(",b", ",a").replace(",c", ",b"))
    with pytest.raises(DataError, match="7 of its 7 validation samples are gone or altered"):
        measured()


def test_the_order_of_measuring_is_that_of_training_so_the_bits_are_the_same(place):
    trained_on(place, *SOURCES["image_folder"])
    with Pool(1) as pool:
        before = Trained(place / "run", pool).evaluate("val")
        add(place)
        assert Trained(place / "run", pool).evaluate("val") == before


@pytest.mark.parametrize("lost", [FILE, "digests"])
def test_a_checkpoint_that_knows_less_refuses_what_it_cannot_tell(place, lost):
    trained_on(place, *SOURCES["image_folder"])
    if lost == FILE:
        (place / "run" / FILE).unlink()
    else:  # as before samples were recorded
        path = place / "run/checkpoints/best.npz"
        checkpoint = read(path)
        data = {key: value for key, value in checkpoint.meta["data"].items() if key not in ("train", "val")}
        save(path, checkpoint.meta | {"data": data}, checkpoint.arrays)
    assert len(measured()) == 7
    add(place)
    with pytest.raises(DataError, match="samples differ"):
        measured()


def test_the_average_of_runs_with_other_splits_has_none(place):
    trained_on(place, *SOURCES["image_folder"])
    run(place / "full.yaml", place / "other", ("seed=1",))
    merge([place / "run", place / "other"], place / "mean.npz")
    with Pool(1) as pool, pytest.raises(DataError, match="trained on different samples"):
        Trained(place / "mean.npz", pool).evaluate("val")
    merge([place / "run/checkpoints/best.npz", place / "run/checkpoints/last.npz"], place / "same.npz")
    with Pool(1) as pool:
        assert Trained(place / "same.npz", pool).evaluate("val")["samples"] == 7


def test_a_resume_notices_every_changed_sample_and_tells_of_those_that_were_trained_on(place, capsys):
    trained_on(place, *SOURCES["image_folder"])
    rename(place)
    with pytest.raises(DataError, match="--allow-data-change"):
        run(None, place / "run", ("train.epochs=2",), resume=True)
    capsys.readouterr()
    run(None, place / "run", ("train.epochs=2",), resume=True, allow_data_change=True)
    assert "of 7 validation samples were trained on before the data changed" in capsys.readouterr().err
    assert len(measured()) == 7  # those of now
