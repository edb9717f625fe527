"""Rows of a CSV file in UTF-8: the cells of the columns that are asked for, and the line at which each row stands."""

from __future__ import annotations

import contextlib
import csv
import itertools
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path

from cnntrain.core.counts import counted
from cnntrain.core.errors import DataError, printable
from cnntrain.reading.input_files import opened, reading
from cnntrain.reading.tables import require_header

TABLES = frozenset([".csv", ".tsv"])  # what tables are called
_DELIMITERS = (",", ";", "\t")
_HEADER = 2**16  # characters of a header that say what divides the columns


def first_rows(table: Path, most: int, least: int = 2) -> list[list[str]]:
    """Up to `most` rows that are not empty, header first; they end where the file is not CSV, which `rows_of` explains.

    Raises DataError for a header that is none, or that has fewer than `least` columns, as with other delimiters.
    """
    rows: list[list[str]] = []
    with reading(table), TextIOWrapper(opened(table), "utf-8-sig", "replace", newline="") as file:
        head = _head(file)
        file.seek(0)
        with contextlib.suppress(csv.Error):
            lines = filter(None, csv.reader(file, delimiter=max(_DELIMITERS, key=head.count)))
            rows.extend(itertools.islice(lines, most))
    if rows:
        _check_header(table, rows, least)
    return rows


def tables_in(folder: Path) -> list[Path]:
    """The tables that lie in a folder, in the order of their names, but one called train first."""
    with reading(folder):
        tables = [place for place in folder.glob("*") if place.suffix.lower() in TABLES]
    return sorted(tables, key=lambda place: (place.stem != "train", place))


def rows_of(
    table: Path, wanted: Sequence[str], one: str, naming: str, advice: str, optional: str | None = None
) -> Iterator[tuple[str, list[str]]]:
    """The place of every row, `train.csv:2`, and its stripped cells in the order of `wanted`.

    The cell of `optional` follows if the file has that column. `one` is what a row is for. Raises DataError; `naming`
    then says how columns are named, `advice` what to give in place of a file that is not CSV.
    """
    empty = True
    with reading(table), TextIOWrapper(opened(table), "utf-8-sig", newline="") as file:
        try:
            delimiter = _delimiter(_head(file), wanted[0])
            file.seek(0)
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            header = [name.strip() for name in next(filter(None, lines), [])]
            require_header(table, header)
            places = _places(header, wanted, table, naming)
            if optional in header:
                places.append(header.index(optional))
            for cells in filter(None, lines):
                empty = False
                where = f"{table}:{lines.line_num}"
                if len(cells) != len(header):
                    raise DataError(
                        f"{where} has {counted(len(cells), 'column')}, expected {len(header)} as in the header. "
                        "Mend the row"
                    )
                yield where, [cells[place].strip() for place in places]
        except csv.Error as error:
            raise DataError(f"{table}:{lines.line_num} is not CSV ({error}). {advice}") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{table} is not UTF-8 text ({error.reason}). Save it as such") from error
    if empty:
        raise DataError(f"{table} has no row below its header, expected one for each {one}. Add them")


def _head(file: TextIOWrapper) -> str:
    """The beginning of the first line that is not blank, or nothing."""
    head = file.readline(_HEADER)
    while head and not head.strip():
        head = file.readline(_HEADER)
    return head


def _check_header(table: Path, rows: Sequence[Sequence[str]], least: int) -> None:
    """Raise DataError for a first row that names no columns, or not those of the next."""
    header = rows[0]
    if any("\ufffd" in name or "\0" in name for name in header):
        raise DataError(f"{table.absolute()} is not UTF-8 text. Save it as such")
    require_header(table, header)
    if len(rows) > 1 and len(header) < len(rows[1]) and len({len(row) for row in rows[1:]}) == 1:
        raise DataError(
            f"{table.absolute()}: the first line, {printable(','.join(header))[:60]!r}, has "
            f"{counted(len(header), 'column')}, those below {len(rows[1])}. Mend it, or remove it if it is no header"
        )
    if len(header) < least:
        raise DataError(
            f"{table.absolute()} has the one column {printable(header[0])[:60]!r}, expected several, with commas, "
            "semicolons or tabs between them. Save it like that"
        )
    if header[0].lower().startswith("sep="):
        raise DataError(f"{table.absolute()} begins with {header[0]}, a line for Excel alone. Remove it")


def named_file(where: str, name: str, one: str) -> str:
    """A cell that must name a file. Raises DataError."""
    if not name or "\0" in name:
        raise DataError(f"{where} names no {one}, expected a path. Mend the row, or remove it")
    return name


def _delimiter(header: str, column: str) -> str:
    """The first of the delimiters that sets the column apart, else the most frequent one."""
    apart = (mark for mark in _DELIMITERS if column in [cell.strip().strip('"') for cell in header.split(mark)])
    return next(apart, max(_DELIMITERS, key=header.count))


def _places(header: Sequence[str], wanted: Sequence[str], table: Path, naming: str) -> list[int]:
    for column in wanted:
        if header.count(column) != 1:
            found = "twice" if column in header else f"not among {printable(', '.join(header))[:200] or 'none'}"
            raise DataError(f"{table}: the column {column!r} is {found}. {naming}")
    return [header.index(column) for column in wanted]
