"""`cnntrain predict` applies a trained network to files it has not seen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnntrain.cli.options import PATH, Command, Number, WholeNumber, as_json, debug, print_json, reading_sets, threads
from cnntrain.cli.text import pairs, show
from cnntrain.core import bounds, csv_text, terminal
from cnntrain.core.errors import printable
from cnntrain.core.letters import plain

if TYPE_CHECKING:
    from cnntrain.api.model import Model
    from cnntrain.core.display import Answer


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """A time ("0.5s", "200ms", or seconds without a unit) in seconds; anything else is a usage error."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)(ms|s)?", value)
    seconds = float(found[1]) / (1000 if found[2] == "ms" else 1) if found else 0.0
    if seconds not in bounds.APART:
        raise click.BadParameter(
            f"expected a time such as 0.5s or 200ms, from 1 ms to a day, got {value!r}", ctx=ctx, param=param
        )
    return seconds


@click.command(
    cls=Command,
    examples=[
        "cnntrain predict runs/quickstart/latest digit.png --top 3",
        "cnntrain predict runs/quickstart/latest photos/ more/*.jpg --csv > answers.csv",
        "cnntrain predict runs/cells/latest photos/ --draw answers/",
        "cnntrain predict runs/cells/latest photos/ --txt guesses/ --score 0.5",
        "cnntrain predict runs/cells/latest coco/val2017/ --coco results.json --csv > answers.csv",
        "cnntrain predict runs/words/latest meeting.wav --every 0.5s --labels > meeting.txt",
        "cnntrain predict runs/photos/first photos/ -s data.source.max_pixels=50000000",
    ],
)
@click.argument("checkpoint", metavar="CHECKPOINT|RUN", type=PATH)
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="PATH...")
@click.option(
    "--top", type=WholeNumber(bounds.SOME), metavar="N", default=1, show_default=True, help="How many classes to show."
)
@reading_sets
@click.option("--csv", "as_csv", is_flag=True, help="Print a table: path, class, every probability.")
@click.option(
    "--draw",
    "folder",
    type=PATH,
    metavar="DIR",
    help="Write the answers as PNG files: boxes on each picture, which is enlarged if it is small; masks over it, at "
    "its size, and by themselves.",
)
@click.option(
    "--txt",
    "texts",
    type=PATH,
    metavar="DIR",
    help="Write boxes as YOLO text files, with classes.txt, so that they can be corrected in an annotation tool.",
)
@click.option("--coco", type=PATH, metavar="FILE", help="Write boxes as a COCO results file, which pycocotools reads.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace files that --draw and --txt would write, and whatever --coco names.",
)
@click.option(
    "--score",
    type=Number(bounds.SCORE),
    metavar="THRESHOLD",
    help="Answer, show and write boxes from this score up, the 100 best of a picture at most. By default, those from "
    "0.05 up are answered; those shown and written as text are from the score that was best in validation, or 0.5 if "
    "there was none.",
)
@click.option(
    "--every",
    callback=_seconds,
    metavar="TIME",
    help="Answer along a long recording, once for every stretch of this time: 0.5s, 200ms.",
)
@click.option("--labels", "as_labels", is_flag=True, help="With --every: print a label track that Audacity imports.")
@threads
@as_json
@debug
def command(
    checkpoint: Path,
    paths: tuple[Path, ...],
    top: int,
    sets: tuple[str, ...],
    threads: int | None,
    as_csv: bool,
    every: float | None,
    as_labels: bool,
    as_json: bool,
    folder: Path | None,
    texts: Path | None,
    coco: Path | None,
    overwrite: bool,
    score: float | None,
) -> None:
    """Apply a trained network to files, to those in folders and CSV files, and to the samples of .npz files.

    A run directory stands for its best checkpoint, or its last if there is no best. Files are read and preprocessed as
    in training. A picture whose size is not the network's is resized as the data's fit says: stretched, framed
    (letterbox) or cut (cover); colour becomes grey, or grey colour, as the network needs. Light and dark must be as in
    training: MNIST is white on black. Answers that are places in the picture can be drawn on it (--draw), and boxes
    written for other programs (--txt, --coco). With --every, recordings of any length are answered along time, in
    windows as long as the sounds of training. What cannot be read is named at the end; the rest is answered.
    """
    from cnntrain.api.model import Model
    from cnntrain.core.console import Console
    from cnntrain.core.errors import DataError, UsageError
    from cnntrain.results.annotations import ResultsFile, TextFolder
    from cnntrain.results.renderings import Folder

    if as_csv + as_json + as_labels > 1:
        raise UsageError("--csv, --json and --labels are three forms of one answer. Choose one")
    if every is not None:
        if folder or texts or coco or score is not None:
            raise UsageError("--draw, --txt, --coco and --score are for pictures, --every for recordings. Choose")
        _along(checkpoint, paths, top, sets, threads, every, as_labels, as_csv, as_json)
        return
    if as_labels:
        raise UsageError("--labels needs --every TIME: one answer for a whole file has no position in it")
    failures: list[tuple[str, str]] = []
    with Model(checkpoint, threads=threads, set=sets, score=score, warn=None) as model:
        trained, task = model.trained, model.trained.network.task
        names = trained.unseen.names(paths) if folder or texts else []
        results = None if coco is None else ResultsFile(coco, task, model.classes, trained.numbers(), overwrite)
        render = None if folder is None else Folder(folder, task, names, overwrite).write
        kept = [] if texts is None else [TextFolder(texts, task, model.classes, names, overwrite).add]
        kept += [] if results is None else [results.add]
        answers, unseen = trained.answers(paths, top, failures, render, kept), trained.unseen
    asked = len(answers) + len(failures)
    if not answers:
        raise DataError(unseen.refusal(failures, asked))
    if results is not None:
        Console("none").say(results.write())
    if as_json:
        _print_document(model, [{"path": name} | answer.document for name, answer in answers], failures)
    elif as_csv:
        terminal.out(_table(answers), end="")
    else:
        show(pairs([(printable(name), plain(answer.text)) for name, answer in answers]))
    _tell(model, failures, asked, as_json)


def _tell(model: Model, failures: Sequence[tuple[str, str]], asked: int, as_json: bool) -> None:
    """Say below the answers which weights gave them, and what had none. Raises DataError unless that is to be skipped.

    `asked` is how many samples there were.
    """
    from cnntrain.core.console import Console
    from cnntrain.core.errors import DataError

    unseen = model.trained.unseen
    if not as_json and model.trained.averaged:  # the JSON document says so itself
        Console("none").say(f"{model.path}: its averaged weights are used")
    if failures and not unseen.skips:
        raise DataError(unseen.refusal(failures, asked))
    if failures:
        Console("none").warn(unseen.refusal(failures, asked, "Skipped, as the config says"))


def _print_document(
    model: Model, predictions: Sequence[Mapping[str, Any]], failures: Sequence[tuple[str, str]]
) -> None:
    """Print every answer, and why what could not be read has none."""
    from cnntrain.reading.input_files import without_name

    bad = [{"path": path, "reason": without_name(reason, path)} for path, reason in failures]
    document = {"checkpoint": str(model.path), "weights": model.trained.weights, "predictions": [*predictions]}
    print_json(document | ({"unreadable": bad} if bad else {}))


def _along(
    checkpoint: Path,
    paths: Sequence[Path],
    top: int,
    sets: Sequence[str],
    threads: int | None,
    every: float,
    as_labels: bool,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Answer along time. Raises UsageError where that is impossible, DataError for files that cannot be read."""
    from cnntrain.api.model import Model
    from cnntrain.core.errors import DataError, UsageError
    from cnntrain.trained.along_time import along, labels

    if as_labels and len(paths) > 1:
        raise UsageError(f"--labels prints the label track of one recording, got {len(paths)}. Name one")
    failures: list[tuple[str, str]] = []
    with Model(checkpoint, threads=threads, set=sets, warn=None) as model:
        windows = along(model.trained, paths, every, top, failures)
    if not windows:
        raise DataError(model.trained.unseen.refusal(failures, len(paths)))
    if as_labels:
        terminal.out(labels(windows), end="")
    elif as_json:
        _print_document(model, [window.document for window in windows], failures)
    elif as_csv:
        rows = [[one.path, one.start, one.end, *row] for one in windows for row in one.answer.rows]
        terminal.out(csv_text.table([["path", "start", "end", *windows[0].answer.columns], *rows]), end="")
    else:
        show(
            pairs(
                [(f"{printable(one.path)} {one.start:.2f}-{one.end:.2f} s", plain(one.answer.text)) for one in windows]
            )
        )
    _tell(model, failures, len(paths), as_json)


def _table(answers: Sequence[tuple[str, Answer]]) -> str:
    """Each sample's path beside the rows of its answer."""
    rows = [[name, *row] for name, answer in answers for row in answer.rows]
    return csv_text.table([["path", *answers[0][1].columns], *rows])
