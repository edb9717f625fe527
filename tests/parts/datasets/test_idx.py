"""IDX files: what is written comes back, and every way to be wrong is named."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.errors import DataError
from cnntrain.data.recognition import recognize
from tests.support.datasets import SHARED, idx, labels, pixels, refusal, write_idx

MINI = Path(__file__).parents[3] / "data" / "mnist-mini"
COUNTS = {
    "train": [592, 671, 581, 608, 623, 514, 608, 651, 551, 601],
    "test": [85, 126, 116, 107, 110, 87, 87, 99, 89, 94],
}


def make(root: Path, **fields: Any) -> Any:
    return registry.make("datasets", "idx", root=str(root), **fields)


@pytest.mark.parametrize("zipped", [False, True])
def test_round_trip(tmp_path: Path, zipped: bool) -> None:
    write_idx(tmp_path, zipped=zipped)
    write_idx(tmp_path, "t10k", 7, zipped)
    source = make(tmp_path)
    assert source.splits() == ("train", "test")
    for split, n in (("train", 20), ("test", 7)):
        images = source.load(split)
        assert (images.shape, images.pixels.dtype, images.targets.dtype) == ((6, 5, 1), np.uint8, np.int64)
        np.testing.assert_array_equal(images.pixels[..., 0], pixels(n, 6, 5))
        np.testing.assert_array_equal(images.targets, labels(n))
        assert images.classes == tuple("0123456789")
        assert [path.parent for path in source.files(split)] == [tmp_path] * 2


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    write_idx(tmp_path, images=gzip.compress(idx(pixels(20, 6, 5))))
    np.testing.assert_array_equal(make(tmp_path).load("train").pixels[..., 0], pixels(20, 6, 5))


def test_describes_what_is_declared() -> None:
    description = make(Path("nowhere"), shape=(6, 5), classes=("a", "b")).describe()
    assert (description.shape, description.classes, description.target) == ((6, 5, 1), ("a", "b"), "classes")
    assert make(Path("nowhere"), shape=(6, 5, 1), classes=3).describe().classes == ("0", "1", "2")
    assert make(Path("nowhere"), shape=(6, 5)).describe() is None
    assert make(Path("nowhere"), classes=3).describe() is None


def test_declared_names_are_used(tmp_path: Path) -> None:
    names = tuple("abcdefghij")
    assert make(write_idx(tmp_path), classes=names).load("train").classes == names


def test_classes_are_those_of_training_also_for_test(tmp_path: Path) -> None:
    write_idx(tmp_path)
    write_idx(tmp_path, "t10k", 3)
    assert len(make(tmp_path).load("test").classes) == 10


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shape": (28,)}, "shape must be"),
        ({"shape": (28, 28, 3)}, "shape must be"),
        ({"classes": 1}, "classes must be"),
        ({"classes": ("a",)}, "2 or more different names"),
        ({"classes": ("a", "a")}, "2 or more different names"),
    ],
)
def test_settings_that_cannot_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(Path("nowhere"), **fields)


FAULTS = {
    "empty file": ({"images": b""}, "begins with 0x(nothing), expected 0x00000803"),
    "web page": ({"images": b"<!DOCTYPE html>"}, "begins with 0x3c21444f, expected 0x00000803"),
    "labels as images": ({"images": idx(labels(20))}, "This is a file of labels: are two files swapped?"),
    "images as labels": ({"labels": idx(pixels(20, 6, 5))}, "begins with 0x00000803, expected 0x00000801"),
    "four dimensions": ({"images": idx(pixels(20, 6, 5, 3))}, "begins with 0x00000804"),
    "other type": ({"images": idx(pixels(20, 6, 5), code=0x0D)}, "begins with 0x00000d03"),
    "cut in the header": ({"images": idx(pixels(20, 6, 5))[:9]}, "ends inside its header"),
    "nothing in it": ({"images": idx(pixels(20, 0, 5))}, "declares 20x0x5 values: there is nothing"),
    "cut short": ({"images": idx(pixels(20, 6, 5))[:-1]}, "declares 20x6x5 = 600 values, found 599"),
    "too long": ({"images": idx(pixels(20, 6, 5)) + b"x"}, "declares 20x6x5 = 600 values, found more"),
    "a lie": ({"images": b"\0\0\x08\x03" + b"\xff" * 12}, "values, more than its 16 bytes can hold"),
    "count": ({"labels": idx(labels(19))}, "has 20 images, "),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(tmp_path: Path, fault: str) -> None:
    files, message = FAULTS[fault]
    said = refusal("idx", root=str(write_idx(tmp_path, **files)))
    assert message in said
    assert str(tmp_path) in said


def damage_zip(tmp_path: Path, change: Any) -> str:
    write_idx(tmp_path, zipped=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(change(path.read_bytes()))
    return refusal("idx", root=str(tmp_path))


def test_gzip_cut_short(tmp_path: Path) -> None:
    assert "damaged or cut short" in damage_zip(tmp_path, lambda data: data[:-9])


def test_gzip_with_a_wrong_checksum(tmp_path: Path) -> None:
    said = damage_zip(tmp_path, lambda data: data[:-8] + bytes(4) + data[-4:])
    assert "train-images-idx3-ubyte.gz is damaged or cut short (CRC check failed" in said


def test_gzip_with_a_broken_stream(tmp_path: Path) -> None:
    assert "damaged or cut short" in damage_zip(tmp_path, lambda data: data[:10] + b"\xff" * 40 + data[50:])


@pytest.mark.parametrize("zipped", [False, True])
def test_cut_anywhere(tmp_path: Path, zipped: bool) -> None:
    path = write_idx(tmp_path, zipped=zipped) / f"train-labels-idx1-ubyte{'.gz' if zipped else ''}"
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        assert str(path) in refusal("idx", root=str(tmp_path))


def test_gzip_bomb(tmp_path: Path) -> None:
    header = b"\0\0\x08\x03" + (1 << 16).to_bytes(4, "big") * 3
    said = refusal("idx", root=str(write_idx(tmp_path, zipped=True, images=header)))
    assert "281,474,976,710,656 values, more than its" in said


def test_labels_outside_the_declared_classes(tmp_path: Path) -> None:
    said = refusal("idx", root=str(write_idx(tmp_path)), classes=8)
    assert "train-labels-idx1-ubyte: label 8 at index 8 (4 such), expected 0 to 7 for 8 classes" in said


def test_labels_of_test_unknown_to_training(tmp_path: Path) -> None:
    write_idx(tmp_path)
    write_idx(tmp_path, "t10k", labels=idx(labels(20, 12)))
    assert "t10k-labels-idx1-ubyte: label 10 at index 10" in refusal("idx", "test", root=str(tmp_path))


def test_one_class(tmp_path: Path) -> None:
    said = refusal("idx", root=str(write_idx(tmp_path, labels=idx(labels(20, 1)))))
    assert "1 class found, expected 2 or more" in said


def test_another_shape_than_declared(tmp_path: Path) -> None:
    said = refusal("idx", root=str(write_idx(tmp_path)), shape=(28, 28))
    assert "images are 6x5x1, expected 28x28x1 as 'shape' says" in said


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no IDX files"):
        make(tmp_path).splits()
    write_idx(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    assert make(tmp_path).splits() == ("train",)
    assert f"{tmp_path / 'train-labels-idx1-ubyte'} does not exist, with or without .gz" in refusal(
        "idx", root=str(tmp_path)
    )
    assert "splits train and test, not 'val'" in refusal("idx", "val", root=str(tmp_path))


def test_root_that_is_missing_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = refusal("idx", root="no/such")
    assert said.startswith(f"{tmp_path / 'no/such'} does not exist, expected a folder")
    assert "relative paths count from the working directory" in said
    (tmp_path / "file").write_text("x")
    assert f"{tmp_path / 'file'} is not a folder" in refusal("idx", root="file")


def test_the_digits_that_come_along() -> None:
    source = make(MINI, shape=(28, 28), classes=10)
    for split, counts in COUNTS.items():
        images = source.load(split)
        assert np.bincount(images.targets).tolist() == counts
        assert images.shape == source.describe().shape
        assert 0.12 < images.pixels.mean() / 255 < 0.14
    readme = (MINI.parent / "README.md").read_text()
    for counts in COUNTS.values():
        assert f"| {' | '.join(map(str, counts))} | {sum(counts):,} |" in readme


def test_full_mnist() -> None:
    root = SHARED / "mnist"
    if not root.is_dir():
        pytest.skip(f"the full MNIST is not at {root}")
    train, test = make(root).load("train"), make(root).load("test")
    assert np.bincount(train.targets).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert len(test) == 10_000
    mini = make(MINI).load("test")
    np.testing.assert_array_equal(test.pixels[:1000], mini.pixels)


SPELT = [
    "train-images.idx3-ubyte train-labels.idx1-ubyte t10k-images.idx3-ubyte t10k-labels.idx1-ubyte",
    "train_images_idx3_ubyte train_labels_idx1_ubyte t10k_images_idx3_ubyte t10k_labels_idx1_ubyte",
    "Train-Images-idx3-ubyte Train-Labels-idx1-ubyte T10K-images-idx3-ubyte T10K-labels-idx1-ubyte",
    "emnist-letters-train-images-idx3-ubyte emnist-letters-train-labels-idx1-ubyte "
    "emnist-letters-test-images-idx3-ubyte emnist-letters-test-labels-idx1-ubyte",
    "qmnist-train-images-idx3-ubyte qmnist-train-labels-idx1-ubyte qmnist-test-images-idx3-ubyte "
    "qmnist-test-labels-idx1-ubyte",
]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("names", SPELT)
def test_the_files_have_many_names(tmp_path: Path, names: str, zipped: bool) -> None:
    contents = [idx(pixels(20, 6, 5)), idx(labels(20)), idx(pixels(8, 6, 5)), idx(labels(8))]
    for name, content in zip(names.split(), contents, strict=True):
        (tmp_path / f"{name}{'.gz' * zipped}").write_bytes(gzip.compress(content) if zipped else content)
    source: Any = recognize(tmp_path)
    assert (source.name_in_config, source.splits()) == ("idx", ("train", "test"))
    assert (len(source.load("train")), len(source.load("test"))) == (20, 8)


def test_several_sets_in_one_folder_are_told_apart(tmp_path: Path) -> None:
    for count, name in ((4, "emnist-digits"), (6, "emnist-letters")):
        (tmp_path / f"{name}-train-images-idx3-ubyte").write_bytes(idx(pixels(count, 6, 5)))
        (tmp_path / f"{name}-train-labels-idx1-ubyte").write_bytes(idx(labels(count, 2)))
    said = refusal("idx", root=str(tmp_path))
    assert "holds 2 sets of IDX files: 'emnist-digits', 'emnist-letters'. Set prefix to one of them" in said
    source: Any = registry.make("datasets", "idx", root=str(tmp_path), prefix="emnist-letters")
    assert len(source.load("train")) == 6  # what it advises
    said = refusal("idx", root=str(tmp_path), prefix="emnist")
    assert "has no set 'emnist', found 'emnist-digits', 'emnist-letters'" in said
    write_idx(tmp_path)
    plain: Any = registry.make("datasets", "idx", root=str(tmp_path))
    assert len(plain.load("train")) == 20  # those without a name are meant where there are such
