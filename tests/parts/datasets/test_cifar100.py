"""CIFAR-100 files: two labels a record, channels go last, and what is not the binary version is told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.errors import DataError
from tests.support.datasets import labels, pixels, refusal


def records(n: int, seed: int = 0) -> bytes:
    planes = np.random.default_rng(seed).integers(0, 256, (n, 3072), np.uint8)
    return np.concatenate([labels(n, 20)[:, None], labels(n, 100)[:, None], planes], axis=1).tobytes()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "train.bin").write_bytes(records(120, 1))
    (tmp_path / "test.bin").write_bytes(records(30, 2))
    return tmp_path


def make(root: Path, **fields: Any) -> Any:
    return registry.make("datasets", "cifar100", root=str(root), **fields)


def test_round_trip(root: Path) -> None:
    source = make(root)
    assert source.splits() == ("train", "test")
    assert source.files("test") == (root / "test.bin",)
    train = source.load("train")
    assert (len(train), len(source.load("test"))) == (120, 30)
    assert train.pixels.dtype == np.uint8
    assert train.pixels.flags.c_contiguous
    raw = np.frombuffer(records(120, 1), np.uint8).reshape(120, 3074)
    for y, x, c in [(0, 0, 0), (3, 7, 1), (31, 31, 2), (31, 0, 0)]:
        np.testing.assert_array_equal(train.pixels[:, y, x, c], raw[:, 2 + 1024 * c + 32 * y + x])


def test_fine_labels_are_the_second_byte_and_coarse_the_first(root: Path) -> None:
    fine, coarse = make(root).load("train"), make(root, labels="coarse").load("train")
    assert fine.targets.tolist() == [*labels(120, 100)]
    assert coarse.targets.tolist() == [*labels(120, 20)]
    assert (len(fine.classes), fine.classes[0], fine.classes[54], fine.classes[99]) == (100, "apple", "orchid", "worm")
    assert list(fine.classes) == sorted(set(fine.classes))
    assert (len(coarse.classes), coarse.classes[0], coarse.classes[19]) == (20, "aquatic_mammals", "vehicles_2")


@pytest.mark.parametrize("kind", ["fine", "coarse"])
def test_knows_its_shape_and_classes_without_files(root: Path, kind: str) -> None:
    description = make(Path("nowhere"), labels=kind).describe()
    assert description.shape == (32, 32, 3) == make(root).load("test").shape
    assert description.classes == make(root, labels=kind).load("test").classes


@pytest.mark.parametrize("content", [b"", records(3)[:-1]])
def test_cut_short(root: Path, content: bytes) -> None:
    (root / "train.bin").write_bytes(content)
    said = refusal("cifar100", root=str(root))
    assert f"{root / 'train.bin'} has {len(content):,} bytes, expected a multiple of 3,074. It is cut short" in said


def test_cifar10_file(root: Path) -> None:
    (root / "test.bin").write_bytes(bytes(3073 * 2))
    assert "looks like CIFAR-10." in refusal("cifar100", "test", root=str(root))


@pytest.mark.parametrize(("column", "kind", "most"), [(0, "coarse", 19), (1, "fine", 99)])
def test_label_out_of_range(root: Path, column: int, kind: str, most: int) -> None:
    data = bytearray(records(5))
    data[3074 * 2 + column] = most + 1
    (root / "train.bin").write_bytes(data)
    said = refusal("cifar100", root=str(root))
    assert f"{kind} label {most + 1} in record 2, at byte {6148 + column:,} (1 such), expected 0 to {most}" in said


def test_pickle_under_a_binary_name(root: Path) -> None:
    (root / "test.bin").write_bytes(b"\x80\x02}q\x01." + bytes(3068))
    assert "is the Python (pickled) version, which is not read" in refusal("cifar100", "test", root=str(root))


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (["train", "meta"], "Python (pickled) version: use the binary version"),
        (["data_batch_1.bin"], "looks like CIFAR-10."),
        ([], "Set root to the unpacked folder cifar-100-binary"),
        (["cifar-100-binary/train.bin"], "Did you mean"),
    ],
)
def test_folders_of_something_else(tmp_path: Path, names: list[str], hint: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(pixels(1).tobytes())
    with pytest.raises(DataError, match="holds no CIFAR-100 files") as caught:
        make(tmp_path).splits()
    assert hint in str(caught.value)


def test_missing_file_and_split(root: Path) -> None:
    (root / "test.bin").unlink()
    assert make(root).splits() == ("train",)
    assert f"{root / 'test.bin'} does not exist" in refusal("cifar100", "test", root=str(root))
    assert "splits train and test, not 'val'" in refusal("cifar100", "val", root=str(root))
