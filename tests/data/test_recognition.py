"""What is no data of a known kind is told with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from cnntrain.core import registry
from cnntrain.core.errors import DataError
from cnntrain.data.recognition import recognize
from cnntrain.parts.datasets.base import Dataset
from tests.support.pictures import png


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(2, 2, 8, 0, bytes(4)))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["data.zip"], "holds 0 folders and 1 file, archives among them. Unpack these"),
        (["a.tar.gz", "readme.md"], "holds 0 folders and 2 files, archives among them. Unpack these"),
        (
            ["cat.0.PNG", "dog.1.jpg"],
            "none in a folder of its class. .* {type: image_folder, root: ..., label: PATTERN}",
        ),
        (
            ["yes_1.wav", "no_1.WAV"],
            "none in a folder of its class. .* {type: audio_folder, root: ..., label: PATTERN}",
        ),
        (["a.png", "b.png", "Thumbs.db"], "3 files, none in a folder of its class. .* {type: image_folder, "),
        (
            ["1.wav", "2.wav", "3.wav", "list.doc", "more/x.txt"],
            "none in a folder of its class. .* {type: audio_folder",
        ),
        (["a.png", "a_mask.png"], "pictures and masks together. Move the pictures to a folder images, the masks to"),
        (["pixels.gz"], "none of which is data of a known kind"),
        (["a.png", "notes.doc"], "none of which is data of a known kind"),
    ],
)
def test_a_folder_of_something_else_is_told_with_the_way_out(tmp_path: Path, names: list[str], said: str) -> None:
    put(tmp_path, *names)
    with pytest.raises(DataError, match=said):
        recognize(tmp_path)


@pytest.mark.parametrize("name", ["d.zip", "d.tar.xz", "d.tgz", "images.gz", "D.ZIP"])
def test_an_archive_is_to_be_unpacked(tmp_path: Path, name: str) -> None:
    put(tmp_path, name)
    with pytest.raises(DataError, match=f"{name} is an archive. Unpack it"):
        recognize(tmp_path / name)


def test_a_table_beside_one_folder_of_pictures_is_named(tmp_path: Path) -> None:
    put(tmp_path, "pictures/a.png", "pictures/b.png")
    (tmp_path / "list.csv").write_text("path,label\npictures/a.png,x\npictures/b.png,y\n")
    with pytest.raises(DataError, match=f"do you mean the table {tmp_path / 'list.csv'}"):
        recognize(tmp_path).load("train")
    assert recognize(tmp_path / "list.csv").load("train").classes == ("x", "y")


@pytest.mark.parametrize(("target", "meant"), [("x", "list.csv"), ("y", "first.tsv"), ("z", "broken.csv")])
def test_the_table_that_has_the_columns_is_meant_not_its_folder(tmp_path: Path, target: str, meant: str) -> None:
    put(tmp_path, "pictures/a.png", "pictures/b.png")
    (tmp_path / "broken.csv").write_text("pictures/a.png,1\n")
    (tmp_path / "first.tsv").write_text("path\ty\npictures/a.png\t1\n")
    (tmp_path / "list.csv").write_text("path, x\npictures/a.png,1\npictures/b.png,2\n")
    with pytest.raises(DataError, match=rf"to choose among: do you mean the table {tmp_path / meant}\? Name"):
        recognize(tmp_path, [target])
    with pytest.raises(DataError, match=r"to choose among\. Leave --target out"):
        recognize(tmp_path / "pictures", [target])


def test_a_source_of_another_package_that_fails_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Odd(Dataset):
        sure = 9

        @classmethod
        def at(cls, path: Path) -> Dataset | None:
            raise KeyError(path.name)

    registry.parts("datasets")
    Odd.name_in_config = "odd"
    monkeypatch.setitem(registry._parts["datasets"], "odd", Odd)
    put(tmp_path, "cat/a.png", "cat/b.png", "dog/c.png", "dog/d.png")
    with pytest.raises(KeyError):
        recognize(tmp_path)
    monkeypatch.setitem(registry._packages, Odd, "odds 1")
    with pytest.warns(
        UserWarning, match=r"^the dataset 'odd' of odds 1 failed at .*\.py:\d+ in at: KeyError: .*uninstall"
    ):
        assert recognize(tmp_path).name_in_config == "image_folder"
