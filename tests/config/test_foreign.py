from __future__ import annotations

import dataclasses

import pytest

from cnntrain.config import foreign, schema
from cnntrain.config.fields import key_of
from cnntrain.core import registry


def every_key() -> set[str]:
    """The keys of all parts and of all sections."""
    parts = [cls for kind in registry.KINDS for cls in registry.parts(kind).values()]
    sections = [cls for cls in vars(schema).values() if dataclasses.is_dataclass(cls)]
    return {key_of(field) for cls in [*parts, *sections] for field in dataclasses.fields(cls)}


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_type_name_leads_to_a_part_and_none_is_ours(kind: str) -> None:
    known = registry.parts(kind)
    assert set(foreign._TYPES.get(kind, {})) <= set(known)
    assert not set(foreign._TYPE.get(kind, {})) & set(known)


def test_every_key_leads_to_a_key_that_some_part_has() -> None:
    assert set(foreign._KEYS) <= every_key()


def test_the_first_of_ours_that_is_known_is_named() -> None:
    assert foreign.type_name("layers", "InnerProduct", {"dense"}) == "dense"
    assert foreign.type_name("layers", "InnerProduct", {"conv2d"}) is None
    assert foreign.key_name("num_output", {"filters"}) == "filters"
    assert foreign.key_name("num_output", {"units"}) == "units"
    assert foreign.key_name("num_output", {"rate"}) is None
    assert foreign.is_inferred("in_channels")
    assert not foreign.is_inferred("filters")
