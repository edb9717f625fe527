"""NumPy archives: what is saved comes back, lies and bombs are refused before anything is allocated."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError, StorageError
from cnntrain.data.recognition import recognize
from cnntrain.reading import array_files
from cnntrain.reading.array_files import STORED
from cnntrain.reading.reader import Reader
from cnntrain.reading.stored import Stored
from tests.support.datasets import labels, pixels, refusal

SHAPES = [(6, 5), (6, 5, 1), (6, 5, 3)]


def content(**changes: Any) -> dict[str, Any]:
    arrays = {"x_train": pixels(20, 6, 5), "y_train": labels(20), "x_test": pixels(8, 6, 5), "y_test": labels(8)}
    arrays |= changes
    return {name: array for name, array in arrays.items() if array is not None}


def write(tmp_path: Path, save: Any = np.savez, **changes: Any) -> str:
    path = tmp_path / "data.npz"
    save(path, **content(**changes))
    return str(path)


def load(path: str, split: str = "train") -> Any:
    return registry.make("datasets", "npz", path=path).load(split)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("shape", SHAPES)
def test_round_trip(tmp_path: Path, save: Any, shape: tuple[int, ...]) -> None:
    path = write(tmp_path, save, x_train=pixels(20, *shape), x_test=pixels(8, *shape))
    source = registry.make("datasets", "npz", path=path)
    assert source.splits() == ("train", "test")
    assert source.describe() is None
    assert source.files("train") == (Path(path),)
    for split, n in (("train", 20), ("test", 8)):
        images = source.load(split)
        np.testing.assert_array_equal(images.pixels, pixels(n, *shape).reshape(n, 6, 5, -1))
        assert images.pixels.dtype == np.uint8
        assert (images.targets.dtype, images.targets.tolist()) == (np.int64, labels(n).tolist())
        assert images.classes == tuple("0123456789")


def test_validation_split_is_optional(tmp_path: Path) -> None:
    path = write(tmp_path, x_val=pixels(3, 6, 5), y_val=labels(3), x_test=None, y_test=None)
    assert registry.make("datasets", "npz", path=path).splits() == ("train", "val")
    assert len(load(path, "val")) == 3


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_floats_become_float32_as_they_are(tmp_path: Path, dtype: str, order: Any) -> None:
    values = np.random.default_rng(0).standard_normal((20, 6, 5, 3))
    path = write(tmp_path, x_train=np.asarray(values, dtype, order=order), x_test=None, y_test=None)
    images = load(path)
    np.testing.assert_array_equal(images.pixels, values.astype(np.float32))
    assert images.pixels.dtype == np.dtype(np.float32)
    assert images.pixels.flags.c_contiguous
    assert images.pixels.flags.writeable


@pytest.mark.parametrize("dtype", ["u1", "i1", "<i8", ">i4", "<u8"])
@pytest.mark.parametrize("shape", [(20,), (20, 1)])
def test_labels_of_any_integer_type_also_as_a_column(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    images = load(write(tmp_path, y_train=labels(20).astype(dtype).reshape(shape), x_test=None, y_test=None))
    assert images.targets.tolist() == labels(20).tolist()
    assert images.targets.dtype == np.dtype(np.int64)


def test_float_values_mean_regression(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((20, 2))
    images = load(write(tmp_path, y_train=values, x_test=None, y_test=None))
    np.testing.assert_array_equal(images.targets, values.astype(np.float32))
    assert images.targets.dtype == np.float32
    assert images.classes == ()


def spoiled(value: float) -> Array:
    values = np.zeros((20, 6, 5), np.float32)
    values[[3, 11], 2, 2] = value
    return values


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"y_train": None}, "has no array 'y_train', found x_train, x_test, y_test"),
    "no partner": ({"x_test": None}, "has no array 'x_test'"),
    "extra": ({"x_tset": pixels(2)}, "has an array 'x_tset', expected only x_train, y_train,"),
    "objects": ({"y_train": np.array([{}] * 20, object)}, "y_train holds object, expected plain numbers"),
    "texts": ({"y_train": np.array(["a"] * 20)}, "y_train holds <U1, expected plain numbers"),
    "booleans": ({"y_train": np.zeros(20, bool)}, "y_train holds bool, expected plain numbers"),
    "int32 images": ({"x_train": np.zeros((20, 6, 5), np.int32)}, "x_train holds int32, expected uint8, float32"),
    "half floats": ({"x_train": np.zeros((20, 6, 5), np.float16)}, "x_train holds float16, expected uint8"),
    "vectors": ({"x_train": np.zeros((20, 30), np.uint8)}, "has shape (20, 30), expected (n, height, width)"),
    "scalar": ({"x_train": np.uint8(1)}, "has shape (), expected (n, height, width)"),
    "no samples": ({"x_train": np.zeros((0, 6, 5), np.uint8)}, "has shape (0, 6, 5, 1), expected"),
    "channels first": ({"x_train": pixels(20, 3, 8, 8)}, "looks like channels first"),
    "count": ({"y_train": labels(19)}, "x_train has 20 samples, y_train 19: expected as many"),
    "nan": ({"x_train": spoiled(np.nan)}, "x_train: sample 3 holds NaN or an infinity (2 such)"),
    "infinity": ({"x_train": spoiled(-np.inf)}, "x_train: sample 3 holds NaN"),
    "beyond float32": ({"x_train": spoiled(0).astype(np.float64) + 1e300}, "sample 0 holds NaN or an infinity (20"),
    "negative label": ({"y_train": labels(20).astype(int) - 1}, "y_train: label -1 at index 0 (2 such)"),
    "huge label": ({"y_train": labels(20).astype(int) * 10**9}, "y_train: label 9,000,000,000 at index 9 would make"),
    "one class": ({"y_train": np.zeros(20, int)}, "y_train: 1 class found, expected 2 or more"),
    "float labels": ({"y_train": labels(20) * 1.0}, "float64 values of shape (20,), expected integers (n,)"),
    "one-hot": ({"y_train": np.eye(20, dtype=int)}, "integers of shape (20, 20), expected labels (n,)"),
    "nan target": ({"y_train": np.full((20, 2), np.nan)}, "y_train: sample 0 holds NaN"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(tmp_path: Path, fault: str) -> None:
    changes, message = FAULTS[fault]
    path = write(tmp_path, **changes)
    said = refusal("npz", path=path)
    assert message in said
    assert said.startswith(path)


TEST_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "label beyond training": ({"y_test": labels(8) + 5}, "y_test: label 10 at index 5 (3 such), expected 0 to 9"),
    "other size": ({"x_test": pixels(8, 5, 6)}, "images of x_test are 5x6x1, of x_train 6x5x1: expected the same"),
    "other pixels": ({"x_test": np.zeros((8, 6, 5))}, "x_test is float32, x_train uint8: expected the same range"),
    "other targets": ({"y_test": np.zeros((8, 2))}, "y_test is float32 of shape (8, 2), y_train uint8 of shape (20,)"),
}


@pytest.mark.parametrize("fault", TEST_FAULTS)
def test_splits_that_do_not_fit_together(tmp_path: Path, fault: str) -> None:
    changes, message = TEST_FAULTS[fault]
    assert message in refusal("npz", "test", path=write(tmp_path, **changes))


def test_split_that_is_not_there(tmp_path: Path) -> None:
    assert "has no split 'val', found train, test. Add x_val and y_val" in refusal("npz", "val", path=write(tmp_path))


def test_single_array_instead_of_an_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", pixels(2))
    said = refusal("npz", path=str(tmp_path / "x.npy"))
    assert "is a single array (.npy), expected an archive (.npz). Save it with np.savez" in said


def test_no_archive_at_all(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    assert f"{path} does not exist, expected a file" in refusal("npz", path=str(path))
    assert f"{tmp_path} has no array 'x_train', found none" in refusal("npz", path=str(tmp_path))
    for data in (b"", b"<html>"):
        path.write_bytes(data)
        assert "is damaged or cut short (File is not a zip file)" in refusal("npz", path=str(path))


def member(shape: tuple[int, ...], data: bytes, descr: str = "|u1") -> bytes:
    """A .npy whose header claims what it likes."""
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def archive(tmp_path: Path, members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> str:
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members:
            file.writestr(name, data)
    return str(path)


PLAIN = [("x_train.npy", member((2, 2, 2), bytes(8))), ("y_train.npy", member((2,), b"\0\1"))]


def test_the_handmade_archive_is_fine(tmp_path: Path) -> None:
    assert load(archive(tmp_path, PLAIN)).targets.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (member((2**20, 2**20, 2**20), bytes(8)), "declares shape (1048576, 1048576, 1048576) of uint8"),
        (member((2, 2, 1), bytes(8)), "4 bytes, found 8"),
        (member((2, 2, 4), bytes(8)), "16 bytes, found 8"),
        (member((2, -2, -2), bytes(8)), "declares shape (2, -2, -2)"),
        (member((2, 2, 2), bytes(8), "nonsense"), "is no NumPy array"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "is no NumPy array"),
        (b"\x93NUMPY\x09\x00" + bytes(20), "is no NumPy array"),
        (b"hello", "is no NumPy array"),
        (b"", "is no NumPy array"),
    ],
)
def test_headers_that_lie(tmp_path: Path, data: bytes, message: str) -> None:
    said = refusal("npz", path=archive(tmp_path, [("x_train.npy", data), PLAIN[1]]))
    assert "x_train" in said
    assert message in said


def test_bomb(tmp_path: Path) -> None:
    path = archive(
        tmp_path, [("x_train.npy", member((1, 5000, 5000), bytes(25_000_000))), PLAIN[1]], zipfile.ZIP_DEFLATED
    )
    data = bytearray(Path(path).read_bytes())
    entry = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, entry + 20, 1000)  # the directory's packed size: fewer bytes than could hold it
    Path(path).write_bytes(data)
    assert "25,000,000 bytes, found 1,032,000: it is damaged" in refusal("npz", path=path)


def test_two_members_of_one_name(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = archive(tmp_path, [*PLAIN, PLAIN[0]])
    assert "holds 'x_train' twice" in refusal("npz", path=path)


def test_unusual_packing(tmp_path: Path) -> None:
    assert "compressed in an unusual way" in refusal("npz", path=archive(tmp_path, PLAIN, zipfile.ZIP_BZIP2))


def test_flipped_bit_in_the_values(tmp_path: Path) -> None:
    path = Path(write(tmp_path))
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    assert "damaged or cut short (Bad CRC-32" in refusal("npz", path=str(path))


# Folders of arrays, and arrays that are stored


def save_folder(folder: Path, **arrays: Array) -> str:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return str(folder)


@pytest.mark.parametrize("stored", [1, STORED])
def test_a_folder_of_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: int) -> None:
    monkeypatch.setattr(array_files, "STORED", stored)
    path = save_folder(tmp_path, **content())
    (tmp_path / "README.txt").write_text("ignored")
    source = registry.make("datasets", "npz", path=path)
    assert source.splits() == ("train", "test")
    assert source.files("test") == (tmp_path / "x_test.npy", tmp_path / "y_test.npy")
    images = source.load("test")
    assert np.array_equal(images.pixels[:][..., 0], pixels(8, 6, 5))
    assert isinstance(images.pixels, Stored) == (stored == 1)
    assert images.targets.tolist() == labels(8).tolist()


def test_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    path = save_folder(tmp_path, **content())
    np.save(tmp_path / "x_trian.npy", pixels(2, 6, 5))
    assert "has an array 'x_trian', expected only x_train, y_train" in refusal("npz", path=path)
    (tmp_path / "x_trian.npy").unlink()
    cut = (tmp_path / "x_train.npy").read_bytes()[:-1]
    (tmp_path / "x_train.npy").write_bytes(cut)
    assert "x_train declares shape (20, 6, 5) of uint8, 600 bytes, found 599: it is damaged" in refusal(
        "npz", path=path
    )
    (tmp_path / "x_train.npy").write_bytes(member((2**40, 6, 5), b"1"))
    assert "30 bytes, found 1" in refusal("npz", path=path).replace(f"{30 * 2**40:,} bytes", "30 bytes")
    (tmp_path / "x_train.npy").unlink()
    assert f"{tmp_path} has no array 'x_train', found x_test, y_test, y_train" in refusal("npz", path=path)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_large_arrays_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: Any) -> None:
    monkeypatch.setattr(array_files, "STORED", 500)
    monkeypatch.setattr(array_files, "_BLOCK", 500)  # bytes whose checksums are taken at a time
    images = load(write(tmp_path, x_train=pixels(20, 6, 5).astype(dtype), x_test=None, y_test=None))
    assert isinstance(images.pixels, Stored)
    assert images.pixels.dtype == dtype
    assert np.array_equal(images.pixels[:][..., 0], pixels(20, 6, 5))


@pytest.mark.parametrize("kind", ["packed", "float64", "other byte order", "columns first", "small"])
def test_what_cannot_be_stored_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(array_files, "STORED", 10**6 if kind == "small" else 1)
    whole = pixels(20, 6, 5).astype(np.float32)
    changed = {"float64": whole.astype(np.float64), "other byte order": whole.astype(">f4")}.get(kind, whole)
    changed = np.asfortranarray(changed) if kind == "columns first" else changed
    save = np.savez_compressed if kind == "packed" else np.savez
    images = load(write(tmp_path, save, x_train=changed, x_test=None, y_test=None))
    assert not isinstance(images.pixels, Stored)
    assert np.array_equal(images.pixels[:][..., 0], whole)


def test_a_flipped_bit_in_a_stored_array_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_files, "STORED", 1)
    path = Path(write(tmp_path))
    data = bytearray(path.read_bytes())
    data[data.index(pixels(20, 6, 5).tobytes()) + 77] ^= 1
    path.write_bytes(data)
    assert "is damaged or cut short (Bad CRC-32" in refusal("npz", path=str(path))


@pytest.mark.parametrize("block", [1, 500, 2**22])
def test_nan_in_a_stored_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(array_files, "STORED", 1)
    monkeypatch.setattr("cnntrain.reading.stored._BLOCK", block)  # bytes that are looked at at a time
    wrong = pixels(20, 6, 5).astype(np.float32)
    wrong[7, 1, 1] = np.nan
    assert "sample 7 holds NaN or an infinity (1 such)" in refusal("npz", path=write(tmp_path, x_train=wrong))


@pytest.mark.parametrize("kind", ["archive", "folder"])
@pytest.mark.parametrize("harm", ["flipped", "cut"])
def test_an_array_that_is_harmed_while_it_is_used_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, harm: str
) -> None:
    """An error that names the file, where a mapping gives other pixels or ends the process."""
    monkeypatch.setattr(array_files, "STORED", 500)
    path = write(tmp_path) if kind == "archive" else save_folder(tmp_path, **content())
    images = load(path)
    file = Path(path) if kind == "archive" else tmp_path / "x_train.npy"
    place = file.read_bytes().index(pixels(20, 6, 5).tobytes()) + 30 * 7 + 5
    with file.open("r+b") as stream:
        if harm == "cut":
            stream.truncate(place)
        else:
            stream.seek(place)
            stream.write(bytes([pixels(20, 6, 5).tobytes()[30 * 7 + 5] ^ 8]))
    assert np.array_equal(images.pixels[:7], pixels(20, 6, 5)[:7, ..., None])
    with pytest.raises(StorageError, match=f"{file}.*Bring back the file as it was"):
        images.pixels[np.array([3, 7])]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 24, 40), True), ((1, 40, 101), True), ((4, 32, 32), True), ((3, 32, 32), True), ((1, 28, 28), True),
        ((13, 64, 64), True), ((2, 20, 30), True), ((3, 40, 24), True), ((1, 101, 101), True),
        ((8, 30, 40), None), ((200, 5, 5), None), ((16, 20, 24), None),
        ((28, 28, 1), False), ((32, 32, 3), False), ((24, 40, 3), False), ((9, 9, 103), False), ((64, 48, 10), False),
        ((1, 128, 9), False), ((40, 101, 1), False), ((3, 4, 4), False), ((5, 5, 5), False), ((64, 3, 3), False),
        ((3, 3, 512), False),
    ],
)  # fmt: skip
def test_channels_first_is_noticed_whatever_the_sides(tmp_path: Path, shape: tuple[int, ...], expected: bool) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x_train=np.zeros((6, *shape), np.uint8), y_train=np.arange(6) % 2)
    said: list[str] = []
    source = registry.make("datasets", "npz", path=str(path))
    if expected:
        with pytest.raises(DataError, match=r"looks like channels first.*Save x.transpose\(0, 2, 3, 1\)"):
            source.load("train")  # type: ignore[attr-defined]
        with np.load(path) as saved:  # what it advises
            np.savez(path, x_train=saved["x_train"].transpose(0, 2, 3, 1), y_train=saved["y_train"])
    assert len(source.load("train", Reader(warn=said.append))) == 6  # type: ignore[attr-defined]
    assert len(said) == (expected is None)


@pytest.mark.parametrize("shape", [(5, 4, 3, 6), (5, 4, 6), (5, 6, 4, 3)])
def test_samples_along_another_axis_are_found(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path, axis = tmp_path / "a.npz", shape.index(6)
    np.savez(path, x_train=np.zeros(shape, np.uint8), y_train=np.arange(6) % 2)
    assert f"Axis {axis} of the images is as long: save np.moveaxis(x, {axis}, 0)" in refusal("npz", path=str(path))
    np.savez(path, x_train=np.moveaxis(np.zeros(shape, np.uint8), axis, 0), y_train=np.arange(6) % 2)
    assert len(registry.make("datasets", "npz", path=str(path)).load("train")) == 6  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "names", [("train_images", "train_labels"), ("images_train", "labels_train"), ("X_train", "Y_train")]
)
@pytest.mark.parametrize("folder", [False, True])
def test_arrays_have_other_names_too(tmp_path: Path, names: tuple[str, str], folder: bool) -> None:
    """As MedMNIST's, whose labels are (n, 1)."""
    splits = ("train", "val", "test")
    arrays = {}
    for split in splits:
        arrays[names[0].replace("train", split)] = pixels(9, 6, 5)
        arrays[names[1].replace("train", split)] = labels(9, 3)[:, None]
    place = tmp_path if folder else tmp_path / "a.npz"
    if folder:
        for name, array in arrays.items():
            np.save(tmp_path / f"{name}.npy", array)
    else:
        np.savez(place, **arrays)  # type: ignore[arg-type]
    source: Any = recognize(place)
    assert (source.name_in_config, source.splits()) == ("npz", splits)
    assert [len(source.load(split)) for split in splits] == [9, 9, 9]
    assert source.load("val").targets.tolist() == labels(9, 3).tolist()
    assert all(path.exists() for split in splits for path in source.files(split))


def test_two_names_for_one_array_are_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, train_images=pixels(20, 6, 5))
    assert "holds 'x_train' twice (x_train and train_images mean the same)" in refusal("npz", path=path)
