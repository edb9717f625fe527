"""The keys that completion reads from a part's source are those of its class."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cnntrain.config.fields import keys_of
from cnntrain.config.schema import NodeOptions
from cnntrain.config.source_keys import part_keys
from cnntrain.core import registry

PARTS = [(kind, name) for kind in registry.KINDS for name in registry.parts(kind)]


@pytest.mark.parametrize(("kind", "name"), PARTS, ids=["-".join(part) for part in PARTS])
def test_the_keys_read_from_a_parts_text_are_those_of_its_class(kind, name):
    cls = registry.lookup(kind, name)
    assert set(part_keys(kind, name)) == set(keys_of(cls))
    if kind in ("layers", "structures"):
        assert set(part_keys(kind, name, placed=True)) == set(keys_of(cls)) | set(keys_of(cls.options or NodeOptions))


def test_what_is_no_part_has_no_keys():
    assert part_keys("layers", "nothing") == []


def test_reading_them_imports_no_numpy():
    program = (
        "import sys; from cnntrain.config.source_keys import part_keys; "
        "assert part_keys('layers', 'conv2d', placed=True); sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
