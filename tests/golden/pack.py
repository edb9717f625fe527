"""The small golden files in one for the package, where `cnntrain selftest` reads them: cnntrain/checks/golden.npz.

`python -m tests.regenerate` writes it, after any of the makers beside this.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.checks.selftest import GOLDEN as PACKED
from cnntrain.checks.selftest import INDEX, KINDS
from cnntrain.config.dump import plain, to_yaml
from cnntrain.core.arrays import Array
from tests.parts.schedules.test_schedules import READERS
from tests.support.golden import GOLDEN, load
from tests.support.golden_networks import BATCHES, NETWORKS, RUNS
from tests.support.optimizers import SHOWN, STEPS, gradient, rate, start

LARGEST = 6_000  # bytes of a file that goes in; of a part whose files are all larger, the smallest does
PACKED_RUNS = ("smooth-adam-float64", "kinked-float64")


def chosen(kind: str) -> list[Path]:
    """The files of a kind that go into the package."""
    by_part: dict[str, list[Path]] = defaultdict(list)
    for path in sorted((GOLDEN / kind).glob("*.npz")):
        with np.load(path, allow_pickle=False) as file:
            by_part[str(file["part"])].append(path)
    files = []
    for paths in by_part.values():
        small = [path for path in paths if path.stat().st_size <= LARGEST]
        files += small or [min(paths, key=lambda path: (path.stat().st_size, path.name))]
    return sorted(files)


def contents() -> dict[str, Array]:
    """Every member of the packed file by name."""
    cases: dict[str, Any] = {}
    arrays: dict[str, Any] = {
        "optimizers//start": start(),
        "optimizers//gradients": np.array([gradient(step) for step in range(1, STEPS + 1)]),
        "optimizers//factors": np.array([rate(1.0, step) for step in range(1, STEPS + 1)]),
        "optimizers//steps": np.array(SHOWN),
    }
    for kind in KINDS:
        cases[kind] = {}
        for path in chosen(kind):
            part, case = load(path, **(READERS if kind == "schedules" else {}))
            settings = plain(part)
            cases[kind][path.stem] = [settings.pop("type"), settings]
            arrays |= {f"{kind}/{path.stem}/{name}": array for name, array in case.items()}
    networks = {}
    for run in (run for run in RUNS if run.name in PACKED_RUNS):
        with np.load(NETWORKS / f"{run.network}.npz", allow_pickle=False) as file:
            for name, array in file.items():
                if name.startswith(("start/", "pixels", "labels")):
                    arrays[f"networks/{run.network}/{name}"] = array
                elif name.startswith(f"{run.name}/"):
                    arrays[f"networks/{run.network}/end/{name.removeprefix(run.name + '/')}"] = array
        arrays[f"networks/{run.network}/batches"] = np.array(BATCHES)
        networks[run.network] = {"config": to_yaml(plain(run.loaded().experiment)), "steps": run.steps}
    index = json.dumps({"cases": cases, "networks": networks}).encode()
    return {INDEX: np.frombuffer(index, np.uint8)} | {name: np.asarray(array) for name, array in arrays.items()}


def content() -> bytes:
    """The packed file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **contents())
    return buffer.getvalue()


def fresh() -> bool:
    """Whether the packed file holds exactly these arrays, however they are compressed."""
    wanted = contents()
    with np.load(PACKED, allow_pickle=False) as file:
        found = dict(file)
    return found.keys() == wanted.keys() and all(
        (array.dtype, array.shape, array.tobytes()) == (found[name].dtype, found[name].shape, found[name].tobytes())
        for name, array in wanted.items()
    )
