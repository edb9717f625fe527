"""Labelled rows are those of a CSV file, each of one file: its path in one column, its label or values in others."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted
from cnntrain.core.errors import DataError, printable
from cnntrain.parts.datasets.groups import check_apart, with_group
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.datasets.labels import MAX_CLASSES, check_none_is_empty
from cnntrain.parts.datasets.listed import ADVICE, Listed, tables_at
from cnntrain.reading.csv_rows import TABLES, first_rows, named_file, rows_of
from cnntrain.reading.decoded import Recipe, Sample, decoded
from cnntrain.reading.folders import class_name, looked_up
from cnntrain.reading.name_patterns import NamePattern
from cnntrain.reading.reader import ALONE, Reader
from cnntrain.reading.tables import (
    ANSWERS,
    SEPARATORS,
    TableColumns,
    check_gaps,
    check_numbers,
    chosen,
    columns_of,
    labels_in,
    numbers_beside,
    separator_of,
)

_LARGEST = float(np.finfo(np.float32).max)
LOOKED_AT = 1_000  # rows, and files whose headers, say what all are like


@dataclass(frozen=True)
class LabelledRows(Listed):
    """Base of the datasets that are a table of files, as Csv describes it."""

    one: ClassVar[str]  # what one of the files is called in messages
    advice: ClassVar[str]  # how to say which columns are which
    endings: ClassVar[frozenset[str]] = frozenset()  # of the files, for a table to be recognized; empty for any

    label: str | None = None  # the column of class names; by default `label`
    targets: tuple[str, ...] | None = None  # columns of numbers to predict, in place of a label
    # what stands between the labels of a file that may have several, "|"; `targets` are then all labels there are
    separator: str | None = None
    # what says which rows belong together (a person, a scene): a column, or a pattern for their files, "^(.*?)_"
    group: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.separator is None and self.label is not None and self.targets is not None:
            raise ValueError(
                f"{self.name_in_config} takes 'label', for classes, or 'targets', for values: give one of them"
            )
        if self.separator is not None:
            _check_separator(self.separator, self.targets)
        if self.targets is not None and len(set(self.targets)) != max(len(self.targets), 1):
            raise ValueError(f"targets must be one or more different names, got {list(self.targets)}")

    @property
    def column(self) -> str:
        """The column of the files' paths."""
        raise NotImplementedError

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the file, and of the label or the targets."""
        values = self.targets if self.separator is None else None
        return (self.column, *(values or (self.label or "label",)))

    @classmethod
    def of_columns(cls, path: Path, columns: TableColumns) -> Self:
        """With these columns, and the settings that suit the files."""
        raise NotImplementedError

    @classmethod
    def settings(cls, path: Path, columns: TableColumns) -> dict[str, Any]:
        """What says what is to be predicted; of lists of labels, all that occur in the training rows."""
        targets = columns.targets
        if columns.separator is not None and columns.label is not None:
            cells = rows_of(
                tables_at(path.absolute(), ADVICE)["train"], (columns.label,), cls.one, "Rename one", ADVICE
            )
            labels = (label for _, [cell] in cells for label in labels_in(cell, columns.separator))
            targets = tuple(sorted({class_name(label) for label in labels}))
        return {"label": columns.label, "targets": targets, "separator": columns.separator}

    def tables(self) -> dict[str, Path]:
        """Split -> its file; there may be none for training. Raises DataError where there is none at all."""
        return tables_at(Path(self.path).absolute(), ADVICE, some=True)

    def recipe(self) -> Recipe:
        """How files become samples."""
        raise NotImplementedError

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """A .csv file, or a folder with train.csv: columns as their names and the first rows suggest.

        Raises DataError where they do not say what is to be predicted.
        """
        found = cls._looked_at(path)
        if found is None:
            return None
        names, rows = found
        columns = columns_of(names, rows)
        _check_classes(path, names, rows, [columns.label] if columns.label else columns.doubtful)
        _check(path, check_gaps, names, rows, columns.targets or ())
        if columns.doubtful or not (columns.label or columns.targets):
            listed = ", ".join(map(repr, columns.doubtful or names))
            what = f"{path.absolute()}: which column is to be predicted? It could be {printable(listed)[:200]}"
            raise DataError(f"{what}. Name it with init --target COLUMN, or call it 'label'")
        return cls.of_columns(path, columns)

    @classmethod
    def aimed(cls, path: Path, targets: Sequence[str]) -> Self | None:
        """As `at`, predicting these columns: classes, or numbers. Raises DataError for columns that are not there."""
        found = cls._looked_at(path)
        if found is None:
            return None
        names, rows = found
        for column in targets:
            if column not in names:
                listed = printable(", ".join(names))[:200]
                raise DataError(f"{path.absolute()} has no column {column!r}, found {listed}. Name one of them")
        columns = chosen(names, rows, targets)
        _check_classes(path, names, rows, targets if columns.targets is None else ())
        return cls.of_columns(path, columns)

    @classmethod
    def _looked_at(cls, path: Path) -> tuple[list[str], list[list[str]]] | None:
        """The header of a table and some of its rows; None where it is none, or one of other files."""
        table = path / "train.csv" if path.is_dir() else path
        if table.suffix.lower() not in TABLES or not table.is_file():
            return None
        rows = first_rows(table, LOOKED_AT)
        if cls.endings and not any(
            Path(cell.strip()).suffix.lower() in cls.endings for row in rows[1:] for cell in row
        ):
            return None
        if len(rows) < 2:
            found = "no row" if not rows else "no row below its header"
            raise DataError(f"{table} has {found}, expected a header and one for each {cls.one}. Add them")
        names = [name.strip() for name in rows[0]]
        for name in names:
            if not name.isprintable():
                raise DataError(f"{table} has a column named {name[:40]!r}, expected printable characters. Rename it")
        return names, rows[1:]

    def tell_of_special(self, split: str, reader: Reader) -> None:
        """Warn of lists of labels, too, that are taken for classes."""
        super().tell_of_special(split, reader)
        if split != "train" or self.targets is not None:
            return
        label, table = self.columns[1], self.table(split)
        cells = [row.texts[0] for row in self._rows(table)]
        mark = separator_of(label, cells)
        if mark is not None:
            first = next(cell for cell in cells if len(labels_in(cell, mark)) > 1)
            reader.warn(
                f"{table}: the column {label!r} seems to list labels ({first[:60]!r}), and each list is taken for a "
                f"class. For an answer about each label set separator to {mark!r}, and targets to the labels, as init "
                "does"
            )

    def left_columns(self) -> tuple[str, ...]:
        """The columns of numbers that are not read, and could be predicted as well as those that are."""
        names, *rows = first_rows(self.table("train"), LOOKED_AT)
        return numbers_beside([name.strip() for name in names], rows, self.columns)

    def target_names(self) -> tuple[str, ...]:
        """The columns of values, or the labels that are looked for."""
        return self.targets or ()

    def labelled_samples(self, split: str) -> list[tuple[Sample, str | None]]:
        """Every file with its label, or with none where there are targets."""
        return [((row.file,), None if self.targets else row.texts[0]) for row in self._rows(self.table(split))]

    def read_sample(self, sample: Sample) -> Array:
        """What one file holds."""
        return self.recipe().decode(sample).values

    def files(self, split: str) -> tuple[Path, ...]:
        """The CSV file of a split, and the files in it."""
        table = self.table(split)
        return (table, *(row.file for row in self._rows(table)))

    def load(self, split: str, reader: Reader = ALONE) -> Images:
        """Read a split: pixels, and labels or float32 values."""
        tables_at(Path(self.path).absolute(), ADVICE)  # which says what is missing where train is
        return self._load(split, reader, 2)

    def load_some(self, split: str, reader: Reader = ALONE) -> Images:
        """Read a split that need not have every class a network knows, where there may be none for training."""
        return self._load(split, reader, 1)

    def _load(self, split: str, reader: Reader, least: int) -> Images:
        table = self.table(split)
        rows = self._rows(table)
        if self.targets is None:
            named = self.tables().get("train", table)
            classes = _classes(rows if named == table else self._rows(named), named, least)
            targets = _labels(rows, classes, self.one)
        else:
            classes = ()
            targets = np.array([self._values(row) for row in rows], np.float32)
        files = [(row.file,) for row in rows]
        kin = self._kin(split)
        read = decoded(files, self.recipe(), reader)
        if classes and split == "train":
            check_none_is_empty(targets[read.kept], classes, table, read)
        kept = tuple(kin[index] for index in read.kept.tolist()) if kin else ()
        return Images(read.values, targets[read.kept], classes, read.skipped, names=read.names(files), kin=kept)

    def grouped(self, by: str) -> Self:
        """This source with a `group`. Raises ValueError where it has one."""
        return with_group(self, by)

    def _kin(self, split: str) -> list[str]:
        """The group of each row of a split; empty without `group`. Raises DataError where two splits share one."""
        if self.group is None:
            return []
        kin = {name: self._groups_in(table) for name, table in self.tables().items()}
        for other in (name for name in kin if name != split):
            check_apart(kin, split, other, Path(self.path).absolute(), "rows")
        return kin[split]

    def _groups_in(self, table: Path) -> list[str]:
        """What the column says of each row, or what the pattern finds in its file's name."""
        rows = self._rows(table)
        if rows[0].group is not None:
            for row in rows:
                if not row.group:
                    raise DataError(f"{row.where}: the column {self.group!r} is empty, expected a group. Fill it in")
            return [row.group or "" for row in rows]
        try:
            return NamePattern("group", self.group or "").read(class_name(row.file.name) for row in rows)
        except ValueError as error:
            raise DataError(
                f"{table} has no column {self.group!r}; as a regular expression for the names of {self.one}s: {error}"
            ) from error

    def place_of_target(self, split: str, sample: int, column: int, value: float) -> str | None:  # noqa: ARG002
        """Row and column of the first such value: "train.csv:2: edema"; `sample` leaves out what was skipped."""
        if self.targets is None or split not in self.tables():
            return None
        name = self.targets[column]
        for row in self._rows(self.table(split)):
            if np.float32(self._values(row)[column]) == np.float32(value):
                return f"{row.where}: {name}"
        return None

    def _values(self, row: _Row) -> list[float]:
        """The target values of a row. Raises DataError."""
        targets = self.targets or ()
        return _numbers(row, targets) if self.separator is None else _answers(row, targets, self.separator)

    def _rows(self, table: Path) -> list[_Row]:
        """The rows of a file. Raises DataError for one that is no table with the columns that are asked for."""
        return looked_up((self, table), lambda: self._read_rows(table))

    def _read_rows(self, table: Path) -> list[_Row]:
        naming = f"Name the columns with {self.advice}; in eval, with --set data.source.label=COLUMN"
        if table not in (Path(self.path).absolute(), self.tables().get("train")):
            naming = (
                "Name columns as in train.csv; a table without labels must be called otherwise, say unlabelled.csv: "
                "`cnntrain predict RUN unlabelled.csv` answers it"
            )
        rows = rows_of(table, self.columns, self.one, naming, ADVICE, self.group)
        return [_row(table, where, cells, len(self.columns), self.one) for where, cells in rows]


def _check_classes(path: Path, names: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[str]) -> None:
    """Raise DataError where the one column that may be of classes holds numbers that are not written as such."""
    _check(path, check_numbers, names, rows, columns if len(columns) == 1 else ())


def _check(
    path: Path,
    check: Callable[[Sequence[str], Sequence[Sequence[str]], str], None],
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    columns: Sequence[str],
) -> None:
    """Raise DataError, which names the file, for what a check says of columns."""
    for column in columns:
        try:
            check(names, rows, column)
        except ValueError as error:
            raise DataError(f"{path.absolute()}: {error}") from error


@dataclass(frozen=True)
class _Row:
    """One file: where its row is, its path, the texts of label or targets, and its group if a column has it."""

    where: str
    file: Path
    texts: tuple[str, ...]
    group: str | None


def _row(table: Path, where: str, cells: Sequence[str], wanted: int, one: str) -> _Row:
    """With texts under one name, whichever Unicode form each row has."""
    texts = [class_name(text) for text in cells[1:]]
    group = texts.pop() if len(cells) > wanted else None
    return _Row(where, table.parent / named_file(where, cells[0], one), tuple(texts), group)


def _classes(rows: Sequence[_Row], table: Path, least: int) -> tuple[str, ...]:
    """The labels of the training rows, sorted by code point."""
    for row in rows:
        if not row.texts[0] or not row.texts[0].isprintable():
            raise DataError(f"{row.where} has the label {row.texts[0]!r}, expected a name. Mend the row")
    classes = tuple(sorted({row.texts[0] for row in rows}))
    if not least <= len(classes) <= MAX_CLASSES:
        raise DataError(
            f"{table} has {counted(len(classes), 'different label')}, expected 2 to {MAX_CLASSES:,}. Check the column, "
            "or name columns of numbers with 'targets'"
        )
    return classes


def _labels(rows: Sequence[_Row], classes: Sequence[str], noun: str) -> Array:
    places = {name: label for label, name in enumerate(classes)}
    for row in rows:
        if row.texts[0] not in places:
            raise DataError(
                f"{row.where}: the label {row.texts[0]!r} is not among the {len(classes)} of train. Mend the row, or "
                f"add such {noun}s to train"
            )
    return np.array([places[row.texts[0]] for row in rows], np.int64)


def _check_separator(separator: str, labels: Sequence[str] | None) -> None:
    """Raise ValueError where it cannot stand between the labels, or these are not given."""
    if not separator:
        raise ValueError("separator must not be empty; a space is ' '")
    if labels is None:
        raise ValueError(
            "separator needs targets, a list of the labels: init --target COLUMN finds them, and writes both"
        )
    for label in labels:
        if labels_in(label, separator) != [label]:
            raise ValueError(f"the label {label!r} of targets cannot stand in a list with {separator!r} in between")


@functools.cache
def _named(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels in the one Unicode form that rows have."""
    return tuple(map(class_name, labels))


def _answers(row: _Row, labels: Sequence[str], separator: str) -> list[float]:
    """1 for each of the labels that is in the list of a row, 0 for the others."""
    names = _named(tuple(labels))
    said = set(labels_in(row.texts[0], separator))
    unknown = sorted(said.difference(names))
    if unknown:
        other = next((mark for mark in SEPARATORS if {*labels_in(row.texts[0], mark)} <= {*names}), None)
        advice = "Mend the row; to have it learned, add it to targets"
        if other is not None:
            advice = f"The labels there seem to have {other!r} in between: set data.source.separator to that"
        raise DataError(f"{row.where}: the label {unknown[0]!r} is not among the {len(names)} of targets. {advice}")
    return [float(name in said) for name in names]


def _numbers(row: _Row, columns: Sequence[str]) -> list[float]:
    """The target values of a row, finite in float32; true and false are 1 and 0."""
    values = []
    for column, text in zip(columns, row.texts, strict=True):
        try:
            value = ANSWERS[text.casefold()] if text.casefold() in ANSWERS else float(text)
        except ValueError:
            value = math.nan
        if not abs(value) <= _LARGEST:
            raise DataError(f"{row.where}: {column} is {text[:40]!r}, expected a finite number. Mend the row")
        values.append(value)
    return values
