"""How each class, label or value fares and what is mistaken for what, as text for people and as CSV for programs."""

from __future__ import annotations

from typing import Any

from cnntrain.cli.text import table, width
from cnntrain.core import csv_text
from cnntrain.core.errors import printable
from cnntrain.core.figures import figure
from cnntrain.core.letters import columns

WIDEST = 100  # columns of the matrix where the width of the terminal is not known
LONGEST = 200  # classes that are listed for people
LISTED = 20  # mistakes, where there are too many classes for a matrix


def text(result: dict[str, Any]) -> str:
    """The tables of an evaluation, one below the other; `result` is what `eval --json` prints. Empty if it has none."""
    parts = []
    if _of_samples(result):
        parts.append(_samples(result))
    elif "per_class" in result:
        parts.append(_table(result["per_class"]))
    values = result.get("per_value", [])
    if len(values) > 1:
        parts.append(_table(values))
        parts.append(_matrix([row["name"] for row in values], result.get("confusion", [])))
    return "\n\n".join(filter(None, parts))


def as_csv(result: dict[str, Any]) -> str:
    """A row for each class, label or value; of classes of samples also how many were taken for each class."""
    return (
        _samples_csv(result) if _of_samples(result) else csv_text.to_csv(result.get("per_class") or result["per_value"])
    )


def _of_samples(result: dict[str, Any]) -> bool:
    """Whether it is the samples that have classes, and are taken for others."""
    return "per_class" in result and ("confusion" in result or "mistakes" in result)


def _table(rows: list[dict[str, Any]]) -> str:
    """A row for each value, label or class: its name and figures."""
    body = [
        [printable(str(cell)) if isinstance(cell, str) else _figure(cell) for key, cell in row.items()] for row in rows
    ]
    return table([[*rows[0]], *body], right=range(1, len(rows[0])), fold=0)


def _figure(number: float | None) -> str:
    if number is None:
        return "-"
    return f"{number:,}" if isinstance(number, int) else figure(number)


def _samples(result: dict[str, Any]) -> str:
    """A row for each class or, of very many, for those with the lowest F1; then the confusion matrix or, where it is
    too wide, the most frequent mistakes.
    """
    per_class = result["per_class"]
    names = [row["class"] for row in per_class]
    shown = per_class
    if len(names) > LONGEST:
        shown = sorted((row for row in per_class if row["samples"]), key=lambda row: row["f1"])[:LONGEST]
    each = [
        [row["class"], f"{row['samples']:,}", *map(_share, (row["recall"], row["precision"], row["f1"]))]
        for row in shown
    ]
    parts = [table([["class", "samples", "recall", "precision", "f1"], *each], right=range(1, 5), fold=0)]
    if len(shown) < len(names):
        parts.append(f"the {len(shown)} of {len(names):,} classes with the lowest f1; --csv and --json have all")
    confused = _matrix(names, result.get("confusion", []))
    if confused:
        parts.append(confused)
    elif mistakes := _mistakes(names, result):
        head = [["class", "taken for", "samples"]]
        parts.append(table(head + [[true, guess, f"{count:,.0f}"] for count, true, guess in mistakes], right={2}))
    return "\n\n".join(parts)


def _matrix(names: list[str], confusion: list[list[float]]) -> str:
    """The matrix as a table; empty where it is too wide."""
    widest = width() or WIDEST
    if not confusion or sum(columns(name) + 2 for name in names) > widest:
        return ""
    counts = [[f"{count:.0f}" if count else "." for count in row] for row in confusion]
    rows = [[name, *row] for name, row in zip(names, counts, strict=True)]
    matrix = table([["true \\ predicted", *names], *rows], right=range(1, len(names) + 1))
    return matrix if columns(matrix.partition("\n")[0]) <= widest else ""


def _samples_csv(result: dict[str, Any]) -> str:
    """A row for each class: how it fares and, where there is a matrix, how many samples were taken for each class."""
    per_class = result["per_class"]
    confusion = result.get("confusion") or [[]] * len(per_class)
    guessed = per_class if result.get("confusion") else []
    keys = ["class", "samples", "recall", "precision", "f1"]
    rows: list[list[Any]] = [[*keys, *(f"predicted:{row['class']}" for row in guessed)]]
    for row, counts in zip(per_class, confusion, strict=True):
        rows.append([*(row[key] for key in keys), *(f"{count:.0f}" for count in counts)])
    return csv_text.table(rows)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _mistakes(names: list[str], result: dict[str, Any]) -> list[tuple[float, str, str]]:
    """The most frequent ones first: how often, the true class, the one it was taken for."""
    if "mistakes" in result:
        return [(row["samples"], row["class"], row["taken_for"]) for row in result["mistakes"][:LISTED]]
    found = [
        (count, names[true], names[guess])
        for true, row in enumerate(result["confusion"])
        for guess, count in enumerate(row)
        if count and guess != true
    ]
    return sorted(found, key=lambda mistake: -mistake[0])[:LISTED]
