"""The environment of a run: what its bits depend on besides config, data and seed, and the machine it ran on."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL

import cnntrain
from cnntrain.core import blas

NUMERICS = 9  # raised where a change alters the last bits of what is trained; CHANGELOG.md says where
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


def environment() -> dict[str, Any]:
    """What the bits of a result depend on besides config, data and seed, and the machine; for env.json, checkpoints."""
    return dict(_environment())


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


def compare_environments(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs and can change bits: "NumPy 2.3.1 -> 2.4.6"; empty where a resume is bit-identical."""
    saved = _with_kernel(saved)
    return [
        f"{label} {_word(saved.get(key))} -> {_word(now.get(key))}"
        for key, label in DECIDES_BITS.items()
        if saved.get(key) != now.get(key)
    ]


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
