"""Along time: a network's answers from moment to moment in a recording longer than its training samples."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnntrain.core.display import Answer
from cnntrain.core.errors import DataError, UsageError
from cnntrain.trained.inference import Trained


@dataclass(frozen=True)
class Window:
    """A stretch of a recording, from `start` to `end` in seconds, and the answer for it."""

    path: str
    start: float
    end: float
    answer: Answer

    @property
    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {"path": self.path, "start": self.start, "end": self.end} | self.answer.document


def along(
    trained: Trained,
    paths: Sequence[Path],
    every: float,
    top: int = 1,
    failures: list[tuple[str, str]] | None = None,
) -> list[Window]:
    """The answers for windows of recordings as long as a training sample, one every `every` seconds.

    What cannot be read is added to `failures`, path and message; without such a list it raises DataError. Raises
    UsageError for a folder, or where the network does not hear sounds.
    """
    windows: list[Window] = []
    found = [] if failures is None else failures
    for path in paths:
        try:
            windows += _along_one(trained, path, every, top)
        except DataError as error:
            found.append((str(path), str(error)))
    if failures is None and found:
        raise DataError(trained.unseen.refusal(found, len(paths)))
    return windows


def _along_one(trained: Trained, path: Path, every: float, top: int) -> list[Window]:
    if not every > 0:
        raise UsageError(f"--every is {every:g} s, expected more than 0")
    if path.is_dir():
        raise UsageError(f"--every answers along recordings, but {path} is a folder. Name files")
    source = trained.unseen.reader
    chunks = source.windows(path, every)
    if chunks is None:
        raise UsageError(f"--every is for recordings: {trained.path} was trained on {source.noun}. Leave it out")
    duration: float = getattr(source, "duration", 0.0)
    found = []
    for starts, samples in chunks:
        answers = trained.answers_to(samples, top)
        found += [
            Window(str(path), start, start + duration, answer)
            for start, answer in zip(starts.tolist(), answers, strict=True)
        ]
    return found


def labels(windows: Sequence[Window]) -> str:
    """The answers as a label track that Audacity imports: start, end and text, divided by tabs, a line for each.

    A window labels the time around its middle that is nearer to it than to the next; the first from its start, the last
    to its end. Neighbours with the same answer become one label.
    """
    middles = [(one.start + one.end) / 2 for one in windows]
    edges = [windows[0].start, *((one + two) / 2 for one, two in itertools.pairwise(middles)), windows[-1].end]
    spans: list[list[Any]] = []
    for window, (start, end) in zip(windows, itertools.pairwise(edges), strict=True):
        text = str(window.answer.document.get("class", window.answer.text))
        if spans and spans[-1][2] == text:
            spans[-1][1] = end
        else:
            spans.append([start, end, text])
    return "".join(f"{start:.6f}\t{end:.6f}\t{_plain(text)}\n" for start, end, text in spans)


def _plain(text: str) -> str:
    """A text without characters that would end the line or the cell."""
    return " ".join(text.split())
