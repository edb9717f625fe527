"""Write the sounds of tests/golden/transforms from torchaudio and librosa: python -m tests.golden.make_spectrograms."""

from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import torch
import torchaudio.transforms as T

from tests.support.golden import save

RATE = 8000
SETTINGS: dict[str, Any] = {"sample_rate": RATE, "window": 0.02, "hop": 0.008, "fft": 256}
THEIRS: dict[str, Any] = {"win_length": 160, "hop_length": 64, "n_fft": 256}


def sounds() -> np.ndarray:
    """A rising tone in noise, and a click in silence: (2, t) in [-1, 1]."""
    rng, t = np.random.default_rng(3), np.arange(1200) / RATE
    rising = 0.5 * np.sin(2 * np.pi * (300 + 9000 * t) * t) + rng.normal(0, 0.02, len(t))
    click = np.zeros(len(t))
    click[500:504] = [0.3, 0.9, -0.7, 0.2]
    return np.stack([rising, click]).astype(np.float32)


def main() -> None:
    """Power, log-mel and MFCC, as each library has them."""
    heard = sounds()
    both = torch.tensor(heard)
    mel = {**THEIRS, "sample_rate": RATE, "n_mels": 20}
    results = {
        "power_spectrogram-torchaudio": ({"decibels": False}, T.Spectrogram(**THEIRS)(both)),
        "log_mel-torchaudio": ({"bands": 20}, T.AmplitudeToDB("power")(T.MelSpectrogram(**mel)(both))),
        "log_mel-torchaudio-band": (
            {"bands": 12, "low": 100.0, "high": 3000.0},
            T.AmplitudeToDB("power")(T.MelSpectrogram(**{**mel, "n_mels": 12}, f_min=100.0, f_max=3000.0)(both)),
        ),
        "mfcc-torchaudio": (
            {"bands": 20, "coefficients": 13},
            torch.stack([T.MFCC(RATE, 13, melkwargs={**THEIRS, "n_mels": 20})(one) for one in both]),
        ),
    }
    theirs = {**THEIRS, "sr": RATE, "n_mels": 20}
    each = [librosa.feature.melspectrogram(y=one, **theirs) for one in heard]
    powers = [np.abs(librosa.stft(one, **THEIRS)) ** 2 for one in heard]
    mfccs = [librosa.feature.mfcc(y=one, n_mfcc=13, **theirs) for one in heard]
    results |= {
        "power_spectrogram-librosa": ({"decibels": False, "definition": "librosa"}, np.stack(powers)),
        "log_mel-librosa": (
            {"bands": 20, "definition": "librosa", "top_db": 80.0},
            np.stack([librosa.power_to_db(one) for one in each]),
        ),
        "mfcc-librosa": ({"bands": 20, "coefficients": 13, "definition": "librosa"}, np.stack(mfccs)),
    }
    for case, (settings, result) in results.items():
        part = case.split("-")[0]
        found = np.asarray(result, np.float32)[..., None]
        save("transforms", case, part, SETTINGS | settings, images=heard[:, None, :, None], result=found)


if __name__ == "__main__":
    main()
