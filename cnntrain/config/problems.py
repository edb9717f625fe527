"""Problems gather everything wrong with a config, so that the user hears about all of it at once."""

from __future__ import annotations

from typing import NoReturn

from cnntrain.core.errors import ConfigError, Mark, Problem

LIMIT = 100  # nobody reads more, and a hostile file must not make us write more


class Problems:
    """The problems found so far. One reported twice, through a YAML alias, is kept once."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}
        self.reported = 0  # repetitions included, so that comparing the count before and after misses none

    def copy(self) -> Problems:
        """Another list that begins with these."""
        other = Problems()
        other._found, other.reported = dict(self._found), self.reported
        return other

    def add(self, where: Mark, message: str, *notes: str) -> None:
        """Note a problem and go on. Raises ConfigError when there are enough of them."""
        self.reported += 1
        self._found[Problem(where, message, notes)] = None
        if len(self._found) >= LIMIT:
            self._raise()

    def fail(self, where: Mark, message: str, *notes: str) -> NoReturn:
        """Raise ConfigError at once: nothing more can be learned after this problem."""
        self._found[Problem(where, message, notes)] = None
        self._raise()

    def check(self) -> None:
        """Raise ConfigError if anything was found."""
        if self._found:
            self._raise()

    def _raise(self) -> NoReturn:
        raise ConfigError(*sorted(self._found, key=_place)) from None


def _place(problem: Problem) -> tuple[bool, str, int, int]:
    where = problem.quoted
    return (where.file == "--set", where.file, where.line, where.column)
