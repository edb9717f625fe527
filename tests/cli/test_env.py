"""`cnntrain env`: what a bug report should tell."""

from __future__ import annotations

import json
import re

import numpy as np

from cnntrain import __version__
from cnntrain.core.extras import install
from cnntrain.rundir.environment import DECIDES_BITS


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
    assert "\n  test " in shown


def test_the_first_lines_are_what_decides_bits(cnntrain):
    assert "the first nine lines are the same" in " ".join(cnntrain("env", "--help").out.split())
    labels = [line.split("  ")[0] for line in cnntrain("env").out.splitlines()]
    assert labels[:9] == [*DECIDES_BITS.values()]


def test_an_extra_that_is_not_there_is_told_with_what_to_run(cnntrain, monkeypatch):
    from importlib import metadata

    monkeypatch.setattr(metadata, "requires", lambda name: ["numpy>=2", 'nowhere-at-all>=2; extra == "far"'])
    assert cnntrain("env").out.endswith(f"extras\n  far  lacks nowhere-at-all: {install('far')}\n")


def test_a_checkout_that_is_not_installed_says_so(cnntrain, monkeypatch):
    from importlib import metadata

    def requires(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    outcome = cnntrain("env")
    assert outcome.code == 0
    assert outcome.out.endswith("extras\n  unknown: cnntrain runs from a folder and is not installed\n")
    assert json.loads(cnntrain("env", "--json").out)["extras"] == {}
