"""Whether `strace` can be used here, which makes system calls fail from outside."""

from __future__ import annotations

import subprocess
from functools import cache

import pytest


@cache
def can(*command: str) -> bool:
    """Whether a command ends well."""
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


needs_strace = pytest.mark.skipif(
    not can("strace", "-f", "-o", "/dev/null", "true"), reason="strace cannot be used here"
)
