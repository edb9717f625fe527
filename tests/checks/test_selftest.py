"""The self-test: passes here, fails where something is wrong, and its golden file is that of the tests."""

from __future__ import annotations

import configparser
import json
from pathlib import Path

import numpy as np
import pytest

from cnntrain.checks import selftest
from cnntrain.checks.selftest import KINDS, deviation
from cnntrain.cli import main
from cnntrain.core import registry
from tests.support.golden import proven

ROOT = Path(__file__).parents[2]


def test_the_packed_file_is_small_and_comes_with_the_package():
    assert selftest.GOLDEN.stat().st_size < 2_000_000
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert str(selftest.GOLDEN.relative_to(ROOT / "cnntrain")) in setup["options.package_data"]["cnntrain"]


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_part_is_in_it(kind):
    with np.load(selftest.GOLDEN, allow_pickle=False) as file:
        index = json.loads(file["index"].tobytes())
    assert {part for part, _ in index["cases"][kind].values()} == proven(kind)


def test_passes_here_in_time(capsys):
    assert main(["selftest", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["passed"]
    assert document["seconds"] < 30
    assert {"numpy", "blas", "machine"} <= document["environment"].keys()
    names = [check["check"] for check in document["checks"]]
    assert names[:3] == ["BLAS on one thread", "layers, float64", "layers, float32"]
    assert "equal bits, network 'kinked'" in names


def small(monkeypatch):
    """Only the layers, to be quick."""
    monkeypatch.setattr(selftest, "KINDS", {"layers": KINDS["layers"]})
    monkeypatch.setattr(selftest, "_networks", lambda index, arrays: iter(()))


def test_a_part_that_computes_something_else_is_named(monkeypatch, capsys):
    small(monkeypatch)
    tanh = registry.lookup("layers", "tanh")
    monkeypatch.setattr(tanh, "forward", lambda self, f: np.multiply(np.tanh(f.x), 1 + 1e-4, out=f.y))
    assert main(["selftest"]) == 9
    out, err = capsys.readouterr()
    assert "FAILED: tanh-plain" in out
    assert "2 of 3 checks failed, the first layers, float64: tanh-plain deviates by " in err


def test_a_library_that_will_not_be_pinned_fails(monkeypatch, capsys):
    small(monkeypatch)
    monkeypatch.setattr(selftest.blas, "pin", lambda: False)
    assert main(["selftest"]) == 9
    assert "the first BLAS on one thread: NumPy's BLAS deviates" in capsys.readouterr().err


def test_bits_that_depend_on_the_threads_fail(monkeypatch):
    def follow(loaded, arrays, steps, dtype, pool):
        return {"losses": np.array([1 / pool.threads if pool.threads == 3 else 1.0])}

    monkeypatch.setattr(selftest, "follow", follow)
    check = selftest._same_bits("n", None, {})
    assert not check.passed
    assert check.worst_case == "3 threads"


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.2], [1.0, 2.0], 0.1),
        ([0.0], [0.0], 0.0),
        ([1e-3], [0.0], 1e-3),
        ([1.0], [1.0, 1.0], np.inf),
        ([np.nan], [1.0], np.inf),
        ([np.inf], [1.0], np.inf),
        ([1.0], [np.inf], np.inf),
        ([np.inf, 1.0], [np.inf, 1.0], 0.0),
        ([-np.inf], [np.inf], np.inf),
        ([np.nan], [np.nan], 0.0),
    ],
)
def test_deviation(ours, theirs, expected):
    assert deviation(ours, theirs) == pytest.approx(expected)
