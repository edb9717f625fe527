"""What `check` has read, `fit` finds unchanged, whatever the source and however its path is written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from cnntrain.checks.survey import survey
from cnntrain.cli import main
from cnntrain.config.load import load
from cnntrain.core.errors import DataError
from cnntrain.data import manifest
from cnntrain.data.manifest import FileFacts, Manifest, normal, splits_read
from cnntrain.engine.pool import Pool
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.coco import Coco
from cnntrain.parts.datasets.csv import Csv
from cnntrain.parts.datasets.masks import Masks
from tests.support.combinations import _BASES
from tests.support.experiments import write
from tests.support.samples import make_samples

TEXT = """
data: {{source: {source}{val}}}
model: {{layers: [flatten, {{type: dense, units: auto}}]}}
optimizer: {{type: sgd, lr: 0.01}}
train: {{epochs: 1, batch_size: 4}}
"""
SOURCES = {
    "pictures": "{{type: image_folder, root: {}pictures, size: 4}}",
    "list": "{{type: csv, path: {}list.csv, size: 4}}",
    "lists": "{{type: csv, path: {}lists, size: 4}}",
    "npz": "{{type: npz, path: {}data.npz}}",
    "arrays": "{{type: npz, path: {}arrays}}",
    "frames": "{{type: k_fold, folds: 2, source: {{type: csv, path: {}list.csv, size: 4}}}}",
}
WAYS = {"plain": "", "dots": "deep/../", "link": "link/", "link and dots": "away/../", "absolute": None, "twice": ".//"}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The same data in every form, in a folder `d` to which links lead; `away/..` is `d` only by the link's target."""
    home = tmp_path / "d"
    (home / "deep").mkdir(parents=True)
    (home / "lists").mkdir()
    (home / "arrays").mkdir()
    os.symlink(".", home / "link")

    monkeypatch.chdir(home)
    os.symlink("deep", home / "away")
    rng = np.random.default_rng(0)
    rows = []
    for name in "ab":
        (home / "pictures" / name).mkdir(parents=True)
        for number in range(6):
            Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).save(home / f"pictures/{name}/{number}.png")
            rows.append(f"pictures/{name}/{number}.png,{name}")
    write(home, "\n".join(["path,label", *rows]) + "\n", "list.csv")
    for split in ("train", "val"):
        write(home / "lists", "\n".join(["path,label", *(f"../{row}" for row in rows)]) + "\n", f"{split}.csv")
    pixels, labels = rng.integers(0, 256, (12, 4, 4, 3), np.uint8), np.arange(12) % 2
    np.savez(home / "data.npz", x_train=pixels, y_train=labels)
    np.save(home / "arrays/x_train.npy", pixels)
    np.save(home / "arrays/y_train.npy", labels)
    return home


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A folder with samples of every form in `samples`."""
    folder = tmp_path_factory.mktemp("all")
    (folder / "samples").mkdir()
    make_samples(folder / "samples")
    return folder


def commands(place, source, way, capsys):
    """What `check`, `check` again and `fit` say of changed data."""
    before = f"{place}/" if way is None else way
    val = "" if source in ("lists", "frames") else ", val: 0.3"
    config = write(place, TEXT.format(source=SOURCES[source].format(before), val=val))
    for command in (["check"], ["check"], ["fit", "--run-dir", "run", "--overwrite", "--progress", "none"]):
        capsys.readouterr()
        assert main([*command[:1], str(config), *command[1:]]) == 0
        yield capsys.readouterr().err


HARDEST = "link and dots"  # for every source; the other ways for a folder of files and a folder of lists


@pytest.mark.parametrize(
    ("source", "way"),
    [
        *((source, HARDEST) for source in SOURCES),
        *((name, way) for name in ("pictures", "lists") for way in WAYS if way != HARDEST),
    ],
)
def test_nothing_has_changed(place, source, way, capsys):
    for said in commands(place, source, WAYS[way], capsys):
        assert "has changed" not in said


def test_a_check_by_one_path_is_known_by_another(place, capsys):
    *_, _said = commands(place, "list", "", capsys)
    (place / "list.csv").write_text((place / "list.csv").read_text().replace("b/0.png,b", "b/0.png,a"))
    config = write(place, TEXT.format(source=SOURCES["list"].format("link/"), val=", val: 0.3"))
    assert main(["fit", str(config), "--run-dir", "other", "--progress", "none"]) == 0
    assert f"1 changed, first: {place}/list.csv. Run it again" in capsys.readouterr().err


def test_one_file_has_one_path(place):
    ways = ["list.csv", "./list.csv", "deep/../list.csv", "link/list.csv", "link//link/list.csv", place / "list.csv"]
    assert set(normal(ways)) == {str(place / "list.csv")}
    assert normal(["away/..", "link/", "."]) == [str(place)] * 3


def test_a_file_that_vanishes_after_it_was_listed_is_named(place, monkeypatch):
    experiment = load([write(place, TEXT.format(source=SOURCES["list"].format(""), val=", val: 0.3"))]).experiment
    monkeypatch.setattr(Csv, "files", lambda _source, _split: [place / "list.csv", place / "gone.png"])
    with pytest.raises(DataError, match=r"cannot read .*/gone\.png"):
        manifest.of(experiment)


def test_a_digest_is_that_of_the_whole_file(place, monkeypatch):
    monkeypatch.setattr(manifest, "_PIECE", 100)
    data = (place / "data.npz").read_bytes()
    assert manifest.digest(place / "data.npz") == hashlib.sha256(data).hexdigest()
    assert len(data) > 1000


def test_the_list_is_json_as_ever():
    """Its digest names it on disk, in every run."""
    files = {"a": FileFacts(1, 2), 'q"\n\\é\udce9': FileFacts(0, 10**18, "ab" * 32)}
    expected = json.dumps({"format": 1, "files": files}, separators=(",", ":")) + "\n"
    assert Manifest(files).listed == expected.encode()
    assert Manifest({}).listed == b'{"format":1,"files":{}}\n'


@dataclass(frozen=True)
class Elsewhere(Dataset):
    """A source of another package, whose folder has a key of its own."""

    name_in_config: ClassVar[str] = "elsewhere"
    folder: str
    size: int = 4


@pytest.mark.parametrize(
    ("source", "other"),
    [
        (Masks(classes=2, pictures="d/p", masks="d/m"), Masks(classes=2, pictures="e/p", masks="e/m")),
        (Masks(classes=2, table="d/all.csv"), Masks(classes=2, table="e/all.csv")),
        (Coco("d"), Coco("d", images="e")),
        (Csv("d/all.csv"), Csv("e/all.csv")),
        (Elsewhere("d"), Elsewhere("e")),
    ],
)
def test_data_that_lies_elsewhere_has_another_place(place, source, other):
    """Or what `check` has read of one would be missing in the other."""
    experiment = load([write(place, TEXT.format(source=SOURCES["npz"].format(""), val=""))]).experiment

    def of(chosen):
        return manifest.place(replace(experiment, data=replace(experiment.data, source=chosen)))

    assert of(source) != of(other)
    (field,) = [key for key in ("root", "path", "table", "folder", "pictures") if getattr(source, key, None)][:1]
    assert of(source) == of(replace(source, **{field: os.path.abspath(getattr(source, field))}))
    if not isinstance(source, Elsewhere):
        assert of(source) == of(replace(source, size=(9, 9)))


def every_source():
    texts = [text for base in _BASES.values() for text in base.sources if "FOLDER" in text]
    return [pytest.param(text.replace("FOLDER", "samples"), id=text[7:60]) for text in texts]


@pytest.mark.parametrize("source", every_source())
@pytest.mark.parametrize("val", [False, True])
def test_what_is_listed_is_what_a_check_reads(samples, monkeypatch, source, val):
    """And no more: of a source that validates, not its other splits."""
    monkeypatch.chdir(samples)
    sets = [f"data.source={source}", *([f"data.val={source}"] if val else [])]
    loaded = load([write(samples, TEXT.format(source="{type: synthetic}", val=""))], sets)
    with Pool(1) as pool:
        read = survey(loaded, pool).manifest
    listed = manifest.of(loaded.experiment)
    assert {*listed.files} == {*read.files}
    assert manifest.changes(read, listed) == []


def test_what_no_command_reads_is_not_listed(samples, monkeypatch):
    monkeypatch.chdir(samples)
    sets = ["data.source={type: image_folder, root: samples/pictures}", "data.val={type: idx, root: samples/mnist}"]
    loaded = load([write(samples, TEXT.format(source="{type: synthetic}", val=""))], sets)
    folders = {os.path.relpath(os.path.dirname(path), samples) for path in manifest.of(loaded.experiment).files}
    names = {os.path.basename(path) for path in manifest.of(loaded.experiment).files}
    assert {folder for folder in folders if "/val/" in folder} == set()
    assert {name for name in names if "idx" in name} == {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"}


@pytest.mark.parametrize("kind", ["concat", "subset of concat"])
def test_of_joined_sources_that_validate_only_the_validation_samples_are_read(samples, tmp_path, monkeypatch, kind):
    """Not the training samples of those that have no others."""
    monkeypatch.chdir(samples)
    shutil.copytree(samples / "samples/pictures/train", tmp_path / "train")
    roots = "samples/pictures", tmp_path
    joined = f"{{type: concat, sources: [{', '.join(f'{{type: image_folder, root: {root}}}' for root in roots)}]}}"
    if kind != "concat":
        joined = f"{{type: subset, fraction: 0.5, source: {joined}}}"
    sets = ["data.source={type: idx, root: samples/mnist}", f"data.val={joined}"]
    loaded = load([write(samples, TEXT.format(source="{type: synthetic}", val=""))], sets)
    read = [(split, os.path.relpath(source.root), inner) for split, source, inner in splits_read(loaded.experiment)]
    assert [one for one in read if one[0] == "val"] == [("val", "samples/pictures", "val")]


@pytest.mark.parametrize("how", ["never there", "a link that leads nowhere"])
def test_a_missing_picture_is_left_out_where_unreadable_ones_are(place, monkeypatch, capsys, how):
    """By `fit` and `check` as by whatever reads it later."""
    monkeypatch.chdir(place)
    with (place / "list.csv").open("a") as file:
        file.write("pictures/gone.png,a\n")
    if how != "never there":
        os.symlink("nowhere", place / "pictures/gone.png")
    text = TEXT.format(source="{type: csv, path: list.csv, size: 4, on_bad_image: skip}", val="")
    config = str(write(place, text))
    for command in (["check", config], ["fit", config, "-o", "run", "-q"], ["eval", "run", "--split", "train"]):
        assert main(command) == 0
        said = capsys.readouterr()
        assert "gone.png" in said.err + said.out
    assert main(["fit", config, "-s", "data.source.on_bad_image=error", "-o", "other", "-q"]) == 3
    loaded = load([config])
    with Pool(1) as pool:
        assert {*survey(loaded, pool).manifest.files} == {*manifest.of(loaded.experiment).files}


def test_a_list_of_an_older_version_has_more_than_is_read(tmp_path):
    """Which is not missing where it still is there."""
    for name in ("read", "unread"):
        (tmp_path / name).write_text(name)
    older = Manifest({str(tmp_path / name): FileFacts(6, 0) for name in ("read", "unread", "gone")})
    now = Manifest({str(tmp_path / "read"): FileFacts(6, 0)})
    assert manifest.changes(older, now) == [f"1 missing, first: {tmp_path}/gone"]
