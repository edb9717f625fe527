"""`cnntrain export`: the files, used as one would; what they compute is in tests/results/export."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from cnntrain.engine.pool import Pool
from cnntrain.trained.inference import Trained


def test_the_numpy_format_is_used_without_cnntrain(cnntrain, finished, desk):
    outcome = cnntrain("export", finished, "--format", "numpy", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    document = json.loads(outcome.out)
    assert document["files"] == ["full.py", "full.npz"]
    assert document["classes"] == ["circle", "square", "triangle"] or len(document["classes"]) == 3
    assert document["before"] == []
    with Pool(1) as pool:
        trained = Trained(finished, pool)
        pixels = np.random.default_rng(0).integers(0, 256, (5, *trained.network.image_shape), np.uint8)
        expected = trained.engine.outputs(trained._samples(pixels))
    np.save(desk / "x.npy", np.divide(pixels, 255, dtype=np.float32))
    program = """\
import sys
import numpy as np
import full
assert "cnntrain" not in sys.modules
np.save("y.npy", full.forward(np.load("x.npy")))
print(full.CLASSES)
"""
    done = subprocess.run([sys.executable, "-I", "-c", "import sys; sys.path.insert(0, '.')\n" + program],
                          capture_output=True, text=True, cwd=desk, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert eval(done.stdout) == document["classes"]
    found = np.load(desk / "y.npy")
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()
    text = (desk / "full.py").read_text()
    assert "import cnntrain" not in text
    assert max(map(len, text.splitlines())) < 240


def test_onnx_is_written_checked_and_compared(cnntrain, finished, desk):
    pytest.importorskip("onnx", reason="comes with the extra `onnx`")
    pytest.importorskip("onnxruntime", reason="comes with the extra `onnx`")
    document = json.loads(cnntrain("export", finished, "--format", "onnx", "--fold", "--json").out)
    assert document["error"] < 1e-5
    assert (desk / "full.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--format", "numpy", "--output", "a.txt"], 2, "files end with .py. Call it a.py"),
        (["--format", "numpy", "--output", "my-net.py"], 2, "Add --output my_net.py"),
        (["--format", "safetensors", "--fold"], 2, "--fold is for numpy and onnx"),
        ([], 2, "missing option '--format'"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is(cnntrain, finished, desk, arguments, code, says):
    outcome = cnntrain("export", finished, *arguments)
    assert outcome.code == code
    assert says in outcome.error
    assert not list(desk.iterdir())


def test_what_is_there_is_not_replaced_unless_asked(cnntrain, finished, desk):
    (desk / "full.npz").write_text("mine")
    outcome = cnntrain("export", finished, "--format", "numpy")
    assert outcome.code == 5
    assert outcome.error == "full.npz exists. Say --overwrite to replace it, or choose another --output"
    assert [path.name for path in desk.iterdir()] == ["full.npz"]
    assert cnntrain("export", finished, "--format", "numpy", "--overwrite").code == 0


def test_a_transform_that_is_left_to_the_user_is_named(cnntrain, config, desk):
    sets = ["-s", "data.eval_transforms=[{type: center_crop, size: 6}, {type: normalize, from: dataset}]",
            "-s", "data.train_transforms=[{type: center_crop, size: 6}]", "-s", "train.epochs=1"]  # fmt: skip
    assert cnntrain("fit", config, *sets, "-o", "run", "-q").code == 0
    outcome = cnntrain("export", "run", "--format", "numpy", "--output", "net.py")
    assert outcome.code == 0, outcome.err
    assert "before: center_crop, as in evaluation, is yours to do" in outcome.out
    assert 'Before: {"type": "center_crop", "size": 6}, as in evaluation.' in (desk / "net.py").read_text()


@pytest.mark.parametrize("kind", ["numpy", "onnx"])
def test_a_layer_with_an_operation_that_the_format_lacks_is_refused_and_nothing_is_written(
    cnntrain, finished, desk, monkeypatch, kind
):
    from cnntrain.parts.layers.dense import Dense

    if kind == "onnx":
        pytest.importorskip("onnx", reason="comes with the extra `onnx`")
    monkeypatch.setattr(Dense, "draw", lambda _self, d, _p, *xs: d.op("no_such_thing", xs[0]))
    outcome = cnntrain("export", finished, "--format", kind)
    assert (outcome.code, outcome.out) == (2, "")
    assert re.match(
        rf"cnntrain: error: dense_\d \(dense, .*\) cannot be exported as {kind}: the format has no operation "
        r"'no_such_thing'\. Choose another --format, or let .*\n",
        outcome.err,
    )
    assert list(desk.iterdir()) == []
