"""Safetensors: what PyTorch calls things and how it lays them out, there and back."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cnntrain.config.load import load
from cnntrain.core.errors import CheckpointError, MissingExtraError
from cnntrain.core.extras import install
from cnntrain.data import build_data
from cnntrain.engine.pool import Pool
from cnntrain.network import build, torch_layout
from cnntrain.network.graph import weave
from cnntrain.training.session import Options, fit
from tests.core.test_torch_files import by_torch
from tests.support.experiments import write
from tests.support.networks import declared, engine_of, random_batch

SHAPE = (9, 8, 2)
HEADER = b'{"a":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]}} '
HALF = len(HEADER).to_bytes(8, "little") + HEADER + bytes(8)
CONV = {"kernel_size": 3, "padding": 1}


def layers():
    d = declared
    return [
        d("conv2d", filters=4, stride=2, bias=False, **CONV),
        d("batch_norm"),
        d("relu"),
        d("depthwise_conv2d", multiplier=2, **CONV),
        d("conv_transpose2d", filters=6, kernel_size=2, stride=2, groups=2),
        d("prelu"),
        d("flatten"),
        d("dropout"),
        d("batch_norm"),
        d("dense", units=5),
        d("tanh"),
        d("dense", units=3),
    ]


@pytest.fixture(scope="module")
def trained():
    """A graph, its parameters by name, images and their outputs."""
    with Pool(1) as pool:
        engine = engine_of(layers(), pool, shape=SHAPE, classes=3, shard=4)
        batch = random_batch(4, SHAPE, 3)
        for step in range(3):
            engine.step([batch], step)
        x = np.empty((4, *SHAPE), np.float32)
        batch.fill(0, 4, x)
        params = {name: view.copy() for name, view in engine.graph.layout.views(engine.params).items()}
        return engine.graph, params, x, engine.outputs(batch)


def test_pytorch_loads_it_into_the_equal_model_and_computes_the_same(trained, tmp_path):
    torch = pytest.importorskip("torch", reason="the proof needs PyTorch")
    pytest.importorskip("safetensors", reason="comes with the extra `safetensors`")
    import safetensors.torch
    from torch import nn

    graph, params, x, expected = trained
    (tmp_path / "a.safetensors").write_bytes(torch_layout.write(graph, params, {"step": 3}))
    model = nn.Sequential()
    for name, module in {
        "conv2d_1": nn.Conv2d(2, 4, 3, 2, 1, bias=False),
        "batch_norm_1": nn.BatchNorm2d(4),
        "relu_1": nn.ReLU(),
        "depthwise_conv2d_1": nn.Conv2d(4, 8, 3, padding=1, groups=4),
        "conv_transpose2d_1": nn.ConvTranspose2d(8, 6, 2, 2, groups=2),
        "prelu_1": nn.PReLU(),
        "flatten_1": nn.Flatten(),
        "dropout_1": nn.Dropout(),
        "batch_norm_2": nn.BatchNorm1d(10 * 8 * 6),
        "dense_1": nn.Linear(10 * 8 * 6, 5),
        "tanh_1": nn.Tanh(),
        "dense_2": nn.Linear(5, 3),
    }.items():
        model.add_module(name, module)
    model.load_state_dict(safetensors.torch.load_file(tmp_path / "a.safetensors"))
    with torch.no_grad():
        found = model.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
    assert np.abs(found - expected).max() <= 1e-6 * max(np.abs(expected).max(), 1)


def test_there_and_back_gives_the_same_bits(trained, tmp_path):
    pytest.importorskip("safetensors", reason="comes with the extra `safetensors`")
    graph, params, *_ = trained
    data = torch_layout.write(graph, params, {})
    assert data == torch_layout.write(graph, params, {}), "the same file each time"
    back = torch_layout.parameters(tmp_path / "a", data, graph)
    assert back.keys() == params.keys()
    for name, array in params.items():
        np.testing.assert_array_equal(back[name], array)


def test_features_of_a_flattened_image_are_in_pytorchs_order():
    graph = weave([declared("flatten"), declared("dense", units=1)], (2, 3, 2), 1)
    layout = torch_layout._Layout(graph)
    ours = np.arange(12.0).reshape(12, 1)
    theirs = layout.theirs("dense_1.weight", ours)
    assert theirs.tolist() == [[0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]]
    np.testing.assert_array_equal(layout.ours("dense_1.weight", theirs), ours)


def test_a_run_starts_from_what_another_was_exported_as(tmp_path):
    pytest.importorskip("safetensors", reason="comes with the extra `safetensors`")
    config = write(tmp_path)
    graph = build.network(load([config]), build_data.read_data(load([config])).description).graph
    rng = np.random.default_rng(0)
    params = {name: rng.random(entry.param.shape, np.float32) for name, entry in graph.layout.entries.items()}
    (tmp_path / "a.safetensors").write_bytes(torch_layout.write(graph, params, {}))
    sets = (f"model.init_from={{checkpoint: {tmp_path}/a.safetensors}}", "train.steps=1", "train.epochs=null",
            "schedule=constant", "optimizer.lr=0")  # fmt: skip
    result = fit([config], sets, Options(run_dir=tmp_path / "run", progress="none", quiet=True))
    with np.load(tmp_path / "run/checkpoints/last.npz", allow_pickle=False) as found:
        for name, array in params.items():
            if "running" not in name:
                np.testing.assert_array_equal(found[f"param/{name}"], array)
    assert result["state"] == "finished"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is not a safetensors file"),
        (b"nonsense" * 10, "is not a safetensors file"),
        (b"\x08\0\0\0\0\0\0\0{}      x", r"is damaged: .*\. Restore it from a copy"),
        (HALF[:-1], r"is damaged: .*\. Restore it from a copy"),
        (HALF[:20], r"is damaged: .*\. Restore it from a copy"),
        (HALF, r"is not a safetensors file that NumPy can hold: it has the type 'BF16'\. Write it again, in float32"),
        (by_torch("a"), r"was written by torch\.save: .*torch\.load\('.*/a'\), '.*/a\.safetensors'\)"),
    ],
)
def test_a_file_that_is_none_is_refused(trained, tmp_path, data, says):
    pytest.importorskip("safetensors", reason="comes with the extra `safetensors`")
    with pytest.raises(CheckpointError, match=says):
        torch_layout.parameters(tmp_path / "a", data, trained[0])


def test_without_the_package_it_says_what_to_install(trained, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(MissingExtraError, match=re.escape(install("safetensors"))):
        torch_layout.write(trained[0], trained[1], {})
