"""A run remembers what its bits depend on, and a resume elsewhere is told what differs."""

from __future__ import annotations

import json
import sys

import numpy as np

from cnntrain.rundir import environment


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
    del saved["pillow"]
    assert any(line.startswith("Pillow unknown -> ") for line in environment.compare_environments(saved, now))
