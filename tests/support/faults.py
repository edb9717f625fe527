"""Fault injection: an `os` for the modules that write, which fails, cuts short or kills at the n-th operation."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cnntrain.core import (
    anchor,
    append_log,
    directories,
    directory_lock,
    files,
    output,
    partial_file,
    regular_file,
    secret_file,
    storage,
)
from cnntrain.core.errors import StorageError

WRITERS = (
    anchor,
    append_log,
    directories,
    directory_lock,
    files,
    output,
    partial_file,
    regular_file,
    secret_file,
    storage,
)
OPERATIONS = ("open", "write", "fsync", "close", "replace", "ftruncate", "mkdir", "makedirs", "symlink", "unlink")


class Killed(BaseException):
    """Stands for the end of the process: no handler of the package may act on it."""


class FaultyOs:
    """The module `os`, counting the operations that change files and asking `fault` before each."""

    def __init__(self, fault: Callable[[int, str], OSError | None], short: bool = False) -> None:
        self.count = 0
        self._fault = fault
        self._short = short  # every write takes one byte of what it was given

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in OPERATIONS:
            return real

        def operation(*arguments: Any, **options: Any) -> Any:
            error = self._fault(self.count, name)
            self.count += 1
            if error is not None:
                if name == "close":  # Linux closes the file even where it reports an error
                    real(*arguments)
                if name == "write":  # half of it gets out before the device fails
                    real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                raise error
            if name == "write" and self._short:
                return real(arguments[0], arguments[1][:1])
            return real(*arguments, **options)

        return operation


def inject(patch: pytest.MonkeyPatch, fault: Callable[[int, str], OSError | None], short: bool = False) -> FaultyOs:
    """Make the modules that write use an `os` with this fault until the patch is undone."""
    faulty = FaultyOs(fault, short)
    use(patch, faulty)
    return faulty


def use(patch: pytest.MonkeyPatch, system: Any) -> None:
    """Give the modules that write this one for `os`."""
    for module in WRITERS:
        patch.setattr(module, "os", system)


def never(_count: int, _name: str) -> None:
    """The fault of a sound device."""


def every_point(action: Callable[[], None]) -> Iterator[tuple[int, int, str, str]]:
    """Run `action` with each error at each operation, once and from there on, until it meets none.

    Yields (operation number, errno, "once" or "from", what happened: "failed" or "succeeded") after each run, with
    the real `os` back in place.
    """
    for code in (errno.EIO, errno.ENOSPC):
        for mode in ("once", "from"):
            for number in range(1000):
                hit: list[str] = []

                def fault(
                    count: int,
                    name: str,
                    code: int = code,
                    mode: str = mode,
                    number: int = number,
                    hit: list[str] = hit,
                ) -> OSError | None:
                    if count != number and (mode == "once" or count < number):
                        return None
                    if mode == "from" and name in ("open", "close", "unlink") and count > number:
                        return None  # a full disk still opens, closes and removes files
                    hit.append(name)
                    return OSError(code, os.strerror(code))

                with pytest.MonkeyPatch.context() as patch:
                    inject(patch, fault)
                    try:
                        action()
                        outcome = "succeeded"
                    except StorageError:
                        outcome = "failed"
                if not hit:
                    break
                yield number, code, mode, outcome
