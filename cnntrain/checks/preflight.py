"""A preflight finds, before training, what is wrong with an experiment and how much it will take; it trains nothing.

From the config alone (`check --no-data`), with every file of the data (`check`), or with some steps (`fit --dry-run`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.checks import forecast
from cnntrain.checks.contact_sheet import contact_sheet
from cnntrain.checks.summary import described_without_data, figures
from cnntrain.checks.survey import doubts, survey, unreadable, validation_indices
from cnntrain.config.load import Loaded, load
from cnntrain.config.mapping import Config
from cnntrain.core import blas, collector, machine
from cnntrain.core.console import Console
from cnntrain.core.errors import DataError, StorageError
from cnntrain.core.output import PICTURE, Output
from cnntrain.data import build_data, manifest
from cnntrain.data.build_data import Data
from cnntrain.engine.pool import Pool
from cnntrain.network import build
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.tasks.base import told
from cnntrain.reading.attended import attended
from cnntrain.reading.folders import one_look
from cnntrain.reading.reader import Reader
from cnntrain.rundir.directory import RUNS
from cnntrain.training import advice, ancestry
from cnntrain.training.job import check_memory, make_job, reader
from cnntrain.training.monitor import Monitor
from cnntrain.training.warm_start import warm_start

Warn = Callable[[str], None] | None  # told of warnings; None prints them


def dry_run(
    configs: Sequence[str | Path],
    sets: Sequence[str] = (),
    threads: int | None = None,
    run_dir: Path | None = None,
    began: float | None = None,
) -> dict[str, Any]:
    """What `fit --dry-run --json` prints: all that `check` finds, and what the run will take. Writes nothing.

    `began` is when the command began, by time.perf_counter; what has passed since is part of the run's time. Raises
    OutOfMemoryError or StorageError where the machine does not have that, and what `rehearse` raises.
    """
    began = began or time.perf_counter()
    loaded = load(configs, sets)
    usable = machine.threads(threads)
    console = Console("none")
    job = make_job(loaded, threads, console, forecast.check_memory)
    for line in ancestry.warnings(job, warm_start(loaded, job.network)):
        console.warn(line)
    start = time.perf_counter() - began
    ahead = forecast.forecast(job, usable, run_dir or RUNS / loaded.experiment.name)
    ahead["run_seconds"] += start
    counts = _class_counts(loaded, job.data, reader(threads, Console("none")))
    return figures(loaded, job.network, usable) | ahead | {"data": counts}


def rehearse(
    configs: Sequence[str | Path | Config],
    sets: Sequence[str] = (),
    threads: int | None = None,
    warn: Warn = None,
) -> dict[str, Any]:
    """What `check --no-data --json` prints: all that can be told without reading data. Raises ConfigError."""
    loaded = load(configs, sets)
    console = Console("none", warned=warn)
    usable = machine.threads(threads)
    advice.check_codes(loaded)
    build_data.check_validation(loaded)
    network = build.network(loaded, described_without_data(loaded))
    check_memory(loaded, network, usable)
    for line in advice.of(loaded, network):
        console.warn(line)
    Monitor(loaded, network.tally, build_data.validates(loaded.experiment), network.task.measures)
    return figures(loaded, network, usable)


def examine(
    configs: Sequence[str | Path | Config],
    sets: Sequence[str] = (),
    threads: int | None = None,
    sheet: Path | None = None,
    warn: Warn = None,
) -> tuple[dict[str, Any], DataError | None]:
    """What `check --json` prints: a survey of every file and, unless some cannot be read, all that precedes training.

    The error beside it says which cannot be read. Writes the manifest, and a contact sheet where asked for.
    Raises ConfigError, DataError or StorageError.
    """
    with one_look(), collector.resting():
        return _examine(load(configs, sets), threads, sheet, warn)


def _examine(
    loaded: Loaded, threads: int | None, sheet: Path | None, warn: Warn
) -> tuple[dict[str, Any], DataError | None]:
    aloud, warnings = Console("none", quiet=True, warned=warn), dict[str, None]()  # in order, each once

    def warned(text: str) -> None:
        warnings.setdefault(text)
        aloud.warn(text)

    console = Console("none", quiet=True, warned=warned)
    place = None if sheet is None else Output(sheet, PICTURE)
    blas.pin()
    advice.check_codes(loaded)
    usable = machine.threads(threads)
    with Pool(usable) as pool:
        pool.reserve()  # for likenesses, which are products of matrices
        found = attended(lambda: survey(loaded, pool))
    if found.files:
        try:
            manifest.keep(found.manifest, manifest.place(loaded.experiment))
        except StorageError as error:
            console.warn(f"{error}. Later runs will not notice changes to the files")
    name = loaded.experiment.name
    if found.unreadable:
        return {"name": name, "survey": found.document()}, unreadable(found)
    job = make_job(loaded, threads, console)
    found = found.validating(validation_indices(loaded, job.data))
    if place is not None:
        loader = build_data.loader(loaded.experiment, replace(job.data, lesson=None))
        shape = job.network.graph.input_shape
        place.write(contact_sheet(name, loader, job.data, shape, console.warn))
    for line in ancestry.warnings(job, warm_start(loaded, job.network)):
        console.warn(line)
    counts = _class_counts(loaded, job.data, reader(threads, console))
    document = found.document()
    for code, doubt in doubts(document).items():
        for line in advice.told(loaded, code, doubt):
            console.warn(line)
    told = figures(loaded, job.network, usable) | {"data": counts, "survey": document}
    return told | {"warnings": [*warnings]}, None


def _class_counts(loaded: Loaded, data: Data, reader: Reader) -> dict[str, dict[str, Any]]:
    """The samples of each split, in all and by class. Raises DataError for a test split unlike the training one."""
    splits = {"train": (data.train, data.train_indices)}
    if data.val is not None:
        splits["val"] = (data.val, data.val_indices)
    source = loaded.experiment.data.source
    assert isinstance(source, Dataset)
    if "test" in source.splits():
        test = build_data.load(loaded, source, "test", reader)
        if test.description != data.description:
            raise DataError(
                f"test samples are {told(test.description)}, training samples {told(data.description)}. Give both the "
                "same shape and class names"
            )
        splits["test"] = (test, np.arange(len(test)))
    return {
        name: {"samples": len(indices)} | data.task.census(images.targets[indices], data.description)
        for name, (images, indices) in splits.items()
    }
