"""A summary describes a network in numbers: nodes, shapes, parameters, work, memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnntrain import build, resources
from cnntrain.build import Network, problem
from cnntrain.checkpoint import find, read_meta
from cnntrain.config.load import Loaded, load, load_plain
from cnntrain.datasets.base import Description
from cnntrain.graph import format_shape


def summarize(target: Path, sets: Sequence[str] = ()) -> dict[str, Any]:
    """What `summary --json` prints, for a config file, a checkpoint or a run directory."""
    if target.is_dir() or target.suffix == ".npz":
        path = find(target)
        meta = read_meta(path)
        loaded = load_plain(meta["config"], str(path), sets)
        description = Description(tuple(meta["image_shape"]), tuple(meta["classes"]), meta["values"])
    else:
        loaded = load([target], sets)
        description = describe(loaded)
    return figures(loaded, build.network(loaded, description))


def describe(loaded: Loaded) -> Description:
    """Shape and classes from the config alone where it tells them, else from the data."""
    return build.describe(loaded) or build.read_data(loaded).description


def described_without_data(loaded: Loaded) -> Description:
    """Shape and classes from the config alone. Raises ConfigError where it does not tell."""
    description = build.describe(loaded)
    if description is None:
        raise problem(
            loaded, "data.source", "the config alone does not tell shape and classes: give 'shape' and 'classes' here"
        )
    return description


def figures(loaded: Loaded, network: Network) -> dict[str, Any]:
    """The numbers of a network, under its config's batch size and optimizer."""
    graph, threads = network.graph, resources.threads()
    batch_size = loaded.experiment.train.batch_size
    slots = build.vectors(loaded.experiment)
    return {
        "input": format_shape(graph.input_shape),
        "classes": list(network.classes),
        "nodes": [
            {
                "name": node.name,
                "type": node.layer.name_in_config,
                "output": format_shape(node.shape),
                "parameters": sum(p.size for p in node.params.values() if p.role != "statistic"),
                "flops": flops,
            }
            for node, flops in zip(graph.nodes, graph.flops(), strict=True)
        ],
        "parameters": graph.parameter_count(),
        "flops": sum(graph.flops()),
        "shard": graph.shard,
        "batch_size": batch_size,
        "threads": threads,
        "memory_bytes": resources.needed(graph, threads, batch_size, slots),
        "memory": resources.human(resources.needed(graph, threads, batch_size, slots)),
    }
