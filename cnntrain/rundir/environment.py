"""The environment of a run: what its bits depend on besides config, data and seed, and the machine it ran on."""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL

import cnntrain
from cnntrain.core import blas

NUMERICS = 13  # raised where a change alters the last bits of what is trained; CHANGELOG.md says where
DECIDES_BITS = {  # what in the environment can change the bits of a result -> what a warning calls it
    "cnntrain": "cnntrain",
    "numerics": "cnntrain's arithmetic",
    "python": "Python",
    "numpy": "NumPy",
    "blas": "BLAS",
    "kernel": "BLAS kernel",
    "simd": "vector instructions",
    "pillow": "Pillow",
    "machine": "machine",
}


def environment(libraries: Iterable[str] = (), packages: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What the bits of a result depend on besides config, data and seed, and the machine; for env.json, checkpoints.

    `libraries` are modules that not every run computes with; one that is missing is left to the part that needs it.
    They are imported, so their names must be those that parts declare, never what a file says. `packages` are those
    that parts come from, {"layers.snake": "waves 0.1"}.
    """
    versions = {name: version for name in libraries if (version := _version(name))}
    further = {"libraries": versions, "packages": dict(packages or {})}
    return _environment() | {key: found for key, found in further.items() if found}


@functools.cache
def _environment() -> dict[str, Any]:
    configured = np.show_config(mode="dicts")
    simd = configured.get("SIMD Extensions", {}) if isinstance(configured, dict) else {}
    return {
        "cnntrain": cnntrain.__version__,
        "numerics": NUMERICS,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": blas.description(),
        "kernel": blas.kernel(),
        "simd": " ".join([*simd.get("baseline", ()), *simd.get("found", ())]),
        "pillow": PIL.__version__,
        "machine": platform.machine(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cpu_count": os.cpu_count(),
    }


def _cpu() -> str:
    """The processor's name, if the system tells."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _version(module: str) -> str | None:
    with contextlib.suppress(ImportError, AttributeError):  # it is not there, or has no version to compare
        return str(importlib.import_module(module).__version__)
    return None


def compare_environments(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs and can change bits: "NumPy 2.3.1 -> 2.4.6"; empty where a resume is bit-identical.

    A library that not every run uses, or a package of parts, counts where both have it: earlier records have none.
    """
    saved = _with_kernel(saved)
    pairs = [(label, saved.get(key), now.get(key)) for key, label in DECIDES_BITS.items()]
    found = [f"{label} {_word(before)} -> {_word(after)}" for label, before, after in pairs if before != after]
    further = (compare_versions(saved.get(key), now.get(key)) for key in ("libraries", "packages"))
    return [*found, *itertools.chain.from_iterable(further)]


def compare_versions(then: Any, now: Any) -> list[str]:
    """What differs among what both know the version of: "cv2 4.9 -> 4.10"; nothing where one of them is no mapping."""
    if not isinstance(then, dict) or not isinstance(now, dict):
        return []
    both = [(name, before, now[name]) for name, before in then.items() if name in now]
    return [f"{_word(name)} {_word(before)} -> {_word(after)}" for name, before, after in both if before != after]


def _with_kernel(saved: Mapping[str, Any]) -> Mapping[str, Any]:
    """An environment with its kernel apart, which earlier records have in "blas": "openblas 0.3 (Haswell)"."""
    text = saved.get("blas")
    if "kernel" in saved or not isinstance(text, str) or not text.endswith(")"):
        return saved
    library, _, kernel = text[:-1].partition(" (")
    return {**saved, "blas": library, "kernel": kernel}


def _word(value: Any) -> str:
    """A value from a checkpoint in a message: on one line, and not long."""
    text = "unknown" if value is None else ascii(value).strip("'")
    return text if len(text) <= 80 else text[:77] + "..."
