"""`cnntrain list` shows every kind and every part, in text that fits the terminal and in JSON."""

from __future__ import annotations

import json

import pytest

from cnntrain.core.registry import KINDS, parts

EVERY = [(kind, name) for kind in KINDS for name in parts(kind)]


def test_without_a_kind_all_kinds_with_their_parts(cnntrain):
    outcome = cnntrain("list")
    assert (outcome.code, outcome.err) == (0, "")
    rows = dict(line.split(maxsplit=1) for line in outcome.out.splitlines()[2 : 2 + len(KINDS)])
    assert rows == {kind: ", ".join(parts(kind)) for kind in KINDS}
    assert json.loads(cnntrain("list", "--json").out) == {kind: list(parts(kind)) for kind in KINDS}


@pytest.mark.parametrize("columns", ["80", "60"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_lists_its_parts_in_the_width_of_the_terminal(cnntrain, monkeypatch, kind, columns):
    monkeypatch.setenv("COLUMNS", columns)
    outcome = cnntrain("list", kind)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    starts = [line.split()[0] for line in lines if line and line[0] != " "]
    assert starts[: len(parts(kind))] == list(parts(kind))
    assert lines[-1] == f"What each key takes: cnntrain list {kind} NAME"
    long = [line for line in lines if len(line) > int(columns)]
    assert all(line.count("/") or len(line.split()) < 4 for line in long)  # only what cannot be broken


@pytest.mark.parametrize("columns", ["0", "1", "x", ""])
def test_odd_widths_are_borne(cnntrain, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    outcome = cnntrain("list", "layers")
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_part_is_explained_with_its_keys_and_defaults(cnntrain, monkeypatch, kind, name):
    monkeypatch.setenv("COLUMNS", "80")
    outcome = cnntrain("list", kind, name)
    (entry,) = json.loads(cnntrain("list", kind, name, "--json").out)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"{name} (cnntrain/{kind}/")
    assert entry["name"] == name
    assert entry["meaning"].split()[0] in outcome.out
    rows = {line.split()[0]: line for line in outcome.out.splitlines() if line.strip()}
    for field in entry["fields"]:
        assert field["name"] in rows
        shown = "required" if field["required"] else "null" if field["default"] is None else None
        assert shown is None or shown in rows[field["name"]]
    assert "None" not in outcome.out
    assert "True" not in outcome.out
    prose = [
        line
        for part in outcome.out.split("\n\n")
        if not any("  " in line for line in part.splitlines())
        for line in part.splitlines()
    ]  # formulas and tables keep their lines
    assert max(map(len, prose)) <= 80


def test_bounds_are_told(cnntrain):
    (entry,) = json.loads(cnntrain("list", "layers", "dropout", "--json").out)
    rate = entry["fields"][0]
    assert rate == {
        "name": "rate",
        "meaning": "Probability that a value is dropped.",
        "type": "a number in [0, 1)",
        "required": False,
        "default": 0.5,
        "of": "part",
    }
