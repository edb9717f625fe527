"""Sounds in a report: the worst mistakes as spectrograms, low frequencies at the bottom, that play in the page."""

from __future__ import annotations

import base64
import io
import re
import wave
from pathlib import Path

import numpy as np
import pytest

from cnntrain.cli import main
from cnntrain.results.report import sounds

RATE = 8000


def test_a_waveform_is_shown_as_its_spectrogram_with_low_frequencies_at_the_bottom() -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE).astype(np.float32)
    shown = sounds.picture(tone[None, :, None])
    rows = shown[..., 0].mean(axis=1)
    assert len(rows) - 1 - rows.argmax() == 500 / RATE * 256
    assert (shown.min(), shown.max()) == (0, 1)
    assert np.isfinite(sounds.picture(np.zeros((1, 50, 1), np.float32))).all()
    spectrogram = np.arange(6, dtype=np.float32).reshape(3, 2, 1) / 6
    np.testing.assert_array_equal(sounds.picture(spectrogram), spectrogram[::-1])


@pytest.mark.parametrize("features", ["waveform", "log_mel"])
def test_mistakes_play_in_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: str) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):  # whose names say nothing: half of the answers are wrong
        for index in range(8):
            place = tmp_path / "sounds" / ("train" if index < 5 else "val") / name / f"{index}.wav"
            place.parent.mkdir(parents=True, exist_ok=True)
            with wave.open(str(place), "wb") as file:
                file.setparams((1, 2, 2 * RATE, 0, "NONE", ""))
                file.writeframes((rng.normal(0, 3000, RATE)).astype("<i2").tobytes())
    (tmp_path / "x.yaml").write_text(f"""
data: {{source: {{type: audio_folder, root: sounds, sample_rate: {RATE}, duration: 0.4, features: {features}}}}}
model: {{layers: [flatten, {{type: dense, units: auto}}]}}
optimizer: {{type: sgd, lr: 1e-6}}
train: {{epochs: 1, batch_size: 4}}
""")
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "x.yaml", "-o", "run", "-q"]) == 0
    assert main(["report", "run", "-o", "page.html"]) == 0
    page = Path("page.html").read_text()
    assert "media-src data:" in page
    players = re.findall(r'<audio controls="" preload="none" src="data:audio/wav;base64,([^"]+)">', page)
    assert players
    for data in players:
        with wave.open(io.BytesIO(base64.b64decode(data))) as file:
            assert (file.getframerate(), file.getnframes(), file.getnchannels()) == (RATE, 3200, 1)
            assert np.abs(np.frombuffer(file.readframes(3200), "<i2")).max() > 1000
