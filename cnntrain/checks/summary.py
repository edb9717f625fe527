"""A summary describes a network in numbers: nodes, shapes, parameters, work, memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnntrain.config.fields import keys_of
from cnntrain.config.load import Loaded, load, problem
from cnntrain.config.mapping import Config
from cnntrain.core import machine
from cnntrain.core.description import Description
from cnntrain.core.errors import UsageError
from cnntrain.data import build_data
from cnntrain.engine import memory
from cnntrain.network import build
from cnntrain.network.build import Network
from cnntrain.network.graph import BATCH, INPUT, Graph, format_shape
from cnntrain.rundir.checkpoint import Checkpoint, find, read_meta
from cnntrain.trained import saved
from cnntrain.training.stepper import vectors


def summarize(targets: Sequence[Path | Config], sets: Sequence[str] = (), threads: int | None = None) -> dict[str, Any]:
    """What `summary --json` prints, for config files laid over each other, or one checkpoint or run directory."""
    places = [target for target in targets if isinstance(target, Path)]
    trained = [place for place in places if os.path.isdir(place) or place.suffix == ".npz"]
    if trained and len(targets) > 1:
        raise UsageError(f"{trained[0]} stands among several targets: give one run or checkpoint, or only configs")
    if trained:
        path = find(trained[0])
        loaded, description = saved.experiment(Checkpoint(path, read_meta(path), {}), sets)
    else:
        loaded = load(targets, sets)
        description = describe(loaded)
    return figures(loaded, build.network(loaded, description), machine.threads(threads))


def describe(loaded: Loaded) -> Description:
    """Shape and classes from the config alone where it tells them, else from the data."""
    return build_data.describe(loaded) or build_data.read_data(loaded).description


def described_without_data(loaded: Loaded) -> Description:
    """Shape and classes from the config alone. Raises ConfigError where it does not tell."""
    description = build_data.describe(loaded)
    if description is None:
        advice = "give 'shape' and 'classes' here" if can_declare(loaded) else "its files do; leave out --no-data"
        raise problem(loaded, "data.source", f"the config alone does not tell shape and classes: {advice}")
    return description


def can_declare(loaded: Loaded) -> bool:
    """Whether the source of the data has keys that tell shape and classes without its files."""
    source: type = type(loaded.experiment.data.source)
    return {"shape", "classes"} <= keys_of(source).keys()


def figures(loaded: Loaded, network: Network, threads: int) -> dict[str, Any]:
    """The numbers of a network, under its config's batch size and optimizer, on that many threads."""
    graph, batch_size = network.graph, loaded.experiment.train.batch_size
    slots = vectors(loaded.experiment)
    needed = memory.needed(graph, threads, batch_size, slots, tally=network.tally.size)
    return {
        "name": loaded.experiment.name,
        "input": format_shape(graph.input_shape),
        "task": network.task.name_in_config,
        "classes": list(network.classes),
        "values": network.data.values,
        "nodes": _nodes(graph),
        "parameters": graph.parameter_count(),
        "trained_parameters": sum(
            param.size
            for node in graph.nodes
            if node.trained
            for param in node.params.values()
            if param.role != "statistic"
        ),
        "flops": sum(graph.flops()),
        "shard": graph.shard,
        "batch_size": batch_size,
        "threads": threads,
        "memory_bytes": needed,
        "memory": machine.human(needed),
    }


def _nodes(graph: Graph) -> list[dict[str, Any]]:
    names = {BATCH: INPUT} | {index: node.name for index, node in enumerate(graph.nodes)}
    return [
        {
            "name": node.name,
            "type": node.layer.name_in_config,
            "inputs": [names[index] for index in node.inputs],
            "output": format_shape(node.shape),
            "parameters": sum(param.size for param in node.params.values() if param.role != "statistic"),
            "flops": flops,
        }
        for node, flops in zip(graph.nodes, graph.flops(), strict=True)
    ]
