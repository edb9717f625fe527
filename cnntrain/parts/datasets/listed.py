"""Listed samples are the rows of a CSV file, or of one for each split in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnntrain.core.errors import DataError
from cnntrain.parts.datasets.base import Dataset
from cnntrain.reading.csv_rows import first_rows, rows_of
from cnntrain.reading.folders import SPLITS, check_spelling, split_meant
from cnntrain.reading.input_files import is_there, on_disk, reading
from cnntrain.reading.reader import Reader
from cnntrain.reading.tables import SPLIT_NAMES, plain

ADVICE = "Set path to a CSV file, or to a folder with train.csv and, where there are such splits, val.csv and test.csv"


@dataclass(frozen=True)
class Listed(Dataset):
    """Base of the datasets that are listed in CSV files; its field comes before those of pictures."""

    path: str  # the file, or a folder of train.csv, val.csv and test.csv

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, in the order in which `rows_of` gives their cells."""
        raise NotImplementedError

    def tell_of_special(self, split: str, reader: Reader) -> None:
        """Warn of a column, too, by which rows are meant to be split, where all of them are for training."""
        super().tell_of_special(split, reader)
        table = Path(self.path).absolute()
        found = _split_column(table, self.columns) if split == "train" and table.is_file() else None
        if found is not None:
            name, said = found
            reader.warn(
                f"{table}: the column {name!r} ({', '.join(said)}) is not read, and all rows are for training. Make "
                "train.csv, val.csv and test.csv of them, and set path to their folder"
            )

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


def _split_column(table: Path, read: Sequence[str]) -> tuple[str, list[str]] | None:
    """A column that is not read and names the splits, training among them, and what it says; None without one."""
    header = [name.strip() for name in next(iter(first_rows(table, 1)), [])]
    for name in header:
        if plain(name) in SPLIT_NAMES and name not in read and header.count(name) == 1:
            said = {cells[0] for _, cells in rows_of(table, (name,), "row", "Rename one", ADVICE)}
            meant = {(split_meant(cell) or ("",))[0] for cell in said}
            if "" not in meant and "train" in meant and len(meant) > 1:
                return name, sorted(said)
    return None


def tables_at(place: Path, advice: str, some: bool = False) -> dict[str, Path]:
    """Split -> its CSV file, of a folder or of a file for training. Raises DataError where there is none.

    With `some`, there need not be one for training.
    """
    with reading(place):
        if place.is_dir():
            check_spelling(place, [path.stem for path in sorted(place.glob("*.csv"))], ".csv")
            found = {split: place / f"{split}.csv" for split in SPLITS if is_there(place / f"{split}.csv")}
            if "train" not in found and not (some and found):
                raise DataError(f"{place} holds no train.csv, found {', '.join(found) or 'no split'}. {advice}")
            return found
    return {"train": on_disk(place, advice, folder=False)}
