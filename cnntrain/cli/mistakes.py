"""Recall and precision of each class and what it is mistaken for, as text for people and as CSV for programs."""

from __future__ import annotations

from typing import Any

from cnntrain.cli.text import table, width
from cnntrain.core import csv_text

WIDEST = 100  # columns of the matrix where the width of the terminal is not known
LISTED = 20  # mistakes, where there are too many classes for a matrix


def text(per_class: list[dict[str, Any]], confusion: list[list[float]]) -> str:
    """A row for each class; then the confusion matrix, or where it is too wide the most frequent mistakes."""
    names = [row["class"] for row in per_class]
    each = [
        [row["class"], f"{row['samples']:,}", *map(_share, (row["recall"], row["precision"], row["f1"]))]
        for row in per_class
    ]
    parts = [table([["class", "samples", "recall", "precision", "f1"], *each], right=range(1, 5))]
    counts = [[f"{count:.0f}" if count else "." for count in row] for row in confusion]
    rows = [[name, *row] for name, row in zip(names, counts, strict=True)]
    matrix = table([["true \\ predicted", *names], *rows], right=range(1, len(names) + 1))
    if len(matrix.partition("\n")[0]) <= (width() or WIDEST):
        parts.append(matrix)
    elif mistakes := _mistakes(names, confusion):
        head = [["class", "taken for", "samples"]]
        parts.append(table(head + [[true, guess, f"{count:,.0f}"] for count, true, guess in mistakes], right={2}))
    return "\n\n".join(parts)


def as_csv(per_class: list[dict[str, Any]], confusion: list[list[float]]) -> str:
    """A row for each class: how it fares, and how many of its samples were taken for each class."""
    keys = ["class", "samples", "recall", "precision", "f1"]
    rows: list[list[Any]] = [[*keys, *(f"predicted:{row['class']}" for row in per_class)]]
    for row, counts in zip(per_class, confusion, strict=True):
        rows.append([*(row[key] for key in keys), *(f"{count:.0f}" for count in counts)])
    return csv_text.table(rows)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _mistakes(names: list[str], confusion: list[list[float]]) -> list[tuple[float, str, str]]:
    """The most frequent ones first: how often, the true class, the one it was taken for."""
    found = [
        (count, names[true], names[guess])
        for true, row in enumerate(confusion)
        for guess, count in enumerate(row)
        if count and guess != true
    ]
    return sorted(found, key=lambda mistake: -mistake[0])[:LISTED]
