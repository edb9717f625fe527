"""What Python code can make of finished runs: reports, comparisons, averages, explanations, steps taken again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from cnntrain.api.arguments import Paths, Set, Texts, overrides, path_of, paths_of, texts_of
from cnntrain.api.training import Told, as_python_does
from cnntrain.core import bounds
from cnntrain.core.culprits import noting
from cnntrain.core.errors import UsageError

# Each function imports what it needs when it is called: a comparison need not wait for the code of reports.


@noting
def report(
    runs: Paths | Sequence[Paths],
    output: Paths | None = None,
    *,
    split: Literal["train", "val", "test"] | None = None,
    set: Set = None,
    png: bool = False,
    film: bool = False,
    threads: int | None = None,
    warn: Callable[[str], None] = as_python_does,
) -> dict[str, Any]:
    """Write the HTML report of a run, or one page about several, and return what `report --json` prints.

    output   the file; by default report.html in the run directory, or for several runs in the working directory
    split    the split to judge the network on; by default val, or test where there is no val
    set      where the data lies now: {"data.source.root": "elsewhere"}
    png      write every chart as a PNG file as well, beside the page
    film     write, instead of the report, a page of the moments that `checkpoint.film` kept
    warn     called with what the page lacks because its data or checkpoint is gone

    Raises UsageError where there is no run, or where a film is combined with other options; MissingExtraError for PNG
    without Matplotlib; StorageError.
    """
    from cnntrain.results import film as films
    from cnntrain.results.report import Wish, write

    page, sets = None if output is None else path_of(output), tuple(overrides(set))
    threads = bounds.THREADS.optional("threads", threads)
    if film and (split or png or sets):
        raise UsageError("--film shows what training kept: leave out --split, --png and --set")
    if film:
        document = films.write(paths_of(runs), page, threads)
    else:
        document = write(paths_of(runs), page, Wish(split, sets, threads, png))
    for text in document["warnings"]:
        warn(text)
    return document


def compare(
    runs: Paths | Sequence[Paths],
    filters: Texts = (),
    sort: str | None = None,
    *,
    warn: Told = as_python_does,
) -> dict[str, Any]:
    """Set runs side by side and return what `compare --json` prints. A folder stands for all runs below it.

    filters  a condition, or several that must all hold: "optimizer.type=adam", "val/accuracy>=0.9"
    sort     the name to sort by, the largest first with "-" before it; by default the best run comes first
    warn     called for runs that cannot be read; with None that is printed

    Raises UsageError for a path that is not a run, a name that no run has, and a condition that cannot be read.
    """
    from cnntrain.results import compare as results

    if sort is not None and not isinstance(sort, str):
        raise UsageError(f"sort: expected the name of a metric or a key, got {sort!r}")
    return results.compare(paths_of(runs), texts_of("filters", filters), sort, warn)


@noting
def average(checkpoints: Sequence[Paths], output: Paths, *, overwrite: bool = False) -> dict[str, Any]:
    """Write the mean of the parameters of checkpoints of one network, and return what `average --json` prints.

    Raises CheckpointError where they are of different networks, StorageError where `output` exists.
    """
    from cnntrain.results.average import merge

    return merge(paths_of(checkpoints), path_of(output), overwrite)


def inspect(checkpoint: Paths, verify: bool = False) -> dict[str, Any]:
    """Return what `inspect --json` prints of a checkpoint: its origin, its position, every array. Computes nothing.

    With `verify`, the arrays must be those that its config declares, and the weights finite. Raises CheckpointError.
    """
    from cnntrain.results import inspection

    return inspection.inspect(path_of(checkpoint), verify)


@noting
def replay(
    run: Paths,
    *,
    set: Set = None,
    threads: int | None = None,
    warn: Told = as_python_does,
) -> dict[str, Any]:
    """Take the steps of a run from its last checkpoint to where it diverged, and return what `replay --json` prints.

    Writes nothing. `warn` is told in what this environment differs from the run's; with None that is printed. Raises
    RunDirectoryError where no record tells of a divergence, CheckFailedError where the run does not diverge again, or
    does in another layer.
    """
    from cnntrain.results import replay as results

    return results.replay(path_of(run), overrides(set), bounds.THREADS.optional("threads", threads), warn)


@noting
def verify(
    run: Paths,
    *,
    steps: int = 1,
    set: Set = None,
    threads: int | None = None,
    warn: Told = as_python_does,
) -> dict[str, Any]:
    """Train a run from an earlier checkpoint, at least so many steps, to its last one again, and compare every bit.

    Returns what `verify --json` prints and writes nothing. `warn` is as of `replay`. Raises RunDirectoryError where
    there is no earlier checkpoint, CheckFailedError where anything differs.
    """
    from cnntrain.results import replay as results

    threads, steps = bounds.THREADS.optional("threads", threads), bounds.SOME.number("steps", steps)
    return results.verify(path_of(run), overrides(set), threads, steps, warn)


@noting
def explain(
    checkpoint: Paths,
    path: Paths,
    output: Paths = "explanation.html",
    *,
    truth: str | None = None,
    threads: int | None = None,
    warn: Told = as_python_does,
) -> dict[str, Any]:
    """Write a page about what a network makes of one file, layer by layer, and return what `explain --json` prints.

    `truth` names the true class, against which the loss is taken; by default the network's own answer. Raises
    CheckpointError, DataError where the file cannot be read, UsageError for a class that is not known.
    """
    from cnntrain.api.model import Model
    from cnntrain.results import explain as results

    with Model(checkpoint, threads=threads, warn=warn) as model:
        return results.write(model.trained, path_of(path), path_of(output), truth)
