"""No key of a config is without a sentence, and each stands where people look: in `list`, the schema and the pages."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cnntrain.cli import main
from cnntrain.config.catalogue import fields_of
from cnntrain.config.json_schema import json_schema
from cnntrain.config.schema import TrainConfig
from cnntrain.config.sentences import sentence
from cnntrain.core.registry import KINDS, parts
from tests.support.reference import mappings

PARTS = [pytest.param(cls, id=f"{kind}-{name}") for kind in KINDS for name, cls in parts(kind).items()]


@pytest.mark.parametrize("cls", [*(pytest.param(cls, id=path or "top") for path, cls in mappings()), *PARTS])
def test_every_key_has_a_sentence(cls: type) -> None:
    for key in fields_of(cls):
        words = key["meaning"]
        assert words, f"write a comment beside the field of {key['name']} in {cls.__module__}, saying what it is for"
        assert words[-1] in ".!?"
        assert words[0].isupper() or not words[0].isalpha(), words
        assert len(words) < 140, words


def keys_of_objects(schema: Any, place: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The keys of every mapping at any depth, with their schemas; conditions are no mappings."""
    if isinstance(schema, list):
        for one in schema:
            yield from keys_of_objects(one, place)
    elif isinstance(schema, dict):
        if schema.get("type") == "object":
            yield from ((place, key, value) for key, value in schema.get("properties", {}).items())
        for key, value in schema.items():
            yield from keys_of_objects(value, f"{place}.{key}")


def test_the_schema_shows_each() -> None:
    schema = json_schema()
    for place, key, value in keys_of_objects(schema["$defs"], ""):
        assert key == "type" or value.get("description") or "const" in value or "enum" in value, f"{place}: {key}"
    properties = schema["$defs"]["TrainConfig"]["properties"]
    assert properties["accumulate"]["description"] == sentence(TrainConfig, "accumulate")


def test_list_shows_each(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    assert main(["list", "optimizers", "sgd"]) == 0
    shown = capsys.readouterr().out
    assert all(key["meaning"] in shown for key in fields_of(parts("optimizers")["sgd"]))


@dataclass(frozen=True)
class Base:
    beside: int = 0  # stands behind the field
    # stands above it, and goes on
    # in a second line
    above: int = 0
    overridden: int = 0  # is kept by whoever says nothing
    checked: int = 0  # type: ignore[assignment]
    bare: int = 0


@dataclass(frozen=True)
class Derived(Base):
    overridden: int = 1
    own: str = "# no comment"  # `own` begins with code


def test_where_a_sentence_comes_from() -> None:
    told = {field.name: sentence(Derived, field.name) for field in dataclasses.fields(Derived)}
    assert told == {
        "beside": "Stands behind the field.",
        "above": "Stands above it, and goes on in a second line.",
        "overridden": "Is kept by whoever says nothing.",
        "checked": "",
        "bare": "",
        "own": "`own` begins with code.",
    }


def test_a_class_without_source_has_none(tmp_path: Path) -> None:
    made = dataclasses.make_dataclass("Made", [("key", int, 0)], namespace={"__module__": "nowhere"})
    assert sentence(made, "key") == ""
