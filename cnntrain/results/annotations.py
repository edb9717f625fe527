"""Annotations of a prediction: what a network found, in files that annotation tools and official evaluations read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnntrain.core import strict_json
from cnntrain.core.display import Annotation
from cnntrain.core.errors import UsageError
from cnntrain.core.output import RESULTS, Output
from cnntrain.parts.datasets.base import Numbers
from cnntrain.parts.tasks.base import Task
from cnntrain.results.named_after import NamedAfter

_CLASSES = "classes"  # the stem of the file that YOLO's tools expect


class TextFolder:
    """YOLO's text files, one for each picture, and `classes.txt` beside them."""

    def __init__(
        self, path: Path, task: Task, classes: Sequence[str], names: Sequence[str], overwrite: bool = False
    ) -> None:
        """For samples of these names; nothing is written yet.

        Raises UsageError for a task without boxes, and what NamedAfter does.
        """
        check_annotates("--txt", task)
        self._folder = NamedAfter(path, [_CLASSES, *names], [".txt"], overwrite)
        self._classes, self._begun = classes, False

    def add(self, name: str, annotation: Annotation) -> None:
        """Write one sample's rows as NAME.txt, an empty file where nothing was found; before the first the class names.

        Raises StorageError.
        """
        if not self._begun:
            self._write(_CLASSES, self._classes)
            self._begun = True
        self._write(name, annotation.rows)

    def _write(self, name: str, rows: Sequence[str]) -> None:
        self._folder.write(name, {".txt": "".join(f"{row}\n" for row in rows).encode(errors="backslashreplace")})


class ResultsFile:
    """A COCO results file: one JSON list with all that was found, which pycocotools' `loadRes` reads.

    Pictures and categories have the ids of the data's own annotation files, where those give any. Otherwise a picture's
    id is the number in its name, if every name is a different number, else its place among the answers, from 1;
    a category's is its place among the classes, from 1.
    """

    def __init__(
        self, path: Path, task: Task, classes: Sequence[str], numbers: Numbers | None, overwrite: bool = False
    ) -> None:
        """Nothing is written yet.

        Raises UsageError where the task has no boxes, StorageError for a file that is no list of results, unless
        `overwrite` is on.
        """
        check_annotates("--coco", task)
        self._output, self._classes, self._numbers = Output(path, None if overwrite else RESULTS), classes, numbers
        self._found: list[tuple[str, Annotation]] = []

    def add(self, name: str, annotation: Annotation) -> None:
        """Take in what was found in one sample."""
        self._found.append((name, annotation))

    def write(self) -> str:
        """Write the file; returns where its ids come from. Raises UsageError where one is missing, StorageError."""
        names = [name for name, _ in self._found]
        pictures, told = _pictures(names, self._numbers)
        ids = _categories(self._classes, self._numbers)
        rows: list[dict[str, Any]] = [
            {"image_id": pictures[name], "file_name": Path(name).name}
            | result
            | {"category_id": ids[result["category_id"]]}
            for name, annotation in self._found
            for result in annotation.results
        ]
        lines = ",\n".join(strict_json.encode(row) for row in rows)
        self._output.write(f"[\n{lines}\n]\n" if rows else "[]\n")
        listed = ", ".join(f"{key} {name}" for key, name in zip(ids, self._classes, strict=True))
        return f"{self._output.path}: image ids are {told}; category ids: {listed}"


def check_annotates(option: str, task: Task) -> None:
    """Raise UsageError for a task whose answers are not boxes, the only form that annotation tools read here."""
    if not task.annotates:
        raise UsageError(
            f"{option}: the task {task.name_in_config} does not answer with boxes. Leave it out, and use --json "
            "or --csv"
        )


def _categories(classes: Sequence[str], numbers: Numbers | None) -> list[int]:
    """The id of each class. Raises UsageError for one that is not a category of the annotations."""
    if numbers is None:
        return [*range(1, len(classes) + 1)]
    for name in classes:
        if name not in numbers.classes:
            raise UsageError(
                f"--coco: the class {name} is not a category of the data's annotations, expected one of "
                f"{', '.join(numbers.classes)}. Name the annotations that the network was trained on"
            )
    return [numbers.classes[name] for name in classes]


def _pictures(names: Sequence[str], numbers: Numbers | None) -> tuple[Mapping[str, int], str]:
    """The id of each picture, and how they were found. Raises UsageError for one that the annotations do not have."""
    if numbers is not None:
        by_path = {path.absolute(): key for path, key in numbers.pictures.items()}
        times = Counter(path.name for path in numbers.pictures)
        by_name = {path.name: key for path, key in numbers.pictures.items() if times[path.name] == 1}
        found = {name: by_path.get(Path(name).absolute(), by_name.get(Path(name).name, -1)) for name in names}
        unknown = [name for name, key in found.items() if key < 0]
        if not unknown:
            return found, "those of the annotations"
        if len(unknown) < len(names):
            raise UsageError(
                f"--coco: {unknown[0]} has no id in the data's annotations, but other pictures have. Predict on "
                "annotated pictures only, or on others only"
            )
    stems = [Path(name).stem for name in names]
    if all(stem.isdecimal() and stem.isascii() for stem in stems) and len({*map(int, stems)}) == len(stems):
        return {name: int(stem) for name, stem in zip(names, stems, strict=True)}, "the numbers in the file names"
    return {name: place for place, name in enumerate(names, 1)}, "from 1 in the order of the answers"
