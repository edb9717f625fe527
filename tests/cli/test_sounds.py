"""Sounds through every command: listed in CSV files, in several stretches, or computed on the spot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import cnntrain as cnntrain_package
from cnntrain.core import registry
from cnntrain.engine.fixed import Fixed
from tests.parts.datasets.test_audio_folder import RATE, tone, write
from tests.support.datasets import refusal


@pytest.fixture
def root(desk: Path) -> Path:
    """Twelve recordings of a high and a low tone, by two speakers, in a table."""
    rows = ["file;pitch;hertz;speaker"]
    for number in range(12):
        name, hertz = (("high", 2500.0), ("low", 400.0))[number % 2]
        write(desk / "audio" / f"{number}.wav", tone(hertz, 0.2 + 0.02 * number))
        rows.append(f"audio/{number}.wav;{name};{hertz};{'ab'[number // 6]}")
    (desk / "sounds.csv").write_text("\n".join(rows) + "\n")
    return desk


def test_labels_values_and_groups_come_from_columns(root: Path) -> None:
    fields = {"path": "sounds.csv", "sound": "file", "sample_rate": RATE, "duration": 0.2, "features": "waveform"}
    labelled = registry.make("datasets", "audio_csv", **fields, label="pitch", group="speaker").load("train")
    assert labelled.classes == ("high", "low")
    assert labelled.targets.tolist() == [0, 1] * 6
    assert labelled.shape == (1, 1600, 1)
    assert labelled.kin == ("a",) * 6 + ("b",) * 6
    folder = registry.make("datasets", "audio_folder", root=".", **{k: fields[k] for k in [*fields][2:]})
    np.testing.assert_array_equal(labelled.pixels[3], folder.read_sample((Path("audio/3.wav"),)))
    values = registry.make("datasets", "audio_csv", **fields, targets=("hertz",)).load("train")
    assert values.targets.tolist() == [[2500.0], [400.0]] * 6
    (root / "empty.csv").write_text("path,label\n,high\n")
    assert "empty.csv:2 names no sound, expected a path" in refusal("audio_csv", path="empty.csv")
    assert "Name the columns with 'sound', and 'label' or 'targets'" in refusal("audio_csv", path="sounds.csv")


def test_through_every_command(cnntrain, root: Path) -> None:
    said = cnntrain("init", "--data", "sounds.csv", "--target", "pitch", "-o", "found.yaml")
    assert said.code == 0, said.err
    assert "audio_csv: 12 training samples" in said.out
    changes = [
        "data.val=0.5",
        "train.epochs=1",
        "optimizer.lr=1e-9",
        "schedule=constant",
    ]  # half of the answers are wrong
    model = "model={layers: [flatten, {type: dense, units: 2}]}"
    assert cnntrain("check", "found.yaml").code == 0
    assert cnntrain("fit", "found.yaml", *(f"-s{one}" for one in [*changes, model]), "-o", "run", "-q").code == 0
    assert cnntrain("eval", "run", "--split", "val").code == 0
    table = json.loads(cnntrain("eval", "run", "--data", "sounds.csv", "--json").out)
    answers = [json.loads(cnntrain("predict", "run", f"audio/{n}.wav", "--json").out) for n in range(2)]
    told = json.loads(cnntrain("predict", "run", "audio", "--json").out)["predictions"]
    right = sum(one["class"] == ("high", "low")[int(Path(one["path"]).stem) % 2] for one in told)
    assert (table["samples"], table["accuracy"]) == (12, pytest.approx(right / 12))
    assert [one["predictions"][0] for one in answers] == told[:2]
    along = json.loads(cnntrain("predict", "run", "audio/11.wav", "--every", "0.1s", "--json").out)["predictions"]
    assert [one["start"] for one in along][:2] == [0.0, 0.1]
    assert cnntrain("report", "run").code == 0
    assert "<audio" in (root / "run" / "report.html").read_text()


def test_an_empty_recording_is_told_in_a_sentence(cnntrain, root: Path) -> None:
    assert cnntrain("init", "--data", "sounds.csv", "--target", "pitch", "-o", "found.yaml").code == 0
    (root / "audio" / "0.wav").write_bytes(b"")
    outcome = cnntrain("check", "found.yaml")
    assert outcome.code == 3
    assert "\n  audio/0.wav is damaged or cut short: it holds nothing." in outcome.out
    assert "1 of 12 files cannot be read, first: audio/0.wav is damaged or cut short: it holds nothing." in outcome.err


def test_a_network_of_synthetic_voices_hears_recordings_in_several_stretches(cnntrain, desk: Path) -> None:
    (desk / "vowels.yaml").write_text("""\
data:
  source: {type: vowels, samples: 60, duration: 0.4}
  train_transforms: [{type: sound_crop, sample_rate: 8000, seconds: 0.2}]
  eval_transforms: [{type: sound_views, sample_rate: 8000, seconds: 0.2, windows: 3}]
model: {layers: [{type: conv1d, filters: 4, kernel_size: 32, stride: 16}, relu, flatten, {type: dense, units: auto}]}
train: {epochs: 1, batch_size: 10}
""")
    assert cnntrain("fit", "vowels.yaml", "-o", "run", "-q").code == 0
    write(desk / "one.wav", tone(400, 0.4), rate=RATE)
    write(desk / "short.wav", tone(400, 0.2), rate=RATE)
    told = json.loads(cnntrain("predict", "run", "one.wav", "short.wav", "--json").out)["predictions"]
    assert [one["path"] for one in told] == ["one.wav", "short.wav"]
    views = "data.train_transforms=[{type: sound_views, sample_rate: 8000, seconds: 0.2}]"
    refused = cnntrain("fit", "vowels.yaml", "-s", views, "-q")
    assert "use sound_crop here" in refused.err
    pixels = registry.make("datasets", "vowels", samples=60, duration=0.4).load("test").pixels[:2]
    with cnntrain_package.load("run") as model:
        outputs = model.outputs(pixels)
        x = np.concatenate([pixels[:, :, start : start + 1600] for start in (0, 800, 1600)])
        alone = model.trained.engine.outputs(Fixed(x, np.zeros(len(x), np.int64)))
    np.testing.assert_allclose(outputs, alone.reshape(3, 2, -1).mean(axis=0), rtol=1e-5, atol=1e-6)


def test_what_check_says_of_recordings_fits_them(cnntrain, desk: Path) -> None:
    """Of several rates, whose samples do not compare; one is there twice, louder."""
    rng = np.random.default_rng(0)
    for number in range(12):
        name, split = ("high", "low")[number % 2], ("train", "val")[number // 8]
        sound = 0.3 * rng.standard_normal(2000 + 100 * number).clip(-1, 1)
        rate = (RATE, 2 * RATE)[number % 2]
        write(desk / "audio" / split / name / f"{number}.wav", sound, rate=rate)
        if number == 0:
            write(desk / "audio" / "val" / name / "louder.wav", 1.5 * sound, rate=rate)
    (desk / "c.yaml").write_text(
        f"data: {{source: {{type: audio_folder, root: audio, sample_rate: {RATE}, duration: 0.2}}}}\n"
        "model: {preset: linear}\ntrain: {epochs: 1, batch_size: 2}\n"
    )
    outcome = cnntrain("check", "c.yaml")
    assert outcome.code == 0, outcome.err
    assert "\nlengths     0.13 s to 0.38 s, median 0.25 s\n" in outcome.out
    assert "\nsounds      {type: normalize, mean: [" in outcome.out
    assert "sizes" not in outcome.out
    assert "1 sample is like one in training, as if saved again or made louder, so that scores" in outcome.err
