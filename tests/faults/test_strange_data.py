"""What is no plain file among the files of a data set, or has an odd name: named, or left out with a word; no hang.

Every source that reads files, every file of a small set of each, one after the other.
"""

from __future__ import annotations

import json
import os
import signal
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntrain.core import registry
from cnntrain.core.errors import DataError, StorageError, printable
from cnntrain.data.recognition import recognize
from cnntrain.parts.datasets.base import Dataset
from cnntrain.reading.reader import Reader
from tests.parts.datasets.test_boxed_pictures import FORMATS
from tests.support.campaign import Campaign
from tests.support.datasets import write_idx

KINDS = ("pipe", "endless", "nowhere", "folder", "circle", "empty", "nonsense", "forbidden")
NAMES = ("\x1b[31mred", "two\nlines", "sp ace", "cafe\u0301", "quote'\"$(x)", "-r", "\udce9")
SIGNS = (".DS_Store", "._a.jpg", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints/a.jpg", "__MACOSX/a.jpg")


def image(path: Path, shade: int = 90) -> None:
    """A picture file, all grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), (shade, 90, 90)).save(path)


def pictures(root: Path) -> dict[str, Any]:
    """A folder for each class."""
    for name in ("x/a", "x/b", "y/a", "y/b"):
        image(root / f"{name}.jpg")
    return {"root": str(root), "size": 8}


def table(root: Path) -> dict[str, Any]:
    """A table beside its pictures."""
    for name in "abc":
        image(root / f"{name}.jpg")
    (root / "t.csv").write_text("path,label\na.jpg,x\nb.jpg,y\nc.jpg,x\n")
    return {"path": str(root / "t.csv"), "size": 8}


def masks(root: Path) -> dict[str, Any]:
    """Pictures and masks, by name."""
    for name in "ab":
        image(root / f"images/{name}.png")
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(np.tile(np.uint8([0, 1]), (10, 6))).save(root / f"masks/{name}.png")
    return {"classes": 2, "pictures": str(root / "images"), "masks": str(root / "masks")}


def sounds(root: Path) -> dict[str, Any]:
    """A folder for each class."""
    for name in ("x/a", "x/b", "y/a"):
        path = root / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 4000, 0, "NONE", ""))
            file.writeframes(np.random.default_rng(0).integers(-9000, 9000, 2000, np.int16).tobytes())
    return {"root": str(root), "sample_rate": 4000, "duration": 0.5}


def clips(root: Path) -> dict[str, Any]:
    """A folder of frames for each clip of a class."""
    for name in ("x/one", "y/two"):
        for number in range(3):
            image(root / name / f"{number}.jpg", 40 * number)
    return {"root": str(root), "frames": 2, "size": 8}


def digits(root: Path) -> dict[str, Any]:
    """The files of MNIST."""
    return {"root": str(write_idx(root))}


def arrays(root: Path) -> dict[str, Any]:
    """One archive."""
    np.savez(root / "a.npz", x_train=np.zeros((4, 6, 6, 1), np.uint8), y_train=np.arange(4) % 2)
    return {"path": str(root / "a.npz")}


def rows(root: Path) -> dict[str, Any]:
    """A folder of arrays."""
    np.save(root / "x_train.npy", np.zeros((4, 6, 6, 1), np.uint8))
    np.save(root / "y_train.npy", np.arange(4) % 2)
    return {"path": str(root)}


MADE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "image_folder": pictures,
    "csv": table,
    "masks": masks,
    "audio_folder": sounds,
    "frames_folder": clips,
    "idx": digits,
    "npz": arrays,
    "npy": rows,
    **FORMATS,
}


NAMING = ("csv", "boxes_csv", "coco", "voc", "idx", "npz")  # sources that name each file they read


def spoil(path: Path, kind: str) -> None:
    """Put something else in place of a file."""
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind in ("empty", "nonsense"):
        path.write_bytes(b"" if kind == "empty" else bytes(range(256)) * 20)
    elif kind == "forbidden":
        path.write_bytes(b"x")
        path.chmod(0)
    else:
        path.symlink_to({"endless": "/dev/zero", "nowhere": "nowhere", "circle": path.name}[kind])


def asked(name: str, fields: dict[str, Any]) -> tuple[str, list[str]]:
    """What becomes of asking a source everything, and what it says; every text fit to be printed as one line."""
    told: list[str] = []
    reader = Reader(warn=told.append, say=told.append)
    try:
        source = registry.make("datasets", "npz" if name == "npy" else name, **fields)
        assert isinstance(source, Dataset)
        for split in source.splits():
            source.files(split), source.left_out(split), source.labelled_samples(split)
            source.load(split, reader)
            source.tell_of_special(split, reader)
        return "read", told
    except (DataError, StorageError) as error:
        return type(error).__name__, [*told, str(error)]
    except ValueError as error:  # of a key
        return "ValueError", [*told, str(error)]


@pytest.fixture(autouse=True)
def ends() -> Iterator[None]:
    """What hangs is ended, and fails."""
    signal.alarm(120)
    yield
    signal.alarm(0)


@pytest.mark.faults
@pytest.mark.parametrize("name", MADE)
def test_every_file_of_every_source(tmp_path: Path, campaign: Campaign, name: str) -> None:
    (sound := tmp_path / "sound").mkdir()
    MADE[name](sound)
    files = sorted(path.relative_to(sound) for path in sound.rglob("*") if path.is_file())
    outcomes: Counter[str] = Counter()
    for number, (file, kind) in enumerate((file, kind) for file in files for kind in KINDS):
        root = tmp_path / str(number)
        root.mkdir()
        fields = MADE[name](root)
        spoil(root / file, kind)
        outcome, told = asked(name, fields)
        outcomes[f"{kind} {outcome}"] += 1
        listed = name in FORMATS or name in ("csv", "masks", "idx", "npz", "npy")  # nothing is left out of these
        assert outcome != "read" or not listed or (name, kind) == ("yolo", "empty"), f"{file} as {kind}: {told}"
        if outcome == "DataError":
            assert str(root) in told[-1], f"{file} as {kind}: {told}"
            assert "nowhere" not in told[-1] or kind in ("nowhere", "circle"), f"{file} as {kind}: {told}"
        try:
            recognize(root if name not in ("npz", "csv", "boxes_csv") else Path(fields["path"]))
        except DataError as error:
            outcomes[f"recognized as {type(error).__name__}"] += 1
    campaign.tell(f"{name}: {json.dumps(outcomes)}")


@pytest.mark.faults
@pytest.mark.parametrize("name", MADE)
def test_a_pipe_among_the_files_is_left_out_with_a_word(tmp_path: Path, name: str) -> None:
    """Or refused by name; only what names each of its files sees nothing of it."""
    (tmp_path / "sound").mkdir()
    MADE[name](tmp_path / "sound")
    files = sorted(path.relative_to(tmp_path / "sound") for path in (tmp_path / "sound").rglob("*") if path.is_file())
    for number, file in enumerate(files):
        (root := tmp_path / str(number)).mkdir()
        fields = MADE[name](root)
        os.mkfifo((root / file).with_stem("pipe"))
        outcome, told = asked(name, fields)
        if outcome == "read" and file.suffix != ".yaml" and name not in NAMING:
            assert any("left out" in line for line in told), f"{file}: {told}"
        assert outcome == "read" or "pipe" in told[-1]


@pytest.mark.faults
@pytest.mark.parametrize("name", MADE)
def test_files_of_odd_names_and_of_systems(tmp_path: Path, campaign: Campaign, name: str) -> None:
    (tmp_path / "sound").mkdir()
    fields = MADE[name](tmp_path / "sound")
    assert asked(name, fields)[0] == "read"
    folders = sorted({path.parent.relative_to(tmp_path / "sound") for path in (tmp_path / "sound").rglob("*.*")})
    for number, (folder, sign) in enumerate((folder, sign) for folder in folders for sign in SIGNS):
        root = tmp_path / f"s{number}"
        root.mkdir()
        fields = MADE[name](root)
        odd = root / folder / sign
        odd.parent.mkdir(parents=True, exist_ok=True)
        odd.write_bytes(b"\x00\x05\x16\x07 not a picture")
        outcome, told = asked(name, fields)
        assert outcome == "read", f"{folder}/{sign}: {told}"
    outcomes: Counter[str] = Counter()
    for number, (folder, odd_name) in enumerate((folder, name) for folder in folders for name in NAMES):
        root = tmp_path / f"n{number}"
        root.mkdir()
        fields = MADE[name](root)
        (root / folder / f"{odd_name}.jpg").write_bytes(b"damaged")
        outcome, told = asked(name, fields)
        outcomes[outcome] += 1
        assert all("\x1b" not in printable(line) and "\n" not in printable(line) for line in told)
    campaign.tell(f"{name}: {json.dumps(outcomes)}")
