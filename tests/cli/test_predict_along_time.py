"""Predicting along a long recording: a window every so often, as a table, as JSON and as a label track."""

from __future__ import annotations

import csv
import io
import json
import wave
from pathlib import Path

import numpy as np
import pytest

from cnntrain import load
from cnntrain.cli import main
from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError

RATE = 8000
TONES = {"high": 2500.0, "low": 400.0}


def tone(name: str, seconds: float, amplitude: float = 0.5) -> Array:
    return amplitude * np.sin(2 * np.pi * TONES[name] * np.arange(round(seconds * RATE)) / RATE)


def write(path: Path, sound: Array, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.round(sound * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module", params=["waveform", "log_mel"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that tells a high tone from a low one; beside it `long.wav`: two seconds low, one high, one low."""
    root = tmp_path_factory.mktemp("along")
    for name in TONES:
        for index in range(6):
            write(root / "sounds" / name / f"{index}.wav", tone(name, 0.5, 0.1 * (index + 2)))
    write(root / "long.wav", np.concatenate([tone("low", 2), tone("high", 1), tone("low", 1.1)]))
    front = {"waveform": "{type: log_mel, sample_rate: 8000, bands: 20}", "log_mel": ""}[request.param]
    (root / "x.yaml").write_text(
        f"""
data:
  source: {{type: audio_folder, root: {root}/sounds, sample_rate: {RATE}, duration: 0.5, features: {request.param}}}
  train_transforms: [{front}]
  eval_transforms: [{front}]
model: {{layers: [{{type: normalize_placeholder}}]}}
train: {{epochs: 8, batch_size: 4}}
optimizer: {{type: adam, lr: 0.01}}
""".replace("{type: normalize_placeholder}", "{type: batch_norm}, flatten, {type: dense, units: auto}")
    )
    assert main(["fit", str(root / "x.yaml"), "-o", str(root / "run"), "-q"]) == 0
    return root


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["predict", *arguments]) == 0
    return capsys.readouterr().out


def test_a_window_every_half_second_from_the_beginning_to_the_end(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, long = str(trained / "run"), str(trained / "long.wav")
    rows = [*csv.DictReader(io.StringIO(said(capsys, run, long, "--every", "0.5s", "--csv")))]
    assert [float(row["start"]) for row in rows] == [0.5 * index for index in range(9)]
    assert [float(row["end"]) for row in rows] == [0.5 * index + 0.5 for index in range(9)]
    assert [row["class"] for row in rows[:8]] == ["low"] * 4 + ["high"] * 2 + ["low"] * 2
    document = json.loads(said(capsys, run, long, "--every", "500ms", "--json"))
    for row, one in zip(rows, document["predictions"], strict=True):
        assert (one["path"], one["start"], one["class"]) == (long, float(row["start"]), row["class"])
        assert one["probabilities"]["high"] == float(row["p:high"])
    text = said(capsys, run, long, "--every", "0.5")
    assert text.count("low ") >= 6
    assert "0.50-1.00 s" in text


def test_the_label_track_covers_the_recording_once_and_joins_neighbours(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    track = said(capsys, str(trained / "run"), str(trained / "long.wav"), "--every", "0.1s", "--labels")
    spans = [line.split("\t") for line in track.splitlines()]
    assert [name for _, _, name in spans] == ["low", "high", "low"]
    assert float(spans[0][0]) == 0
    assert [end for _, end, _ in spans[:-1]] == [start for start, _, _ in spans[1:]]
    assert float(spans[0][1]) == pytest.approx(2, abs=0.3)
    assert float(spans[1][1]) == pytest.approx(3, abs=0.3)
    assert float(spans[2][1]) == pytest.approx(4.1, abs=0.05)


def test_a_recording_of_the_length_of_training_has_the_answer_that_it_has_alone(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, one = str(trained / "run"), str(trained / "sounds" / "low" / "3.wav")
    alone = json.loads(said(capsys, run, one, "--json"))["predictions"][0]
    along = json.loads(said(capsys, run, one, "--every", "2s", "--json"))["predictions"]
    assert along == [{"path": one, "start": 0.0, "end": 0.5, **{key: alone[key] for key in alone if key != "path"}}]


@pytest.mark.parametrize(("seconds", "every", "count"), [(1.0, 0.1, 6), (0.45, 0.1, 1), (1.1, 1.0, 2), (0.9, 1.0, 1)])
def test_no_window_begins_after_the_end(
    trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, seconds: float, every: float, count: int
) -> None:
    sound = str(write(tmp_path / "x.wav", tone("low", seconds)))
    answers = json.loads(said(capsys, str(trained / "run"), sound, "--every", f"{every}", "--json"))["predictions"]
    assert len(answers) == count
    assert answers[-1]["start"] < seconds


def test_what_cannot_be_read_is_told_at_the_end_and_the_rest_is_answered(
    trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sounds = [str(trained / "sounds" / "low" / f"{number}.wav") for number in (1, 2)]
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF")
    asked = ["predict", str(trained / "run"), sounds[0], str(bad), sounds[1], "--every", "1s"]
    assert main([*asked, "--json"]) == 3
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert [one["path"] for one in document["predictions"]] == sounds
    assert [one["path"] for one in document["unreadable"]] == [str(bad)]
    assert f"cannot read 1 of 3 sounds: {bad}" in told.err
    assert main([*asked, "--csv"]) == 3
    assert len(capsys.readouterr().out.splitlines()) == 3
    with load(trained / "run") as model, pytest.raises(DataError, match="cannot read 1 of 3 sounds"):
        model.predict([*sounds, bad], every=1)


def test_averaged_weights_are_told_of(trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    averaged = ["--set", "train.average={type: ema, decay: 0.5}", "--set", "train.epochs=1"]
    assert main(["fit", str(trained / "x.yaml"), "-o", str(run), "-q", *averaged]) == 0
    capsys.readouterr()
    assert main(["predict", str(run), str(trained / "long.wav"), "--every", "1s"]) == 0
    told = capsys.readouterr()
    assert "its averaged weights are used" in told.out + told.err


def test_chunks_change_nothing(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, long = str(trained / "run"), str(trained / "long.wav")
    whole = said(capsys, run, long, "--every", "0.03s", "--csv")
    monkeypatch.setattr("cnntrain.parts.datasets.sound_fields._AT_A_TIME", 5000)
    assert said(capsys, run, long, "--every", "0.03s", "--csv") == whole


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["long.wav", "--labels"], 2, "--labels needs --every TIME"),
        (["long.wav", "--every", "0.5s", "--labels", "--csv"], 2, "are three forms of one answer. Choose one"),
        (["long.wav", "long.wav", "--every", "1s", "--labels"], 2, "label track of one recording, got 2"),
        (["sounds", "--every", "1s"], 2, "is a folder. Name files"),
        (["long.wav", "--every", "fast"], 2, "expected a time such as 0.5s or 200ms"),
        (["long.wav", "--every", "0s"], 2, "expected a time such as 0.5s or 200ms"),
        (["none.wav", "--every", "1s"], 3, "none.wav"),
    ],
)
def test_what_cannot_be(
    trained: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(trained)
    assert main(["predict", "run", *arguments]) == code
    assert message in capsys.readouterr().err
