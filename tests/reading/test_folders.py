"""What the names of folders say: splits however they are spelt, one class for one name, and what is none of ours."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from cnntrain.reading.folders import files_below, listed, media, mistaken, split_meant, splits_within, subfolders

SPELT = {
    "train": "Train TRAIN Training training_set trainset TrainingData train_images images_train seg_train train2017 tr "
    "train-data TrainSet training-images trn Train_Data 01_train",
    "val": "Val VALID Validation valid_set validationset val2017 dev Dev devset seg_val eval evaluation "
    "validation_images ValidSet",
    "test": "Test TEST Testing test1 test_set testset TestData test-images seg_test tst holdout Test_Data",
}


@pytest.mark.parametrize(("split", "name"), [(split, name) for split, names in SPELT.items() for name in names.split()])
def test_a_split_is_known_however_it_is_spelt(split: str, name: str) -> None:
    found = split_meant(name)
    assert found is not None
    assert found[0] == split
    assert found[1] in ("", "seg")


@pytest.mark.parametrize("name", ["cat", "contest", "latest", "trainer", "strain", "valley", "0", "é", "device"])
def test_other_names_are_classes(name: str) -> None:
    assert split_meant(name) is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Train", "Test"], {"Train": "train", "Test": "test"}),
        (["Training", "Testing"], {"Training": "train", "Testing": "test"}),
        (["train", "Valid"], {"Valid": "val"}),
        (["train", "Test"], {"Test": "test"}),
        (["seg_pred", "seg_test", "seg_train"], {"seg_test": "test", "seg_train": "train"}),
        (["train2017", "val2017"], {"train2017": "train", "val2017": "val"}),
        (["cats_test", "cats_train", "dogs_test", "dogs_train"], {
            "cats_test": "test", "cats_train": "train", "dogs_test": "test", "dogs_train": "train"}),
        (["train", "val", "test"], {}),
        (["cat", "dog"], {}),
        (["Test", "control"], {}),  # one alone is a class as any other
        (["test_tube", "train_station"], {}),
        (["bus", "car", "Train"], {}),
    ],
)  # fmt: skip
def test_which_names_are_mistaken(names: list[str], expected: dict[str, str]) -> None:
    assert mistaken(names) == expected


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def test_what_systems_make_for_themselves_is_no_class_and_no_sample(tmp_path: Path) -> None:
    for name in ("cat/1.png", "__MACOSX/cat/._1.png", "@eaDir/1.png/thumb.png", "$RECYCLE.BIN/2.png", ".git/a.png"):
        touch(tmp_path / name)
    for name in ("cat/@eaDir/1.png/SYNOPHOTO_THUMB_M.png", "cat/thumbs/1.png", "cat/__MACOSX/1.png", "cat/more/2.png"):
        touch(tmp_path / name)
    for name in ("System Volume Information", "lost+found", "#recycle"):
        (tmp_path / name).mkdir()
    assert subfolders(tmp_path) == ["cat"]
    others: Counter[str] = Counter()
    found = [str(path.relative_to(tmp_path)) for path in files_below(tmp_path / "cat", frozenset([".png"]), others)]
    assert found == ["cat/1.png", "cat/more/2.png"]
    assert others == {"@eaDir/": 1, "thumbs/": 1, "__MACOSX/": 1}
    touch(tmp_path / "thumbs" / "up.png")  # as a class it is one
    assert subfolders(tmp_path) == ["cat", "thumbs"]


def test_files_of_other_names_are_counted(tmp_path: Path) -> None:
    for name in ("a.png", "b.HEIC", "c.heic", "d.mov", "e.txt", "f", ".hidden.heic", "in/g.avif"):
        touch(tmp_path / name)
    others: Counter[str] = Counter()
    assert len(list(files_below(tmp_path, frozenset([".png"]), others))) == 1
    assert others == {".heic": 2, ".mov": 1, ".txt": 1, "": 1, ".avif": 1}
    assert media(others) == {".heic": 2, ".mov": 1, ".avif": 1}
    assert listed(others) == "2 .heic, 1 without an ending, 1 .avif, 1 .mov, 1 .txt"


def test_splits_inside_of_a_class_are_found(tmp_path: Path) -> None:
    for name in ("cat/Train/1.png", "cat/test/1.png", "dog/day1/1.png", "dog/test/2.png"):
        touch(tmp_path / name)
    assert splits_within(tmp_path / "cat") == ["Train", "test"]
    assert splits_within(tmp_path / "dog") == []


def test_composed_and_decomposed_names_mean_the_same_split() -> None:
    assert mistaken([unicodedata.normalize("NFD", "Entraînement"), "Test"]) == {}
