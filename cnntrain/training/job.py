"""A job is everything that training needs and that can be built, and found wrong, before there is a run directory."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnntrain.config.load import Loaded, load, problem
from cnntrain.config.mapping import Config
from cnntrain.config.tree import SET
from cnntrain.core import collector, machine
from cnntrain.core.console import Console
from cnntrain.core.errors import ConfigError, Problem
from cnntrain.data import build_data, manifest
from cnntrain.data.build_data import Data
from cnntrain.data.identity import SampleIdentity, identify
from cnntrain.data.loader import Loader
from cnntrain.data.manifest import Manifest
from cnntrain.engine import memory
from cnntrain.engine.pool import Pool
from cnntrain.network import build
from cnntrain.network.build import Network
from cnntrain.parts.schedules.base import Horizon
from cnntrain.reading.folders import one_look
from cnntrain.reading.reader import CACHE, Reader
from cnntrain.training import advice, rates
from cnntrain.training.monitor import Monitor
from cnntrain.training.rates import horizon
from cnntrain.training.stepper import Stepper, vectors
from cnntrain.training.teacher import learn

Precheck = Callable[[Loaded, Network, int], object]  # refuses what does not fit in memory, on this many threads


@dataclass(frozen=True)
class Job:
    """The config, and all that was made from it and from the data."""

    loaded: Loaded
    data: Data
    network: Network
    loader: Loader  # the batches of training
    monitor: Monitor
    manifest: Manifest  # the files the data is read from

    @functools.cached_property
    def identities(self) -> tuple[SampleIdentity, SampleIdentity]:
        """The identities of the training and of the validation samples."""
        data = self.data
        if data.val is data.train:  # in one go, since rows that lie side by side are read together
            every = np.union1d(data.train_indices, data.val_indices)
            known = identify(data.train, every)
            train, val = (known.take(np.searchsorted(every, part)) for part in (data.train_indices, data.val_indices))
            return train, val
        val_images = data.train if data.val is None else data.val
        return identify(data.train, data.train_indices), identify(val_images, data.val_indices)

    @property
    def horizon(self) -> Horizon:
        """How long training is."""
        return horizon(self.loaded.experiment, self.loader.steps_per_epoch, len(self.loader.indices))

    def stepper(self, pool: Pool) -> Stepper:
        """The stepper that takes its steps on the pool's workers. Raises MemoryError where there is too little."""
        larger = self.monitor.larger
        return Stepper(self.loaded, self.network, self.loader.step, self.horizon, pool, larger=larger)


def prepare(
    configs: Sequence[str | Path | Config],
    sets: Sequence[str] = (),
    threads: int | None = None,
    warn: Callable[[str], None] | None = None,
) -> Job:
    """The job of some configs, data included, without a run directory. Raises ConfigError or DataError.

    `warn` is told of every warning; None prints them.
    """
    return make_job(load(configs, sets), threads, Console("none", warned=warn))


def make_job(loaded: Loaded, threads: int | None, console: Console, check: Precheck | None = None) -> Job:
    """Build a job; the network first if the config tells the shapes: a wrong layer should not wait for the data."""
    build_data.check_validation(loaded)
    with one_look(), collector.resting():
        return _make_job(loaded, threads, console, check or check_memory)


def _make_job(loaded: Loaded, threads: int | None, console: Console, check: Precheck) -> Job:
    advice.check_codes(loaded)
    usable = machine.threads(threads)
    description = build_data.describe(loaded)
    network = None if description is None else build.network(loaded, description)
    if network is not None:
        check(loaded, network, usable)
    known = manifest.read(manifest.place(loaded.experiment))
    listed = manifest.of(loaded.experiment, known)
    if known is not None:
        for line in manifest.warnings(known, listed, "'cnntrain check' read it", "Run it again"):
            console.warn(line)
    data = build_data.read_data(loaded, reader(threads, console))
    if network is None or data.description != description:
        network = build.network(loaded, data.description)
    data = build_data.measured(data)
    network = build.balanced(loaded, network, data.occurrences)
    check(loaded, network, usable)
    build_data.check_targets(loaded, data)
    data = learn(loaded, data, usable)
    loader = build_data.loader(loaded.experiment, data)
    check_batches(network, loader)
    length = horizon(loaded.experiment, loader.steps_per_epoch, len(loader.indices))
    rates.check(loaded, length)
    for line in advice.of(loaded, network, length, data):
        console.warn(line)
    monitor = Monitor(loaded, network.tally, data.val is not None, network.task.measures)
    for line in advice.told(loaded, "raw-weights-judged", monitor.advice):
        console.warn(line)
    return Job(loaded, data, network, loader, monitor, listed)


def check_memory(loaded: Loaded, network: Network, threads: int) -> int:
    """Bytes a training run needs besides its data. Raises ConfigError where the machine does not have them."""
    slots = vectors(loaded.experiment)
    needed = memory.needed(network.graph, threads, loaded.experiment.train.batch_size, slots, tally=network.tally.size)
    available = machine.available()
    counting = needed - memory.needed(network.graph, threads, loaded.experiment.train.batch_size, slots)
    if needed > available and counting > needed / 2:
        largest = max(network.tally.metrics, key=lambda metric: metric.length(network.tally.outputs))
        raise problem(
            loaded,
            "train.metrics",
            f"training needs {machine.human(needed)} of memory, {machine.human(counting)} of it for what metrics count "
            f"of {network.tally.outputs:,} outputs, most in {largest.label()}, but this machine has "
            f"{machine.human(available)}. Leave {largest.label()} out",
        )
    if needed > available:
        raise problem(
            loaded,
            "train.batch_size" if loaded.where("train.batch_size").file == SET else "model",
            f"training needs {machine.human(needed)} of memory for {network.graph.parameter_count():,} parameters at "
            f"batch size {loaded.experiment.train.batch_size}, but this machine has {machine.human(available)}: "
            "make the network or the batch smaller",
        )
    return needed


def reader(threads: int | None, console: Console) -> Reader:
    """The reader of the data, with this machine's threads and memory."""
    return Reader(machine.threads(threads), CACHE, machine.available(), console.say, console.warn)


def check_batches(network: Network, loader: Loader) -> None:
    """Raise ConfigError where a batch is too small for a layer that takes statistics over it."""
    smallest = len(loader.indices) % loader.batch_size or loader.batch_size
    for index, node in enumerate(network.graph.nodes):
        if node.coupled and smallest * node.rows * math.prod(network.graph.input_shapes(index)[0][:-1]) < 2:
            raise ConfigError(
                Problem(
                    node.where,
                    f"{node.name} would get a batch with one value per channel, which has no variance: of "
                    f"{len(loader.indices)} samples in batches of {loader.batch_size} the last has {smallest}. "
                    "Choose another train.batch_size",
                )
            )
