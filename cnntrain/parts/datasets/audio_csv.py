"""A CSV file of sounds: one row for each recording, its path in one column, its label or its values in others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from cnntrain.core.registry import register
from cnntrain.parts.datasets.labelled_rows import LOOKED_AT, LabelledRows
from cnntrain.parts.datasets.sound_fields import SoundFields
from cnntrain.reading.decoded import Recipe
from cnntrain.reading.sounds import SUFFIXES
from cnntrain.reading.tables import TableColumns


@register("audio_csv")
@dataclass(frozen=True)
class AudioCsv(SoundFields, LabelledRows):
    """Sounds listed in a CSV file with a header; or a folder of train.csv and, if present, val.csv and test.csv.

    `sound` names the column of the recordings' paths, which are relative to the file's folder. `label`, `targets` and
    `group` are those of csv; the other keys are those of audio_folder.
    """

    one: ClassVar[str] = "sound"
    advice: ClassVar[str] = "'sound', and 'label' or 'targets'"
    endings: ClassVar[frozenset[str]] = SUFFIXES
    sure: ClassVar[int] = 2

    sound: str = "path"  # the column of the recordings' paths, relative to the file's folder

    @property
    def column(self) -> str:
        """The column of the recordings' paths."""
        return self.sound

    @classmethod
    def of_columns(cls, path: Path, columns: TableColumns) -> Self:
        """With these columns, and the settings that suit the recordings."""
        found = cls(str(path), sound=columns.file, **cls.settings(path, columns))
        return found.of_sounds([sample[0] for sample, _ in found.labelled_samples("train")[:LOOKED_AT]])

    def recipe(self) -> Recipe:
        """How recordings become samples."""
        return self.sound_recipe()
