"""A secret file keeps a secret, such as the token of a page, where no other user of the machine can read it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_LEAST = 32  # letters of a secret
_MOST = 1000


def kept_secret(name: str) -> str:
    """The user's secret of this name, the same each time; a new one if it cannot be kept."""
    fresh = secrets.token_urlsafe(_LEAST)
    try:
        folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "cnntrain"
        os.makedirs(folder, exist_ok=True)
        descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+") as file:
            os.fchmod(file.fileno(), 0o600)
            known = file.read(_MOST).strip()
            if len(known) >= _LEAST and known.isascii() and known.isprintable():
                return known
            file.seek(0)
            file.truncate()
            file.write(fresh + "\n")
    except (OSError, RuntimeError, ValueError):  # no home, no room, another's file: the page works all the same
        pass
    return fresh
