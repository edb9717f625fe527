"""A folder of sounds: one folder for each class, and recordings in it; each becomes a waveform or a spectrogram.

A spectrogram is an image, one row for a band of frequencies (the lowest first), one column for a moment, so that
the layers that see pictures also hear. A waveform is an image of one row, whose columns are moments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from cnntrain.core.registry import register
from cnntrain.parts.datasets.class_folders import ClassFolders
from cnntrain.parts.datasets.sound_fields import SoundFields
from cnntrain.reading.decoded import Recipe
from cnntrain.reading.sounds import SUFFIXES


@register("audio_folder")
@dataclass(frozen=True)
class AudioFolder(SoundFields, ClassFolders):
    """Sounds in class folders, laid out like the pictures of image_folder: files in `root/train/CLASS/...`.

    Reads WAV files (RIFF, RIFX, RF64, BW64) of PCM of 8, 16, 24 or 32 bits, floats of 32 or 64, A-law and mu-law; and
    .flac, .ogg, .oga, .opus, .mp3, .aif and .aiff with the extra `audio` (soundfile). Sounds of another rate than
    `sample_rate` (Hz) are resampled (reading/resampling.py). Several channels are averaged. A sound longer than
    `duration` (seconds) is cut to its middle, a shorter one gets silence on both sides. `label`, `split` and `group`
    are those of image_folder.

    With `features: waveform` a sample is the sound itself, a float32 image (1, samples, 1) in [-1, 1] for conv1d, or
    for transforms that make a spectrogram of it at every epoch (log_mel, mfcc, power_spectrogram), after others that
    change it (time_shift, gain, speed, noise_from).

    With `features: log_mel` it is a float32 image (bands, frames, 1): Hann windows of `window` seconds every `hop`
    seconds, their power spectra summed by `bands` triangular filters evenly spaced on the mel scale from 0 Hz to half
    the sample rate, mel = 2595 log10(1 + f / 700) (O'Shaughnessy 1987, as in HTK), in decibels: 0 stands for -80 dB or
    less, 1 for a sine of full scale.
    """

    suffixes: ClassVar[frozenset[str]] = SUFFIXES
    noun: ClassVar[str] = "sounds"

    def measured(self) -> Self:
        """The sample rate of most files, and a duration that holds nine in ten of them whole."""
        return self.of_sounds(self.sample_of_files())

    def _recipe(self) -> Recipe:
        return self.sound_recipe()
