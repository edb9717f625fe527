"""Listed samples are the rows of a CSV file, or of one for each split in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cnntrain.core.errors import DataError
from cnntrain.parts.datasets.base import Dataset
from cnntrain.reading.folders import SPLITS, check_spelling
from cnntrain.reading.input_files import is_there, on_disk, reading

ADVICE = "Set path to a CSV file, or to a folder with train.csv and, where there are such splits, val.csv and test.csv"


@dataclass(frozen=True)
class Listed(Dataset):
    """Base of the datasets that are listed in CSV files; its field comes before those of pictures."""

    path: str  # the file, or a folder of train.csv, val.csv and test.csv

    def splits(self) -> tuple[str, ...]:
        """Those of train, val and test that have a file; train where path is a file itself."""
        return tuple(self.tables())

    def tables(self) -> dict[str, Path]:
        """Split -> its file. Raises DataError where there is none."""
        return tables_at(Path(self.path).absolute(), ADVICE)

    def table(self, split: str) -> Path:
        """The file of a split. Raises DataError where there is none."""
        tables = self.tables()
        if split not in tables:
            raise DataError(
                f"{Path(self.path).absolute()} has no split {split!r}, found {', '.join(tables)}. Add {split}.csv to "
                "a folder of such files"
            )
        return tables[split]


def tables_at(place: Path, advice: str) -> dict[str, Path]:
    """Split -> its CSV file, of a folder or of a file for training. Raises DataError where there is none."""
    with reading(place):
        if place.is_dir():
            check_spelling(place, [path.stem for path in sorted(place.glob("*.csv"))], ".csv")
            found = {split: place / f"{split}.csv" for split in SPLITS if is_there(place / f"{split}.csv")}
            if "train" not in found:
                raise DataError(f"{place} holds no train.csv, found {', '.join(found) or 'no split'}. {advice}")
            return found
    return {"train": on_disk(place, advice, folder=False)}
