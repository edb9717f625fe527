"""A run remembers what its bits depend on, and a resume elsewhere is told what differs."""

from __future__ import annotations

import json
import sys

import numpy as np

from cnntrain.rundir import environment


def test_a_library_without_a_version_is_not_recorded(tmp_path, monkeypatch) -> None:
    (tmp_path / "unversioned.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert "unversioned" not in environment.environment(["unversioned", "absent"]).get("libraries", {})


def test_the_environment_is_recorded_and_compared() -> None:
    now = environment.environment()
    assert now["numpy"] == np.__version__
    assert now["python"] == sys.version.split()[0]
    assert json.loads(json.dumps(now)) == now
    assert environment.compare_environments(now, now) == []
    assert environment.compare_environments(now | {"cpu_count": 64, "platform": "another kernel"}, now) == []
    saved = now | {"numpy": "2.3", "blas": "x\n" * 200}
    numpy, blas = environment.compare_environments(saved, now)
    assert numpy == f"NumPy 2.3 -> {np.__version__}"
    assert blas.isprintable()
    assert environment.compare_environments(now | {"kernel": "ARMV8"}, now) == [f"BLAS kernel ARMV8 -> {now['kernel']}"]
    earlier = {key: value for key, value in now.items() if key != "kernel"}
    assert environment.compare_environments(earlier | {"blas": f"{now['blas']} ({now['kernel']})"}, now) == []
    assert environment.compare_environments(earlier, now) == [f"BLAS kernel unknown -> {now['kernel']}"]
    odd = environment.compare_environments(earlier | {"blas": 3}, now)
    assert odd == [f"BLAS 3 -> {now['blas']}", f"BLAS kernel unknown -> {now['kernel']}"]
    del saved["pillow"]
    assert any(line.startswith("Pillow unknown -> ") for line in environment.compare_environments(saved, now))


def test_a_library_counts_where_both_runs_computed_with_it(monkeypatch) -> None:
    monkeypatch.setattr(np.testing, "__version__", "1.0", raising=False)
    then = environment.environment(["numpy.testing", "no_such_module"])
    assert then["libraries"] == {"numpy.testing": "1.0"}
    assert "libraries" not in environment.environment()
    monkeypatch.setattr(np.testing, "__version__", "1.1")
    now = environment.environment(["numpy.testing"])
    assert environment.compare_environments(then, now) == ["numpy.testing 1.0 -> 1.1"]
    assert environment.compare_environments(then, environment.environment()) == []
    assert environment.compare_environments(environment.environment(), now) == [], "an earlier record has none"
    assert environment.compare_environments(then | {"libraries": "?"}, now) == []


def test_so_does_a_package_that_parts_come_from() -> None:
    then, now = (environment.environment((), {"layers.odd": f"odds {version}"}) for version in (1, 2))
    assert environment.compare_environments(then, now) == ["layers.odd odds 1 -> odds 2"]
    assert environment.compare_environments(environment.environment(), now) == []
    assert "packages" not in environment.environment()
