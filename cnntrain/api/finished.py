"""What Python code can do with finished runs: reports, comparisons, averages, and a look into their checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from cnntrain.api.arguments import Paths, Set, overrides, path_of, paths_of
from cnntrain.api.training import as_python_does
from cnntrain.core.errors import UsageError

# Each function imports what it needs when it is called: a comparison need not wait for the code of reports.


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
    filters: Sequence[str] = (),
    sort: str | None = None,
    *,
    warn: Callable[[str], None] | None = as_python_does,
) -> dict[str, Any]:
    """Set runs side by side and return what `compare --json` prints. A folder stands for all runs below it.

    filters  conditions that must all hold: "optimizer.type=adam", "val/accuracy>=0.9"
    sort     the name to sort by, the largest first with "-" before it; by default the best run comes first
    warn     called for runs that cannot be read; with None that is printed

    Raises UsageError for a path that is not a run, a name that no run has, and a condition that cannot be read.
    """
    from cnntrain.results import compare as results

    return results.compare(paths_of(runs), filters, sort, warn)


def average(checkpoints: Sequence[Paths], output: Paths, *, overwrite: bool = False) -> dict[str, Any]:
    """Write the mean of the parameters of checkpoints of one network, and return what `average --json` prints.

    Raises CheckpointError where they are of different networks, UsageError where `output` exists.
    """
    from cnntrain.results.average import merge

    return merge(paths_of(checkpoints), path_of(output), overwrite)


def inspect(checkpoint: Paths, verify: bool = False) -> dict[str, Any]:
    """Return what `inspect --json` prints of a checkpoint: its origin, its position, every array. Computes nothing.

    With `verify`, the arrays must be those that its config declares, and finite. Raises CheckpointError.
    """
    from cnntrain.results import inspection

    return inspection.inspect(path_of(checkpoint), verify)


def replay(
    run: Paths,
    *,
    set: Set = None,
    threads: int | None = None,
    warn: Callable[[str], None] = as_python_does,
) -> dict[str, Any]:
    """Take the steps of a run from its last checkpoint to where it diverged, and return what `replay --json` prints.

    Writes nothing. `warn` is called with each difference of this environment from the run's. Raises RunDirectoryError
    if no divergence is recorded, CheckFailedError if the run does not diverge again, or does so in another layer.
    """
    from cnntrain.results import replay as results

    place = path_of(run)
    for line in results.warnings(place):
        warn(line)
    return results.replay(place, overrides(set), threads)
