"""Files named after samples: what two samples would share, or would be lost, is refused before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnntrain.core.errors import StorageError, UsageError
from cnntrain.results.named_after import NamedAfter


@pytest.fixture(autouse=True)
def _pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a/x.png", "b/x.png", "a/x.jpg", "a/x-mask.png", "a/y.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()


@pytest.mark.parametrize("names", [["a/x.png", "b/x.png"], ["a/x.png", "a/x.jpg"], ["a/x.png", "a/x-mask.png"]])
def test_two_samples_of_one_name_are_refused_before_the_folder_is_made(names: list[str]) -> None:
    with pytest.raises(
        UsageError, match=f"{names[0]} and {names[1]} would both be written to drawn/x(-mask)?.png. Ren"
    ):
        NamedAfter(Path("drawn"), names, [".png", "-mask.png"])
    assert not Path("drawn").exists()


def test_one_sample_that_is_named_twice_is_one(tmp_path: Path) -> None:
    folder = NamedAfter(Path("drawn"), ["a/x.png", "a/x.png"], [".png"])
    for data in (b"1", b"1"):
        folder.write("a/x.png", {".png": data})
    assert Path("drawn/x.png").read_bytes() == b"1"


def test_a_folder_is_made_for_its_first_file() -> None:
    folder = NamedAfter(Path("new/drawn"), ["a/x.png"], [".png"])
    assert not Path("new").exists()
    folder.write("a/x.png", {".png": b"1"})
    assert Path("new/drawn/x.png").read_bytes() == b"1"


def test_a_file_in_the_folder_s_place_is_told_of_before_any_work() -> None:
    with pytest.raises(StorageError, match=r"cannot create a/x.png"):
        NamedAfter(Path("a/x.png"), ["a/y.png"], [".png"])


def test_what_is_there_is_replaced_only_if_asked() -> None:
    NamedAfter(Path("drawn"), ["a/x.png"], [".png"]).write("a/x.png", {".png": b"1"})
    with pytest.raises(StorageError, match=r"drawn/x.png exists and b/x.png would overwrite it. Say --overwrite"):
        NamedAfter(Path("drawn"), ["a/y.png", "b/x.png"], [".png"])
    NamedAfter(Path("drawn"), ["b/x.png"], [".png"], overwrite=True).write("b/x.png", {".png": b"2"})
    assert Path("drawn/x.png").read_bytes() == b"2"


def test_no_sample_is_overwritten_even_if_asked() -> None:
    Path("c").symlink_to("a")
    for folder in ("a", "c"):
        with pytest.raises(UsageError, match=f"{folder}/x.png is one of the samples, and a/x.png would overwrite it"):
            NamedAfter(Path(folder), ["a/x.png"], [".png"], overwrite=True)


def test_rows_whose_names_are_found_later_are_held_to_the_same() -> None:
    folder = NamedAfter(Path("drawn"), ["a/x.png"], [".png"], overwrite=True)
    folder.write("a/r.npz:test[0]", {".png": b"1"})
    with pytest.raises(UsageError, match=r"a/r.npz:test\[0\] and b/r.npz:test\[0\] would both be written"):
        folder.write("b/r.npz:test[0]", {".png": b"2"})
