"""A part is found by kind and name; its folder is read when first asked for."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

import cnntrain
from cnntrain.core import registry
from cnntrain.core.registry import KINDS, Part


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_folder_whose_parts_know_it(kind: str) -> None:
    assert (Path(cnntrain.__file__).parent / "parts" / kind / "base.py").is_file()
    found = registry.parts(kind)
    assert found
    assert list(found) == sorted(found)
    for name, part in found.items():
        assert (part.kind, part.name_in_config) == (kind, name)
        assert registry.lookup(kind, name) is part


def test_every_part_says_what_it_is() -> None:
    silent = [
        f"{kind}/{name}"
        for kind in KINDS
        for name, part in registry.parts(kind).items()
        if not part.__doc__ or part.__doc__.startswith(f"{part.__name__}(")  # what @dataclass makes up
    ]
    assert silent == []


def test_unknown_names_come_with_the_nearest_or_all() -> None:
    with pytest.raises(KeyError) as caught:
        registry.lookup("layers", "Conv2D")
    assert caught.value.args[0] == "unknown layer 'Conv2D'; did you mean 'conv2d'?"
    assert registry.did_you_mean("weight-decay", ["lr", "weight_decay"]) == "; did you mean 'weight_decay'?"
    assert registry.did_you_mean("zzz", ["b", "a"]) == "; known: a, b"
    assert registry.did_you_mean("zzz", []) == ""


def test_of_very_many_names_the_first_are_told() -> None:
    names = [f"stage{number:03}.conv2d" for number in range(200)]
    told = "stage000.conv2d, stage001.conv2d, stage002.conv2d and 197 more"
    assert registry.did_you_mean("zzz", names) == f"; known: {told}"
    assert all(registry.did_you_mean("0", registry.parts(kind)).count(",") + 1 == len(registry.parts(kind))
               for kind in KINDS)  # fmt: skip


def test_make_fills_the_fields() -> None:
    assert registry.make("optimizers", "sgd", lr=0.5).lr == 0.5


def test_a_name_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._parts, "layers", {})

    def declare(module: str) -> type[Part]:
        @dataclass(frozen=True)
        class Twice(Part):
            kind: ClassVar[str] = "layers"

        Twice.__module__ = module
        return registry.register("twice")(Twice)

    first = declare("one")
    declare("one")  # a module read again replaces its own
    assert registry._parts["layers"]["twice"] is not first
    with pytest.raises(ValueError, match="layers 'twice' is registered twice: one, two"):
        declare("two")


def test_a_kind_is_imported_only_when_asked_for() -> None:
    code = (
        "import sys; from cnntrain.core import registry\n"
        "assert not [name for name in sys.modules if name.startswith('cnntrain.parts')]\n"
        "registry.parts('schedules')\n"
        "assert 'cnntrain.parts.schedules.base' in sys.modules\n"
        "assert 'cnntrain.parts.layers.base' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_config_imports_the_files_that_it_names_and_no_folder() -> None:
    code = (
        "import sys; from cnntrain.config.load import load\n"
        "load(['configs/quickstart.yaml'])\n"
        "found = {name.removeprefix('cnntrain.parts.') for name in sys.modules if name.startswith('cnntrain.parts.')}\n"
        "assert found >= {'layers.conv2d', 'layers.activations', 'datasets.idx', 'optimizers.sgd'}, found\n"
        "assert not found & {'layers.lrn', 'datasets.coco', 'transforms.mosaic', 'optimizers.muon'}, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(cnntrain.__file__).parent.parent)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_files_annotate_has_every_key(kind: str) -> None:
    keys = {field.name.rstrip("_") for part in registry.own(kind).values() for field in dataclasses.fields(part)}
    assert keys <= registry.written(kind)


def test_an_error_in_a_config_does_not_wait_for_what_trains(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("data: {source: idx}\nmodel: {layers: [flaten]}\ntrain: {epochs: 1}\n")
    code = (
        "import sys; from cnntrain.cli import main\n"
        "assert main(['fit', 'bad.yaml']) == 2\n"
        "assert not [name for name in sys.modules if name.startswith(('cnntrain.engine', 'cnntrain.training.s'))]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=tmp_path)


def test_threads_wait_for_the_one_that_looks_for_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def slowly(kind: str) -> None:
        time.sleep(0.1)
        looked.append(kind)

    monkeypatch.setattr(registry, "_extended", set[str]())
    monkeypatch.setattr(registry, "_extend", slowly)
    with ThreadPoolExecutor(3) as threads:
        found = threads.map(lambda _: (registry.parts("tasks"), [*looked])[1], range(3))
        assert [*found] == [["tasks"]] * 3
