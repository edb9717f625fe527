"""`cnntrain env`: what a bug report should tell."""

from __future__ import annotations

import json
import re

import numpy as np

from cnntrain import __version__
from cnntrain.core.extras import install


def test_it_tells_versions_machine_and_extras(cnntrain):
    outcome = cnntrain("env", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    document = json.loads(outcome.out)
    assert (document["cnntrain"], document["numpy"]) == (__version__, np.__version__)
    assert document["memory"] > 2**20
    assert document["usable_cpus"] >= 1
    assert document["extras"]["test"]["hypothesis"]
    assert "torch" in document["extras"]["bench"]
    shown = cnntrain("env").out
    assert re.search(rf"^NumPy +{re.escape(np.__version__)}$", shown, re.MULTILINE)
    assert "  test   pytest " in shown or "\n  test " in shown


def test_an_extra_that_is_not_there_is_told_with_what_to_run(cnntrain, monkeypatch):
    from importlib import metadata

    monkeypatch.setattr(metadata, "requires", lambda name: ["numpy>=2", 'nowhere-at-all>=2; extra == "far"'])
    assert cnntrain("env").out.endswith(f"extras\n  far  lacks nowhere-at-all: {install('far')}\n")
