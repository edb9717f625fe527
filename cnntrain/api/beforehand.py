"""What Python code can ask before it trains: data, a first config, shapes, gradients, time, a learning rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnntrain.api.arguments import Configs, Paths, Set, Texts, configs_of, overrides, path_of, texts_of
from cnntrain.api.training import Told, as_python_does
from cnntrain.core import bounds
from cnntrain.core.culprits import noting
from cnntrain.core.errors import StorageError, UsageError

# Each function imports what it needs when it is called.


def fetch(name: str, root: Paths = "data") -> dict[str, Any]:
    """Have a known data set in its folder below `root`, over HTTPS, and return what `data fetch --json` prints.

    Every file is compared with its published size and SHA-256; what is there already is not fetched again. Raises
    UsageError for a name that is not known, DataError for what is not as published, StorageError.
    """
    from cnntrain.data import fetch as data

    if not isinstance(name, str) or name not in data.KNOWN:
        raise UsageError(f"no data set {name!r} is known: expected one of {', '.join(data.KNOWN)}")
    fetched = data.fetch(data.KNOWN[name], path_of(root))
    return {"name": name, "folder": str(fetched.folder), "fetched": list(fetched.new)}


@noting
def init(
    data: Paths,
    output: Paths = "config.yaml",
    *,
    targets: Texts = (),
    size: int | None = None,
    minutes: float | None = None,
    pretrained: bool | None = None,
    weights: Paths | None = None,
    overwrite: bool = False,
    warn: Told = as_python_does,
) -> dict[str, Any]:
    """Look at data, write a config for it that trains at once, and return what `init --json` prints.

    targets     of a table, the column to predict, or several
    size        the shorter side of pictures, from 8 to 1024
    minutes     how long training may take on this machine; by default 30
    pretrained  whether to start from the network that comes with cnntrain; by default where there are few pictures
    weights     a .safetensors file of torchvision or timm to start from, with its network

    Raises StorageError where `output` exists, DataError for data that is not recognized, UsageError for an argument
    that cannot be used.
    """
    from cnntrain.checks.proposal import Preferences, propose
    from cnntrain.core import machine
    from cnntrain.core.console import Console
    from cnntrain.core.output import Output
    from cnntrain.reading.attended import attended
    from cnntrain.reading.reader import Reader, once

    place, config, columns = path_of(data), path_of(output), texts_of("targets", targets)
    size, minutes = bounds.SIZE.optional("size", size), bounds.MINUTES.optional("minutes", minutes)
    written = Output(config)
    if written.is_there and not overwrite:
        raise StorageError(f"{config.absolute()} exists already. Replace it with --overwrite, or name another with -o")
    if weights is not None and pretrained is not None:
        raise UsageError("--weights already says where to start. Leave --pretrained and --from-scratch out")
    preferences = Preferences(size, minutes, pretrained, None if weights is None else path_of(weights))
    reader = Reader(machine.threads(None), warn=once(Console("none", warned=warn).warn))
    proposal = attended(lambda: propose(place, config, reader, columns, preferences))
    written.write(proposal.text)
    return {"config": str(config)} | proposal.document()


@noting
def summary(source: Configs, *, set: Set = None, threads: int | None = None) -> dict[str, Any]:
    """The network of a config, a run or a checkpoint in numbers, node by node: what `summary --json` prints.

    Raises ConfigError, CheckpointError.
    """
    from cnntrain.checks.summary import summarize

    return summarize(configs_of(source), overrides(set), bounds.THREADS.optional("threads", threads))


@noting
def time(
    config: Configs, *, steps: int = 10, set: Set = None, threads: int | None = None, warn: Told = as_python_does
) -> dict[str, Any]:
    """Where the time of a training step goes, node by node, and how long an epoch and the run will take.

    Takes that many steps, which are thrown away, and returns what `time --json` prints.
    """
    from cnntrain.checks.timing import measure
    from cnntrain.core import machine
    from cnntrain.training.job import prepare

    steps = bounds.SOME.number("steps", steps)
    usable = machine.threads(bounds.THREADS.optional("threads", threads))
    return measure(prepare(configs_of(config), overrides(set), usable, warn), usable, steps)


@noting
def gradcheck(
    config: Configs,
    *,
    coordinates: int = 8,
    set: Set = None,
    announce: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Compare every gradient of a network with central differences in float64: what `gradcheck --json` prints.

    coordinates  how many values of each array to check in a node by itself; half as many within the network
    announce     told what was found where a gradient is wrong, before that error is raised

    Raises CheckFailedError where a gradient is wrong.
    """
    from cnntrain.checks.gradcheck import check
    from cnntrain.config.load import load
    from cnntrain.core import blas

    coordinates = bounds.SOME.number("coordinates", coordinates)
    blas.pin()
    findings = check(load(configs_of(config), overrides(set)), coordinates)
    if findings.failed and announce is not None:
        announce(findings.document())
    findings.require()
    return findings.document()


@noting
def lr_find(
    config: Configs,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
    picture: Paths | bool = False,
    set: Set = None,
    threads: int | None = None,
    warn: Told = as_python_does,
) -> dict[str, Any]:
    """Train for some steps under a rate that grows from `low` to `high`, and return what `lr-find --json` prints.

    The steps, 10 or more, are thrown away. `picture` is a PNG file to write the chart to, or True for
    runs/NAME/lr-find.png. Raises DivergedError where the loss is infinite within a few steps, MissingExtraError for a
    picture without Matplotlib.
    """
    from cnntrain.checks.lr_find import find
    from cnntrain.core import machine
    from cnntrain.core.output import PICTURE, Output
    from cnntrain.results.report import paper, range_test
    from cnntrain.rundir.directory import RUNS
    from cnntrain.training.job import prepare

    low, high = bounds.RATE.number("low", low), bounds.RATE.number("high", high)
    steps = bounds.RANGE_TEST.number("steps", steps)
    if low >= high:
        raise UsageError(f"--low {low:g} is not below --high {high:g}. Lower the one or raise the other")
    if picture:
        paper.require()
    usable = machine.threads(bounds.THREADS.optional("threads", threads))
    job = prepare(configs_of(config), overrides(set), usable, warn)
    target = None
    if picture:
        ours = picture is True
        path = RUNS / job.loaded.experiment.name / "lr-find.png" if ours else path_of(picture)
        target = Output(path, PICTURE, ours)
    found = find(job, usable, low, high, steps)
    if target is not None:
        target.write(paper.png(range_test.chart(found)))
    return found.document() | {"png": None if target is None else str(target.path)}
