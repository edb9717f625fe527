"""What type and range of pixels a network was trained on is held against pixels wherever they enter."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cnntrain.api.model import load
from cnntrain.core.errors import DataError
from cnntrain.core.scale import PixelScale, document, of, read
from cnntrain.results.export.files import export
from cnntrain.rundir import checkpoint
from tests.support.experiments import run, write

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (24, 6, 6, 3), np.uint8)
BYTES[:, 0, 0] = 0, 128, 255  # the whole range in every sample
RANGES = {
    "bytes": BYTES,
    "unit": (BYTES / 255).astype(np.float32),
    "0 to 255": BYTES.astype(np.float32),
    "around 0": ((BYTES - 127.5) / 60).astype(np.float32),
    "-1 to 1": (BYTES / 127.5 - 1).astype(np.float32),
}
SAME = {"bytes": {"bytes", "unit"}, "unit": {"bytes", "unit"}, "0 to 255": {"0 to 255"}}
SAME |= {name: {"around 0", "-1 to 1"} for name in ("around 0", "-1 to 1")}
CONFIG = """
data: {{source: {{type: npz, path: {path}}}}}
model: {{layers: [flatten, {{type: dense, units: auto}}]}}
optimizer: {{type: sgd, lr: 1e-6}}
train: {{epochs: 1, batch_size: 8}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run on each range, an archive of each, and a folder of pictures."""
    folder = tmp_path_factory.mktemp("scales")
    for name, pixels in RANGES.items():
        labels = np.arange(24) % 2
        np.savez(folder / f"{name}.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
        run(write(folder, CONFIG.format(path=folder / f"{name}.npz"), f"{name}.yaml"), folder / name)
    for number, image in enumerate(BYTES):
        (folder / "pictures" / str(number % 2)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "pictures" / str(number % 2) / f"{number:02}.png")
    return folder


@pytest.mark.parametrize("mine", RANGES)
@pytest.mark.parametrize("theirs", RANGES)
def test_every_door_refuses_what_training_has_not_seen(place, mine, theirs):
    pixels, archive = RANGES[theirs], place / f"{theirs}.npz"
    with load(place / mine) as model:
        doors = [
            lambda: model.evaluate("test", archive),
            lambda: model.predict(archive),
            lambda: model.predict(pixels),
            lambda: model.outputs(pixels),
        ]
        if theirs == "bytes":
            doors += [lambda: model.evaluate(data=place / "pictures"), lambda: model.predict(place / "pictures")]
        for door in doors:
            if theirs in SAME[mine]:
                door()
            else:
                with pytest.raises(DataError, match="expected the same range of pixels"):
                    door()


def test_a_teacher_does_not_teach_what_it_has_not_seen(place, tmp_path):
    config = write(tmp_path, CONFIG.format(path=place / "0 to 255.npz"))
    with pytest.raises(DataError, match=r"the training split .* expected the same range of pixels"):
        run(config, tmp_path / "run", (f"loss={{type: distillation, teacher: '{place / 'unit'}'}}",))


@pytest.mark.parametrize("mine", RANGES)
def test_what_was_trained_on_is_taken_sample_by_sample_even_a_black_one(place, mine):
    with load(place / mine) as model:
        assert model.evaluate("test")["samples"] == 24
        for image in RANGES[mine]:
            model.predict(image)
        model.predict(np.zeros_like(RANGES[mine][0]))


def test_an_export_tells_the_range(place, tmp_path):
    told = {"bytes": "in [0, 1]", "unit": "in [0, 1]", "0 to 255": "floats from 0 to 255", "-1 to 1": "from -1 to 1"}
    for name, words in told.items():
        with load(place / name) as model:
            assert words in export(model.trained, "numpy", tmp_path / "net.py", overwrite=True)["pixels"]
        assert words in (tmp_path / "net.py").read_text()


def test_a_checkpoint_from_before_claims_nothing(place, tmp_path):
    saved = checkpoint.read(place / "0 to 255" / "checkpoints" / "last.npz")
    meta = {key: value for key, value in saved.meta.items() if key != "pixels"}
    checkpoint.save(tmp_path / "old.npz", meta, saved.arrays)
    with load(tmp_path / "old.npz") as model:
        model.predict(BYTES)
        assert export(model.trained, "numpy", tmp_path / "net.py")["pixels"] == "pixels as in training"


@pytest.mark.parametrize(
    "broken",
    [
        None,
        3,
        {},
        {"dtype": "int8", "low": 0, "high": 1},
        {"dtype": "uint8"},
        {"dtype": "float32", "low": 2, "high": 1},
        {"dtype": "float32", "low": "0", "high": 1},
    ],
)
def test_a_scale_of_a_stranger_is_none(broken):
    assert read(broken) is None


def test_a_scale_comes_back():
    for pixels in RANGES.values():
        assert read(document(of(pixels))) == of(pixels)


@pytest.mark.parametrize("chunk", [1, 3, 1024])
def test_the_scale_is_that_of_every_sample_asked_for(monkeypatch, chunk):
    monkeypatch.setattr("cnntrain.core.scale._CHUNK", chunk)
    pixels = np.linspace(-3, 4, 8, dtype=np.float32).reshape(8, 1, 1, 1)[[3, 0, 1, 2, 4, 5, 6, 7]]
    assert of(pixels) == PixelScale("float32", -3, 4)
    assert of(pixels, np.array([0, 2, 6])) == PixelScale("float32", -2, 3)


def test_validation_samples_of_another_range_are_refused(place, tmp_path):
    val = f"data.val={{type: npz, path: {place}/0 to 255.npz}}"
    with pytest.raises(DataError, match="the validation split holds floats from 0 to 255"):
        run(place / "bytes.yaml", tmp_path / "run", (val,))


def test_sources_of_two_ranges_are_refused(place, tmp_path):
    both = ", ".join(f"{{type: npz, path: {place}/{name}.npz}}" for name in ("unit", "0 to 255"))
    with pytest.raises(DataError, match="concat: the sources hold floats from 0 to 1 and floats from 0 to 255"):
        run(place / "bytes.yaml", tmp_path / "run", (f"data.source={{type: concat, sources: [{both}]}}",))


@pytest.mark.parametrize("parent", RANGES)
def test_a_warm_start_from_another_range_is_warned_of(place, tmp_path, capsys, parent):
    start = f"model.init_from={{checkpoint: {place / parent}}}"
    for number, ignored in enumerate([(), ("warnings.ignore=[other-range]",)]):
        capsys.readouterr()
        run(place / "bytes.yaml", tmp_path / str(number), (start, *ignored))
        warned = "[other-range]" in capsys.readouterr().err
        assert warned == ("bytes" not in SAME[parent] and not ignored)


@pytest.mark.parametrize(("low", "high"), [(-3, 4), (0, 9), (-20, 5)])
def test_an_outlier_is_no_other_scale(low, high):
    mine = PixelScale("float32", low, high)
    assert mine.takes(PixelScale("float32", low - (high - low), high + (high - low)), 1000)
