"""CIFAR-10 files: channels go last, and what is not the binary version is told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.errors import DataError
from tests.support.datasets import labels, pixels, refusal

NAMES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")


def records(n: int, seed: int) -> bytes:
    planes = np.random.default_rng(seed).integers(0, 256, (n, 3072), np.uint8)
    return np.concatenate([labels(n)[:, None], planes], axis=1).tobytes()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(records(12, seed))
    return tmp_path


def make(root: Path) -> Any:
    return registry.make("datasets", "cifar10", root=str(root))


def test_round_trip(root: Path) -> None:
    source = make(root)
    assert source.splits() == ("train", "test")
    train, test = source.load("train"), source.load("test")
    assert (len(train), len(test)) == (60, 12)
    assert train.pixels.dtype == np.uint8
    assert train.pixels.flags.c_contiguous
    assert train.targets.tolist() == [*labels(12)] * 5
    raw = np.frombuffer(records(12, 1), np.uint8).reshape(12, 3073)
    for y, x, c in [(0, 0, 0), (3, 7, 1), (31, 31, 2), (31, 0, 0)]:
        np.testing.assert_array_equal(train.pixels[12:24, y, x, c], raw[:, 1 + 1024 * c + 32 * y + x])


def test_knows_its_shape_and_classes_without_files(root: Path) -> None:
    description = make(Path("nowhere")).describe()
    assert description.shape == (32, 32, 3) == make(root).load("test").shape
    assert description.classes == make(root).load("test").classes
    assert (len(description.classes), description.classes[0], description.classes[9]) == (10, "airplane", "truck")


def test_cut_short(root: Path) -> None:
    (root / NAMES[2]).write_bytes(records(3, 0)[:-1])
    said = refusal("cifar10", root=str(root))
    assert f"{root / NAMES[2]} has 9,218 bytes, expected a multiple of 3,073. It is cut short" in said


def test_empty(root: Path) -> None:
    (root / NAMES[0]).write_bytes(b"")
    assert "has 0 bytes, expected a multiple of 3,073" in refusal("cifar10", root=str(root))


def test_cifar100_file(root: Path) -> None:
    (root / NAMES[5]).write_bytes(bytes(3074 * 2))
    assert "looks like CIFAR-100" in refusal("cifar10", "test", root=str(root))


def test_label_out_of_range(root: Path) -> None:
    data = bytearray(records(5, 0))
    data[3073 * 2] = 10
    (root / NAMES[1]).write_bytes(data)
    said = refusal("cifar10", root=str(root))
    assert f"{root / NAMES[1]}: label 10 in record 2, at byte 6,146 (1 such), expected 0 to 9" in said


def test_pickle_under_a_binary_name(root: Path) -> None:
    (root / NAMES[5]).write_bytes(b"\x80\x02}q\x01." + bytes(3067))
    assert "is the Python (pickled) version, which is not read" in refusal("cifar10", "test", root=str(root))


def test_missing_batch(root: Path) -> None:
    (root / NAMES[3]).unlink()
    said = refusal("cifar10", root=str(root))
    assert f"{root / NAMES[3]} does not exist (1 of 5 missing)" in said


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (["data_batch_1", "batches.meta"], "Python (pickled) version: use the binary version"),
        (["train.bin", "test.bin"], "looks like CIFAR-100"),
        ([], "Set root to the unpacked folder cifar-10-batches-bin"),
        (["cifar-10-batches-bin/data_batch_1.bin"], "Did you mean"),
    ],
)
def test_folders_of_something_else(tmp_path: Path, names: list[str], hint: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(pixels(1).tobytes())
    with pytest.raises(DataError, match="holds no CIFAR-10 files") as caught:
        make(tmp_path).splits()
    assert hint in str(caught.value)


def test_archive_or_nothing_instead_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "cifar.tar.gz").write_bytes(b"\x1f\x8b")
    assert "is not a folder. Set root to the unpacked folder" in refusal("cifar10", root=str(tmp_path / "cifar.tar.gz"))
    assert "does not exist, expected a folder" in refusal("cifar10", root=str(tmp_path / "nowhere"))
    assert "splits train and test, not 'val'" in refusal("cifar10", "val", root=str(tmp_path))
