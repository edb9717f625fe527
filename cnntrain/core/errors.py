"""An error is what the user can mend: one class per exit code, one line per problem.

Anything else that escapes is a bug, in cnntrain or in a part of another package (culprits.py), and ends with exit code
1 and a crash log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cnntrain.core.letters import columns

_WINDOW = 160  # of a longer source line, only this many characters around the place are shown


def printable(text: str) -> str:
    """A text as one line that no terminal acts upon: what cannot be printed is shown escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def first_line(error: BaseException) -> str:
    """What an error says first, for a sentence about it; what it is called where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


@dataclass(frozen=True)
class Mark:
    """A place in something the user wrote: a line of a file, or a `--set` on the command line."""

    file: str
    line: int  # from 1; 0 where the file has no lines, as a checkpoint
    column: int  # from 1
    text: str = ""  # the source line, for the caret
    # the part of this value that the command line gave: quoted where the value as a whole is wrong
    override: Mark | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a config, and where it was written."""

    where: Mark
    message: str
    notes: tuple[str, ...] = ()  # further lines, shown under the caret

    @property
    def quoted(self) -> Mark:
        """The place that the message quotes: that on the command line, if it has a part in it."""
        return self.where.override or self.where

    def __str__(self) -> str:
        where = self.quoted
        lines = [printable(f"{where}: {self.message}")]
        if where.text:
            first = max(0, where.column - _WINDOW // 2) if len(where.text) > _WINDOW else 0
            shown = where.text[first : first + _WINDOW]
            before = shown[: where.column - 1 - first]
            caret = "".join("\t" if letter == "\t" else " " * columns(letter) for letter in before) + "^"
            lines += ["    " + shown, "    " + caret]
        lines += ["    " + printable(note) for note in self.notes]
        return "\n".join(lines)


class CnntrainError(Exception):
    """Something the user can mend. The message is one line: what, where, what to do."""

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as it is, for pools of processes: unlike the text, what made it is not kept to make it again."""
        return _bare, (type(self), self.args), vars(self)


def _bare(kind: type[CnntrainError], args: tuple[Any, ...]) -> CnntrainError:
    """An error with these `args`, which become its text, and no attributes yet."""
    return kind.__new__(kind, *args)


class UsageError(CnntrainError):
    """The command line asks for something that cannot be done."""

    exit_code = 2


class ConfigError(CnntrainError):
    """A config is wrong; carries every problem found, in the order of the file."""

    exit_code = 2

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class DataError(CnntrainError):
    """A data file is missing, may not be read, is damaged, or not what the config says."""

    exit_code = 3


class CheckpointError(CnntrainError):
    """A checkpoint is missing, may not be read, is damaged, hostile, or belongs to another network."""

    exit_code = 4


class StorageError(CnntrainError):
    """Reading or writing failed: no space, no permission for what is neither data nor a checkpoint, a device error."""

    exit_code = 5


class LostWorkerError(StorageError):
    """A process that took part in training was ended from outside, as happens when the system runs out of memory."""


class DivergedError(CnntrainError):
    """The loss, a gradient, a weight or a slot became NaN or infinite; nothing of it was saved.

    `record` is what the flight recorder wrote, where it did.
    """

    exit_code = 6

    def __init__(self, message: str, record: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.record = record


class OutOfMemoryError(CnntrainError):
    """The network, batch or data do not fit in memory."""

    exit_code = 7


class RunDirectoryError(CnntrainError):
    """The run directory is busy, already used, or holds nothing to resume."""

    exit_code = 8


class CheckFailedError(CnntrainError):
    """A check the user asked for did not hold (`--require`, `gradcheck`, `selftest`)."""

    exit_code = 9


class UnfinishedError(CnntrainError):
    """Training was asked to stop before its end; the run directory holds a checkpoint that resumes exactly.

    `result` is what `fit --json` prints of the run; None where it had not begun to train: nothing was changed.
    """

    result: dict[str, Any] | None = None


class StoppedError(UnfinishedError):
    """Training was stopped by a signal."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class PausedError(UnfinishedError):
    """Training was paused because its time was up, or where it was to pause."""

    exit_code = 75  # EX_TEMPFAIL: try again later


class MissingExtraError(CnntrainError):
    """A feature needs an optional extra that is not installed."""

    exit_code = 2
