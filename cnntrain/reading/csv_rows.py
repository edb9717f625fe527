"""Rows of a CSV file in UTF-8: the cells of the columns that are asked for, and the line at which each row stands."""

from __future__ import annotations

import contextlib
import csv
import itertools
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path

from cnntrain.core.errors import DataError, printable
from cnntrain.reading.input_files import opened, reading
from cnntrain.reading.tables import require_header

_DELIMITERS = (",", ";", "\t")
_HEADER = 2**16  # characters of a header that say what divides the columns


def first_rows(table: Path, most: int) -> list[list[str]]:
    """Up to `most` rows, as they are, header first; they end where the file is not CSV, which `rows_of` explains."""
    rows: list[list[str]] = []
    with reading(table), TextIOWrapper(opened(table), "utf-8-sig", "replace", newline="") as file:
        head = file.readline(_HEADER)
        file.seek(0)
        with contextlib.suppress(csv.Error):
            rows.extend(itertools.islice(csv.reader(file, delimiter=max(_DELIMITERS, key=head.count)), most))
    return rows


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
            delimiter = _delimiter(file.readline(_HEADER), wanted[0])
            file.seek(0)
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            header = [name.strip() for name in next(lines, [])]
            require_header(table, header)
            places = _places(header, wanted, table, naming)
            if optional in header:
                places.append(header.index(optional))
            for cells in filter(None, lines):
                empty = False
                where = f"{table}:{lines.line_num}"
                if len(cells) != len(header):
                    raise DataError(
                        f"{where} has {len(cells)} columns, expected {len(header)} as in the header. Mend the row"
                    )
                yield where, [cells[place].strip() for place in places]
        except csv.Error as error:
            raise DataError(f"{table}:{lines.line_num} is not CSV ({error}). {advice}") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{table} is not UTF-8 text ({error.reason}). Save it as such") from error
    if empty:
        raise DataError(f"{table} has no row below its header, expected one for each {one}. Add them")


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
