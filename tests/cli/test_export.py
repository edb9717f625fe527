"""`cnntrain export`: the files, used as one would; what they compute is in tests/results/export."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from cnntrain.engine.pool import Pool
from cnntrain.results.export.files import export
from cnntrain.trained.inference import Trained
from tests.support.experiments import CLIPS, run, write


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
    runtime = pytest.importorskip("onnxruntime", reason="comes with the extra `onnx`")
    document = json.loads(cnntrain("export", finished, "--format", "onnx", "--fold", "--json").out)
    assert document["error"] < 1e-5
    session = runtime.InferenceSession((desk / "full.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    for said, theirs in ((document["input"], session.get_inputs()), (document["output"], session.get_outputs())):
        assert (said["name"], said["shape"]) == (theirs[0].name, theirs[0].shape)
        assert said["dtype"] == "float32"
        assert theirs[0].type == "tensor(float)"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--format", "numpy", "--output", "a.txt"], 2, "files end with .py. Call it a.py"),
        (["--format", "numpy", "--output", "my-net.py"], 2, "Add --output my_net.py"),
        (["--format", "numpy", "--output", "3d-net.py"], 2, "Add --output _3d_net.py"),
        (["--format", "numpy", "--output", "a/x\u00b2.py"], 2, "not a valid module name. Add --output a/x_.py"),
        (["--format", "numpy", "--output", "class.py"], 2, "is a keyword of Python. Add --output class_net.py"),
        (["--format", "numpy", "--output", "math.py"], 2, "in place of the module math, which others need. Add"),
        (["--format", "numpy", "--output", "PIL.py"], 2, "Add --output PIL_net.py"),
        (["--format", "numpy", "--output", "numpy.py"], 2, "Add --output numpy_net.py"),
        (["--format", "safetensors", "--fold"], 2, "--fold is for page, numpy and onnx"),
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


def test_a_checkpoint_is_not_replaced_by_the_weights_of_its_own_export(cnntrain, finished, desk):
    shutil.copytree(finished, desk / "run")
    before = (desk / "run/checkpoints/best.npz").read_bytes()
    for checkpoint in ("run", "run/checkpoints/last.npz"):
        outcome = cnntrain(
            "export", checkpoint, "--format", "numpy", "--output", "run/checkpoints/best.py", "--overwrite"
        )
        assert outcome.code == 5
        assert outcome.error.startswith("run/checkpoints/best.npz ")
        assert "Name another file" in outcome.error or "name another file" in outcome.error
    assert (desk / "run/checkpoints/best.npz").read_bytes() == before
    assert not (desk / "run/checkpoints/best.py").exists()


def test_a_transform_that_is_left_to_the_user_is_named(cnntrain, config, desk):
    sets = ["-s", "data.eval_transforms=[spatial_views, {type: normalize, from: dataset}]",
            "-s", "data.train_transforms=[]", "-s", "train.epochs=1"]  # fmt: skip
    assert cnntrain("fit", config, *sets, "-o", "run", "-q").code == 0
    outcome = cnntrain("export", "run", "--format", "numpy", "--output", "net.py")
    assert outcome.code == 0, outcome.err
    assert "before: spatial_views, as in evaluation, is left to you" in outcome.out
    assert "after: the mean of the outputs over the 2 views of each sample comes first" in outcome.out
    text = (desk / "net.py").read_text()
    assert 'Before: {"type": "spatial_views", "mirror": true, "shift": 0}, as in evaluation.' in text
    assert "After: the mean of the outputs over the 2 views of each sample comes first." in text


@pytest.mark.parametrize(
    "before",
    [
        "[zca_whiten]",
        "[{type: center_crop, size: 6}, patch_whiten, {type: normalize, from: dataset}]",
        "[{type: resize, size: [9, 10]}, {type: normalize, from: per_image}, {type: pad, padding: 1, mode: reflect}]",
    ],
)
def test_what_evaluation_does_first_is_in_the_file(cnntrain, config, desk, before):
    """With what it has measured: nobody else has the axes of a whitening."""
    sets = [f"data.{name}_transforms={before}" for name in ("train", "eval")]
    assert cnntrain("fit", config, *(word for one in sets for word in ("-s", one)), "-s", "train.epochs=1",
                    "-o", "run", "-q").code == 0  # fmt: skip
    with Pool(1) as pool:
        trained = Trained(Path("run"), pool)
        pixels = np.random.default_rng(0).integers(0, 256, (5, *trained.network.image_shape), np.uint8)
        expected = trained.outputs(pixels)
        found = export(trained, "numpy", Path("net.py"))
        assert found["before"] == []
        assert found["input"]["shape"] == ["n", *trained.network.image_shape]
        outputs = _imported(desk / "net.py").forward(np.divide(pixels, 255, dtype=np.float32))
        np.testing.assert_allclose(outputs, expected, atol=1e-5 * np.abs(expected).max())
        if importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime"):
            assert export(trained, "onnx", Path("net.onnx"))["error"] < 1e-5


def _imported(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_outputs_that_are_all_0_are_compared_with_onnx_runtimes(cnntrain, config, desk):
    pytest.importorskip("onnx", reason="comes with the extra `onnx`")
    pytest.importorskip("onnxruntime", reason="comes with the extra `onnx`")
    layers = "[flatten, {type: dense, units: auto, bias_init: {type: constant, value: -100}}, relu]"
    sets = ("-s", f"model.layers={layers}", "-s", "train.epochs=1", "-s", "optimizer.lr=1e-6")
    assert cnntrain("fit", config, *sets, "-o", "run", "-q").code == 0
    document = json.loads(cnntrain("export", "run", "--format", "onnx", "--json").out)
    assert document["error"] == 0


@pytest.mark.parametrize("kind", ["numpy", "onnx"])
def test_a_layer_with_an_operation_that_the_format_lacks_is_refused_and_nothing_is_written(
    cnntrain, finished, desk, monkeypatch, kind
):
    from cnntrain.parts.layers.dense import Dense

    if kind == "onnx":
        pytest.importorskip("onnx", reason="comes with the extra `onnx`")
    monkeypatch.setattr(Dense, "trace", lambda _self, t, _p, *xs: t.op("no_such_thing", xs[0]))
    outcome = cnntrain("export", finished, "--format", kind)
    assert (outcome.code, outcome.out) == (2, "")
    assert re.match(
        rf"cnntrain: error: dense_\d \(dense, .*\) cannot be exported as {kind}: the format has no operation "
        r"'no_such_thing'\. Choose another --format, or let .*\n",
        outcome.err,
    )
    assert list(desk.iterdir()) == []


@pytest.mark.parametrize(
    ("channels", "answers", "fit"),
    [(1, "softmax", "letterbox"), (3, "sigmoid", "cover"), (3, "nothing", "stretch"), (3, "softmax", "letterbox")],
)
def test_the_numpy_format_reads_pictures_and_answers_as_predict_does(cnntrain, desk, channels, answers, fit):
    """Grey and colour, 16 bits, transparent, turned, of other sizes: load, forward and answers, without cnntrain."""
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[274] = 6
    made = {
        "a.png": Image.fromarray(rng.integers(0, 256, (30, 20, 3), np.uint8)),
        "b.png": Image.fromarray(rng.integers(0, 256, (11, 17), np.uint8)),
        "c.png": Image.fromarray(rng.integers(0, 256, (30, 20, 4), np.uint8)),
        "d.png": Image.fromarray(rng.integers(0, 65536, (30, 20), np.uint16)),
        "e.jpg": Image.fromarray(rng.integers(0, 256, (30, 20, 3), np.uint8)),
        "f.png": Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8)).convert("P"),
        "g.tif": Image.fromarray(rng.random((9, 7), np.float32)),
    }
    for name, image in made.items():
        image.save(desk / name, **({"exif": exif} if name == "e.jpg" else {}))
    rows = "".join(f"{name},{number % 2},{number // 2 % 2}\n" for number, name in enumerate(made))
    (desk / "l.csv").write_text(f"path,one,two\n{rows}")
    what = "label: one" if answers == "softmax" else "targets: [one, two]"
    loss = {"softmax": "cross_entropy", "sigmoid": "binary_cross_entropy", "nothing": "mse"}[answers]
    (desk / "c.yaml").write_text(
        f"data: {{source: {{type: csv, path: l.csv, size: [9, 12], fit: {fit}, channels: {channels}, {what}}}, "
        "train_transforms: [{type: normalize, from: dataset}], eval_transforms: [{type: normalize, from: dataset}]}\n"
        f"model: {{preset: linear}}\nloss: {loss}\ntrain: {{epochs: 1}}\n"
    )
    assert cnntrain("fit", "c.yaml", "-o", "run", "-q").code == 0
    said = cnntrain("export", "run", "--format", "numpy", "--output", "net.py").out
    assert ("resized to 9x12, bilinear, antialiased (Pillow's BILINEAR), proportions not kept" in said) == (
        fit == "stretch"
    )
    assert ("red, green, blue" if channels == 3 else "grey (ITU-R 601 luma)") in said
    assert ("after: " in said) == (answers != "nothing")
    predicted = json.loads(cnntrain("predict", "run", *made, "--json").out)["predictions"]
    expected = [list((one.get("probabilities") or one["by_name"]).values()) for one in predicted]
    ask = "net.forward(images)" if answers == "nothing" else "net.answers(net.forward(images))"
    program = (
        "import sys; sys.path.insert(0, '.')\nimport json, net\n"
        f"images = net.load(*{[*made]})\nassert 'cnntrain' not in sys.modules\nprint(json.dumps({ask}.tolist()))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, cwd=desk, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout), expected, rtol=1e-5, atol=1e-6)
    assert _refused_by_both(cnntrain, desk, made["a.png"], made["g.tif"])
    told = (desk / "net.py").read_text()
    assert ("\nNAMES = ['one', 'two']\n" in told) == (answers != "softmax")
    values = {"softmax": None, "sigmoid": "shares", "nothing": "outputs"}[answers]
    assert (f"named = dict(zip(net.NAMES, {values}[0]))" in told) == (answers != "softmax")
    document = json.loads(cnntrain("export", "run", "--format", "page", "--json", "--output", "net.html").out)
    assert document.get("names") == (None if answers == "softmax" else ["one", "two"])


def _refused_by_both(cnntrain, desk, colours, floats) -> bool:
    """Neither `predict` nor `load` reads floats beyond 1, integers beyond 16 bits, or JPEG 2000; `load` no L*a*b*."""
    Image.fromarray(np.asarray(floats) * 2).save(desk / "x.tif")
    Image.fromarray(np.asarray(floats).astype(np.int32) - 1).save(desk / "y.tif")
    asked = ["x.tif", "y.tif"]
    if features.check("jpg_2000"):
        colours.save(desk / "w.png", "JPEG2000")
        asked.append("w.png")
    for name in asked:
        assert cnntrain("predict", "run", name).code == 3
    lab = ImageCms.createProfile("LAB")
    ImageCms.profileToProfile(colours, ImageCms.createProfile("sRGB"), lab, outputMode="LAB").save(desk / "v.tif")
    program = (
        "import sys; sys.path.insert(0, '.')\nimport net\nfrom PIL import UnidentifiedImageError\n"
        f"for name in {[*asked, 'v.tif']}:\n"
        "    try:\n        net.load(name)\n"
        "    except (ValueError, UnidentifiedImageError) as error:\n"
        "        assert name in str(error), error\n"
        "    else:\n        raise AssertionError(name)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, cwd=desk, check=False)
    return done.returncode == 0 or pytest.fail(done.stderr)


def test_every_format_says_what_its_caller_owes(cnntrain, finished, desk):
    for kind in ("numpy", "safetensors", "onnx"):
        outcome = cnntrain("export", finished, "--format", kind, "--json")
        if outcome.code == 2:
            continue  # an extra that is not installed
        document = json.loads(outcome.out)
        shape, layout = (["n", 8, 8, 1], "NHWC") if kind == "numpy" else (["n", 1, 8, 8], "NCHW")
        assert document["input"] == {"name": "images", "shape": shape, "layout": layout, "dtype": "float32"}
        assert document["answers"] == "softmax"
        assert document["resize"].startswith("to 8x8, bilinear")
        assert document["colours"] == "grey (ITU-R 601 luma)"


@pytest.mark.parametrize(
    "transform", ["{type: center_crop, size: 6}", "{type: resize, size: [6, 5]}", "{type: pad, padding: 1}"]
)
def test_a_network_of_clips_has_no_page_whatever_is_done_to_them_before(cnntrain, desk, transform):
    chain = f"[{{type: temporal_crop, frames: 4, place: middle}}, {transform}]"
    both = [f"data.{name}_transforms={chain}" for name in ("train", "eval")]
    run(write(desk, CLIPS), desk / "run", (*both, "train.epochs=null", "train.steps=1"))
    outcome = cnntrain("export", "run", "--format", "page", "--output", "a.html")
    assert outcome.code == 2
    assert "--format page is for networks that take pictures of 1 or 3 channels" in outcome.error
    assert not (desk / "a.html").exists()
