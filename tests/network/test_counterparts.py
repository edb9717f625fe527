"""Weights of torchvision and timm under their own names: read, and written again, with the outputs they have there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.config.load import Loaded
from cnntrain.core.arrays import Array
from cnntrain.core.errors import CheckpointError, ConfigError
from cnntrain.engine.engine import Engine
from cnntrain.engine.pool import Pool
from cnntrain.network import counterparts, torch_layout
from cnntrain.network.build import Network
from cnntrain.training.warm_start import warm_start
from tests.support.counterparts import FILE, LARGE, PRESETS, SIDES, digest, network, pictures, shapes, tensor

GOLDEN = json.loads(FILE.read_text())
safetensors = pytest.importorskip("safetensors.numpy", reason="needs the extra safetensors")


class Given:
    """Pictures as a batch."""

    views = 1

    def __init__(self, x: Array) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def fill(self, start: int, stop: int, x: Array) -> tuple[Array, Array]:
        x[...] = self.x[start:stop]
        return np.zeros(stop - start, np.int64), np.ones(stop - start, np.float32)


def written(case: str, folder: Path) -> Path:
    """A file of such weights as that library would write it."""
    path = folder / "theirs.safetensors"
    made = {name: tensor(name, shape) for name, shape in shapes(case, SIDES[case]).items()}
    safetensors.save_file({**made, "bn1.num_batches_tracked": np.array(7)}, path)
    return path


def test_every_network_is_known_on_both_sides() -> None:
    assert GOLDEN.keys() == PRESETS.keys()


@pytest.mark.parametrize("case", [case for case in PRESETS if LARGE not in case or "vgg11" in case])
def test_all_tensors_are_called_and_shaped_as_there(case: str) -> None:
    assert digest(shapes(case, 32)) == GOLDEN[case]["tensors"]


def marked(cases: Iterable[str]) -> list[Any]:
    """Cases, of which the large ones are too slow for every run."""
    return [pytest.param(case, marks=pytest.mark.soak if LARGE in case else ()) for case in cases]


def answered(case: str, path: Path, side: int) -> tuple[Loaded, Network, Engine, Array]:
    """A network here that has begun with the weights of a file, and its outputs."""
    loaded, made = network(PRESETS[case], side, f", init_from: {{checkpoint: {path}}}")
    warm = warm_start(loaded, made)
    assert warm is not None
    with Pool(1) as pool:
        engine = Engine(made.graph, made.tally, pool)
        warm.load(made.graph.layout, engine.params)
        return loaded, made, engine, engine.outputs(Given(pictures(side)))


@pytest.mark.parametrize("case", marked(PRESETS))
def test_a_network_made_by_the_library_answers_as_here(case: str, tmp_path: Path) -> None:
    for module in ("torch", "torchvision", "timm"):
        pytest.importorskip(module)
    from tests.golden import make_counterparts

    theirs, side = make_counterparts.made(case), SIDES.get(case, 32)
    expected = make_counterparts.outputs(theirs, side).numpy()
    state = make_counterparts.state(theirs)
    safetensors.save_file({name: value.numpy() for name, value in state.items()}, tmp_path / "theirs.safetensors")
    outputs = answered(case, tmp_path / "theirs.safetensors", side)[-1]
    assert np.abs(outputs - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("case", marked(SIDES))
def test_outputs_are_theirs_and_export_goes_back_to_their_names(case: str, tmp_path: Path) -> None:
    path, side = written(case, tmp_path), SIDES[case]
    loaded, made, engine, outputs = answered(case, path, side)
    golden = np.array(GOLDEN[case]["outputs"])
    assert np.abs(outputs - golden).max() < 1e-4 * np.abs(golden).max()
    library = case.split()[0]
    views = made.graph.layout.views(engine.params)
    again = safetensors.load(torch_layout.write(made.graph, views, {}, counterparts.of(loaded)[library]))
    first = safetensors.load_file(path)
    assert again.keys() == first.keys() - {"bn1.num_batches_tracked"}
    assert all(np.array_equal(again[name], first[name]) for name in again)


def refused(start: str, preset: str = "squeezenet") -> str:
    with pytest.raises((ConfigError, CheckpointError)) as caught:
        warm_start(*network(preset, 64, start))
    return str(caught.value)


def test_what_does_not_fit(tmp_path: Path) -> None:
    path = written("torchvision squeezenet1_1", tmp_path)
    said = refused(f", init_from: {{checkpoint: {path}, names: timm}}")
    assert "x.yaml:3:" in said
    assert "timm has no counterpart of this network; torchvision has" in said
    assert "neither library has" in refused(f", init_from: {{checkpoint: {path}, names: timm}}", "lenet5")
    for names, preset in (("", "resnet18"), (", names: cnntrain", "squeezenet")):
        said = refused(f", init_from: {{checkpoint: {path}{names}, strict: false}}", preset)
        assert "none of its 52 parameters has the name and shape of one here: training would begin from scratch" in said


def test_a_file_is_recognized_by_names_and_sizes(monkeypatch) -> None:
    monkeypatch.setitem(PRESETS, "timm mobilenetv2_050", "{type: mobilenet_v2, width: 0.5}")
    for case in ("timm mobilenetv2_050", "timm mobilenetv1_100", "torchvision resnet50", "timm resnetv2_18"):
        tensors = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes(case, 32).items()}
        found = counterparts.recognized(tensors)
        assert found is not None
        assert case in (f"{found[1]} {found[2].name}", "timm resnet50")
        first = next(name for name, array in tensors.items() if array.ndim == 4)
        tensors[first] = np.repeat(tensors[first], 2, axis=0)  # as in a wide_resnet50_2, whose names are resnet50's
        assert counterparts.recognized(tensors) is None


def test_the_file_itself_says_whose_names_it_has() -> None:
    loaded: Any = network("mobilenet_v2", 32)[0]
    for case in ("torchvision mobilenet_v2", "timm mobilenetv2_100"):
        library = case.split()[0]
        tensors = shapes(case, 32)
        assert counterparts.named(loaded, None, tensors, ["conv2d_1.weight"]) == counterparts.of(loaded)[library]
    assert counterparts.named(loaded, None, {"conv2d_1.weight"}, ["conv2d_1.weight"]) is None
