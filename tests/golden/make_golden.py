"""Regenerate every golden file, and what `cnntrain selftest` ships of them: `python -m tests.golden.make_golden`.

Needs PyTorch, torchvision, timm, scikit-learn and PyWavelets. The same versions give the same bytes.
"""

from __future__ import annotations

import runpy

MAKERS = ("layers", "losses", "optimizers", "schedules", "metrics", "transforms", "models", "networks", "checkpoints")

if __name__ == "__main__":
    for maker in MAKERS:
        runpy.run_module(f"tests.golden.make_{maker}", run_name="__main__")
    runpy.run_module("tests.regenerate", run_name="__main__")
