"""The catalogue tells of every part what a config may say of it."""

from __future__ import annotations

import pytest

from cnntrain.config.catalogue import entry
from cnntrain.config.fields import keys_of
from cnntrain.core.registry import KINDS, lookup, parts


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in parts(kind)])
def test_an_entry_has_exactly_the_keys_the_reader_takes(kind, name):
    part = lookup(kind, name)
    described = entry(part)
    taken = [*keys_of(part), *(keys_of(part.options) if part.options else ())]
    assert sorted(field["name"] for field in described["fields"]) == sorted(taken)  # the part's own come first
    assert described["file"].startswith(f"cnntrain/parts/{kind}/")
    assert described["meaning"]
    assert "\n" not in described["meaning"]


def test_fields_tell_type_bounds_and_default():
    fields = {field["name"]: field for field in entry(lookup("layers", "dense"))["fields"]}
    assert fields["units"] == {
        "name": "units",
        "meaning": "Outputs; `auto` is the number of classes.",
        "type": "an integer or 'auto'",
        "required": True,
        "default": None,
        "of": "part",
    }
    assert fields["lr_mult"]["type"] == "a number, at least 0"
    assert (fields["bias"]["required"], fields["bias"]["default"]) == (False, True)
    schedule = {field["name"]: field for field in entry(lookup("schedules", "cosine"))["fields"]}
    assert schedule["warmup"]["type"].startswith("a duration such as 10ep")
