"""Warm starts: what is loaded, what is not and who says so, and that a run remembers where it came from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntrain.checks import forecast
from cnntrain.cli import main
from cnntrain.core.errors import CheckpointError
from cnntrain.rundir import checkpoint
from tests.support.experiments import run, write

CONFIG = """\
seed: {seed}
data: {{source: {{type: synthetic, size: 6, classes: {classes}, samples: 24}}}}
model:
  layers:
    - {{type: conv2d, name: stem, filters: 4, kernel_size: 3}}
    - {{type: batch_norm, name: norm}}
    - {middle}
    - flatten
    - {{type: dense, name: head, units: auto}}
  {init_from}
train: {{epochs: 1, batch_size: 12}}
warnings: {{ignore: [no-validation]}}
"""


def config(folder: Path, init_from: str = "", seed: int = 1, classes: int = 3, middle: str = "relu") -> Path:
    path = folder / f"seed{seed}.yaml"
    wish = f"init_from: {{{init_from}}}" if init_from else ""
    path.write_text(CONFIG.format(seed=seed, classes=classes, middle=middle, init_from=wish))
    return path


def fit(path: Path, run: Path) -> int:
    return main(["fit", str(path), "-o", str(run), "--progress", "none"])


def params(run: Path, name: str) -> dict[str, np.ndarray]:
    arrays = checkpoint.read(run / "checkpoints" / name).arrays
    return {key: array for key, array in arrays.items() if key.startswith("param/")}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    assert fit(config(folder), folder / "run") == 0
    return folder / "run"


def first(path: Path, run: Path, monkeypatch) -> dict[str, np.ndarray]:
    """The parameters at step 0, kept by making the first step the last save."""
    kept = {}
    right = checkpoint.pack

    def pack(meta, arrays):
        if not kept:
            kept.update({name: array.copy() for name, array in arrays.items() if name.startswith("param/")})
        return right(meta, arrays)

    monkeypatch.setattr(checkpoint, "pack", pack)
    assert fit(path, run) == 0
    return kept


def test_training_starts_where_the_other_run_was_best(teacher, tmp_path, monkeypatch, capsys):
    start = first(config(tmp_path, f"checkpoint: {teacher}", seed=2), tmp_path / "run", monkeypatch)
    theirs = params(teacher, "best.npz")
    assert start.keys() == theirs.keys()
    assert all(np.array_equal(start[name], theirs[name]) for name in theirs)  # running statistics too
    said = capsys.readouterr().err
    assert f"init_from {teacher / 'checkpoints' / 'best.npz'}: 8 parameters loaded\n" in said
    assert "missing" not in said


def test_the_run_remembers_the_digest_of_what_it_loaded(teacher, tmp_path):
    assert fit(config(tmp_path), tmp_path / "other") == 0
    assert fit(config(tmp_path, seed=3), tmp_path / "third") == 0
    digests = []
    for number, source in enumerate([teacher, tmp_path / "other", tmp_path / "third"]):
        run = tmp_path / str(number)
        assert fit(config(tmp_path, f"checkpoint: {source}", seed=2), run) == 0
        kept = json.loads((run / "data.json").read_text())["init_from"]
        assert kept["checkpoint"] == str(source / "checkpoints" / "best.npz")
        assert len(kept["loaded"]) == 8
        digests.append(kept["sha256"])
    assert digests[0] == digests[1] != digests[2]  # the first two runs are the same, whatever they are called


def test_what_does_not_fit_is_named_and_nothing_is_started(teacher, tmp_path, capsys):
    middle = "{type: conv2d, name: extra, filters: 4, kernel_size: 1, bias: false}"
    run = tmp_path / "run"
    assert fit(config(tmp_path, f"checkpoint: {teacher}", classes=4, middle=middle), run) == 4
    said = capsys.readouterr().err
    assert "does not fit this network: 1 missing: extra.weight; 2 mismatched: head.weight (64x3, here 64x4), " in said
    assert "head.bias (3, here 4)" in said
    assert "Name them in model.init_from.ignore" in said
    assert not run.exists()


def test_what_the_network_has_not_is_unused(teacher, tmp_path, capsys):
    text = config(tmp_path, f"checkpoint: {teacher}").read_text().replace("    - {type: batch_norm, name: norm}\n", "")
    (tmp_path / "less.yaml").write_text(text)
    assert main(["check", str(tmp_path / "less.yaml")]) == 4
    assert "4 unused: norm.scale, norm.shift, norm.running_mean, norm.running_var." in capsys.readouterr().err


def test_not_strict_loads_the_rest_and_says_so(teacher, tmp_path, monkeypatch, capsys):
    path = config(tmp_path, f"checkpoint: {teacher}, strict: false", seed=2, classes=4)
    start = first(path, tmp_path / "run", monkeypatch)
    theirs = params(teacher, "best.npz")
    assert np.array_equal(start["param/stem.weight"], theirs["param/stem.weight"])
    assert start["param/head.weight"].shape == (64, 4)
    assert np.abs(start["param/head.weight"]).max() > 0
    said = capsys.readouterr().err
    assert "6 parameters loaded" in said
    assert "2 mismatched: head.weight (64x3, here 64x4), head.bias (3, here 4)" in said


@pytest.mark.parametrize("pattern", ["head", "hea*", "head.*"])
def test_ignored_layers_keep_their_first_values(teacher, tmp_path, monkeypatch, pattern):
    fresh = first(config(tmp_path, seed=2), tmp_path / "fresh", monkeypatch)
    monkeypatch.undo()
    start = first(
        config(tmp_path, f"checkpoint: {teacher}, ignore: ['{pattern}']", seed=2), tmp_path / "w", monkeypatch
    )
    assert np.array_equal(start["param/head.weight"], fresh["param/head.weight"])
    assert np.array_equal(start["param/stem.weight"], params(teacher, "best.npz")["param/stem.weight"])


def test_a_pattern_that_names_nothing_is_an_error_at_its_place(teacher, tmp_path, capsys):
    path = config(tmp_path, f"checkpoint: {teacher}, ignore: [haed]")
    assert main(["check", str(path)]) == 2
    said = capsys.readouterr().err
    assert f"{path}:10:" in said
    assert "'haed' names no parameter and no layer of the network or of the checkpoint; did you mean 'head'?" in said


def test_a_checkpoint_that_is_not_there(tmp_path, capsys):
    assert main(["check", str(config(tmp_path, "checkpoint: nowhere"))]) == 4
    assert "there is no checkpoint or run directory nowhere" in capsys.readouterr().err


def changed(teacher: Path, place: Path, name: str, array: np.ndarray) -> Path:
    """The teacher's parameters with another array for one of them, as safetensors."""
    library = pytest.importorskip("safetensors.numpy", reason="comes with the extra `safetensors`")
    called = {"norm.scale": "norm.weight", "norm.shift": "norm.bias"}
    tensors = {}
    for ours, values in params(teacher, "best.npz").items():
        ours = ours.removeprefix("param/")
        turned = np.moveaxis(values, (-1, -2), (0, 1)) if values.ndim > 1 else values
        tensors[called.get(ours, ours)] = np.ascontiguousarray(turned)
    library.save_file(tensors | {"norm.num_batches_tracked": np.array(7), name: array}, place)
    return place


BAD = {
    "nan": ("stem.bias", np.array([0, np.nan, 0, 0], np.float32), "holds NaN or infinity"),
    "inf": ("stem.bias", np.array([0, -np.inf, 0, 0], np.float32), "holds NaN or infinity"),
    "beyond": ("stem.bias", np.array([0, 1e39, 0, 0]), "holds numbers beyond float32's"),
    "variance": ("norm.running_var", np.array([1, -1, 1, 1], np.float32), "holds -1, and a variance is never negative"),
    "integers": ("stem.bias", np.zeros(4, np.int32), "has the type int32, expected float32"),
    "bool": ("stem.bias", np.zeros(4, bool), "has the type bool, expected float32"),
    "complex": ("stem.bias", np.zeros(4, np.complex64), "has the type complex64, expected float32"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_no_parameter_can_be_is_refused_before_anything_is_trained(teacher, tmp_path, capsys, case):
    name, array, says = BAD[case]
    file = changed(teacher, tmp_path / "a.safetensors", name, array)
    path = config(tmp_path, f"checkpoint: {file}")
    for command in (["fit", str(path), "-o", str(tmp_path / "run")], ["check", str(path)]):
        assert main(command) == 4
        assert f"{file}: {name} {says}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    path = config(tmp_path, f"checkpoint: {file}, ignore: [{name}]")
    assert main(["check", str(path)]) == 0


def test_counters_and_other_floats_are_taken(teacher, tmp_path):
    file = changed(teacher, tmp_path / "a.safetensors", "stem.bias", np.array([1, 2, 3, 65504], np.float16))
    assert main(["check", str(config(tmp_path, f"checkpoint: {file}"))]) == 0


def test_resuming_does_not_need_it_again(teacher, tmp_path):
    moved = tmp_path / "teacher.npz"
    moved.write_bytes((teacher / "checkpoints" / "best.npz").read_bytes())
    path, run, straight = config(tmp_path, f"checkpoint: {moved}", seed=2), tmp_path / "run", tmp_path / "straight"
    assert fit(path, run) == 0
    assert main(["fit", str(path), "-o", str(straight), "--progress", "none", "-s", "train.epochs=2"]) == 0
    moved.unlink()
    assert main(["fit", "-o", str(run), "--resume", "--progress", "none", "-s", "train.epochs=2"]) == 0
    one, two = params(run, "last.npz"), params(straight, "last.npz")
    assert all(np.array_equal(one[name], two[name]) for name in one)


@pytest.fixture
def pictures(tmp_path):
    """Noise in two classes: nothing can be known of a picture that was not trained on."""
    rng = np.random.default_rng(0)
    for folder in ("d", "v"):
        for name in "ab":
            (tmp_path / folder / name).mkdir(parents=True)
            for number in range(20):
                path = tmp_path / folder / name / f"{number:02}.png"
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    return tmp_path


def _noise(pictures, run_dir, *sets, start=None):
    model = "{layers: [global_avg_pool, {type: dense, units: auto}]}"
    text = f"data: {{source: {{type: image_folder, root: {pictures}/d, size: 8}}, val: 0.3}}\nmodel: {model}\n"
    text += "optimizer: {type: sgd, lr: 0.01}\ntrain: {epochs: 1, batch_size: 8}\n"
    origin = (f"model.init_from={{checkpoint: {start}}}",) if start else ()
    run(write(pictures, text), pictures / run_dir, (*sets, *origin))
    return pictures / run_dir


@pytest.mark.parametrize(
    "change", ["seed=1", "data.val=0.4", "data.source.size=4", "data.val={type: image_folder, root: d, size: 8}"]
)
def test_validation_samples_that_the_first_run_was_trained_on_are_told(pictures, capsys, change, monkeypatch):
    """By content, or where pictures are read at another size, by their files."""
    monkeypatch.chdir(pictures)
    first = _noise(pictures, "first")
    capsys.readouterr()
    other = ("seed=1",) if "size=4" in change else ()
    _noise(pictures, "next", change, *other, start=first)
    assert f"validation samples were training samples of {first}: " in capsys.readouterr().err


@pytest.mark.parametrize("same", [(), ("train.epochs=2",), ("data.val={type: image_folder, root: v, size: 8}",)])
def test_the_same_split_or_one_of_its_own_is_no_reason_to_warn(pictures, capsys, same, monkeypatch):
    monkeypatch.chdir(pictures)
    first = _noise(pictures, "first")
    capsys.readouterr()
    _noise(pictures, "next", *same, start=first)
    assert "warning" not in capsys.readouterr().err


def test_the_run_before_the_first_counts_too(pictures, capsys):
    first = _noise(pictures, "first")
    second = _noise(pictures, "second", "seed=1", start=first)
    for name in ("d/a/00.png", "d/b/00.png"):
        (pictures / name).touch()
    capsys.readouterr()
    _noise(pictures, "third", "seed=1", start=second)
    assert f"were training samples of {first}" in capsys.readouterr().err


def test_a_checkpoint_away_from_its_run_knows_only_that_the_split_is_another(pictures, capsys):
    first = _noise(pictures, "first")
    (first / "checkpoints/last.npz").rename(pictures / "moved.npz")
    capsys.readouterr()
    _noise(pictures, "same", start=pictures / "moved.npz")
    assert "warning" not in capsys.readouterr().err
    _noise(pictures, "next", "seed=1", start=pictures / "moved.npz")
    assert "was trained on another split, and has no list of it" in capsys.readouterr().err


def _relation(kind: str, parent: Path) -> str:
    started, taught = f"model.init_from={{checkpoint: {parent}}}", f"loss={{type: distillation, teacher: {parent}}}"
    return {"init_from": started, "teacher": taught}[kind]


@pytest.mark.parametrize("kind", ["init_from", "teacher"])
@pytest.mark.parametrize("command", [["fit", "--progress", "none"], ["fit", "--dry-run"], ["check"]])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_command_that_looks_at_a_config_warns_of_what_a_parent_has_seen(
    pictures, capsys, kind, command, seed, monkeypatch
):
    monkeypatch.chdir(pictures)
    monkeypatch.setattr(forecast, "SECONDS", 0.0)
    _noise(pictures, "first")
    capsys.readouterr()
    assert main([*command, "full.yaml", "-s", _relation(kind, Path("first")), "-s", f"seed={seed}"]) == 0
    said, parent = capsys.readouterr().err, "the teacher first" if kind == "teacher" else "first"
    assert (f"validation samples were training samples of {parent}: " in said) == bool(seed)
    assert ("[seen-before]" in said) == ("warning" in said) == bool(seed)
    ignored = ["-s", "warnings.ignore=[seen-before]"]
    assert main([*command, "full.yaml", "-s", _relation(kind, Path("first")), "-s", f"seed={seed}", *ignored]) == 0
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize("kinds", [("init_from", "teacher"), ("teacher", "init_from"), ("teacher", "teacher")])
def test_a_parents_parent_counts_too(pictures, capsys, kinds, monkeypatch):
    """It is found through data.json; the run between them saw other pictures."""
    monkeypatch.chdir(pictures)
    first = _noise(pictures, "first")
    second = _noise(pictures, "second", _relation(kinds[0], first), "data.source.root=v")
    capsys.readouterr()
    _noise(pictures, "third", _relation(kinds[1], second), "seed=1")
    said = capsys.readouterr().err.replace("the teacher ", "")
    assert f"validation samples were training samples of {first}: " in said


@pytest.mark.parametrize("text", ["", "[]", "{", "7", '{"init_from": 7}', '{"teacher": {"checkpoint": 7}}', "null"])
def test_a_strangers_data_json_says_nothing(pictures, capsys, text):
    first = _noise(pictures, "first")
    (first / "data.json").write_text(text)
    _noise(pictures, "next", _relation("init_from", first), _relation("teacher", first))
    assert "warning" not in capsys.readouterr().err


def test_runs_that_are_each_others_parents_end_the_search(pictures, capsys):
    first = _noise(pictures, "first")
    (first / "data.json").write_text(json.dumps({"init_from": {"checkpoint": str(first / "checkpoints/last.npz")}}))
    _noise(pictures, "next", _relation("init_from", first))
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize("strict", ["true", "false"])
def test_a_start_in_which_nothing_matches_is_an_error(pictures, strict):
    first = _noise(pictures, "first")
    start = f"init_from: {{checkpoint: {first}, strict: {strict}}}"
    wish = f"model={{layers: [flatten, {{type: dense, units: auto, name: other}}], {start}}}"
    with pytest.raises(CheckpointError, match="does not fit this network"):
        _noise(pictures, "next", wish)
    assert not (pictures / "next").exists()
