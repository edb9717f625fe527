"""What holds for every dataset that can be loaded without a file, and for the messages of all."""

from __future__ import annotations

import dataclasses
import errno
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import pytest

from cnntrain.checks.contracts import dataset as contract
from cnntrain.core import registry
from cnntrain.core.errors import DataError, StorageError
from cnntrain.parts.datasets.base import PLACES, Dataset
from cnntrain.reading.input_files import reading

SETTINGS = [
    pytest.param(registry.make("datasets", name, **fields), id=f"{name}-{index}")
    for name, cls in registry.parts("datasets").items()
    for index, fields in enumerate(cls.examples)
]
INNER = registry.make("datasets", "synthetic", samples=40)
SETTINGS += [
    pytest.param(registry.make("datasets", name, **fields), id=name)
    for name, fields in {
        "concat": {"sources": (INNER, INNER)},
        "subset": {"source": INNER, "fraction": 0.5},
        "k_fold": {"source": INNER, "folds": 3},
    }.items()
]
FILED = {  # data set -> the field that says where its files are
    name: field for name, cls in registry.parts("datasets").items() if (field := contract.place_field(cls))
}
NEEDED: dict[str, dict[str, Any]] = {"masks": {"classes": ("sky", "sea"), "masks": "."}}  # keys that have no default


def test_every_dataset_is_tried_here() -> None:
    tried = {setting.values[0].name_in_config for setting in SETTINGS} | {*FILED}
    advice = "call the field that says where its files are path, root or pictures, or give examples that need no file"
    assert tried == {*registry.parts("datasets")}, advice


@pytest.mark.parametrize("name", sorted(FILED))
def test_reads_the_files_of_another_of_its_kind(name: str) -> None:
    """As `eval --data` asks: with its own settings for all that is not where files lie."""
    kind: Any = registry.parts("datasets")[name]
    needed = NEEDED.get(name, {})
    own, other = (kind(**({FILED[name]: place} | needed)) for place in ("here", "there"))
    places = {field.name for field in dataclasses.fields(kind)} & {*PLACES} - {FILED[name], "table"}
    own = dataclasses.replace(own, **dict.fromkeys(places, "elsewhere"))
    assert dataclasses.replace(own, **other.whereabouts()) == other
    assert FILED[name] in other.whereabouts()


@pytest.mark.parametrize("source", SETTINGS)
def test_loads_what_it_describes(source: Dataset) -> None:
    contract.loads_what_it_describes(source)


@pytest.mark.parametrize("source", SETTINGS)
def test_loads_the_same_again(source: Dataset) -> None:
    contract.loads_the_same_again(source)


@pytest.mark.parametrize("name", FILED)
@pytest.mark.parametrize("place", ["no/such", "no\0such", "x" * 300])
def test_a_place_that_does_not_exist_is_shown_absolute(
    name: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = registry.make("datasets", name, **{FILED[name]: place}, **NEEDED.get(name, {}))
    for ask in (source.splits, lambda: source.load("train"), lambda: source.files("train")):
        with pytest.raises(DataError) as caught:
            ask()
        assert str(tmp_path / place) in str(caught.value), "the message does not say in full where it looked"


def _fail_as_zipfile_does() -> None:
    try:
        raise OSError(errno.EIO, "Input/output error")
    except OSError:
        raise BadZipFile("File is not a zip file")  # noqa: B904  (which is the point)


def test_a_failing_device_is_not_the_datas_fault(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="The device failed") as caught, reading(tmp_path):
        raise OSError(errno.EIO, "Input/output error")
    assert caught.value.exit_code == 5
    with pytest.raises(StorageError, match="The device failed"), reading(tmp_path):
        _fail_as_zipfile_does()
    with pytest.raises(DataError, match="Permission denied"), reading(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")
