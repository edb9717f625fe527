"""The evaluation is every metric of a split, and the network it was measured on."""

from __future__ import annotations

from cnntrain.checks.summary import figures
from cnntrain.results.report.html import Markup, folded, number, section, table
from cnntrain.results.report.judged import Judged


def of(judged: Judged) -> Markup:
    """The metrics of the split, and the network layer by layer."""
    trained = judged.trained
    counts = f"{len(judged.indices):,} samples of {judged.split}"
    step = f"{trained.path.name} of step {trained.step:,}" + (", averaged weights" if trained.averaged else "")
    found = judged.measured
    numbers = table(["metric", "value"], [[name.replace("_", " "), number(v)] for name, v in found.items()], right={1})
    layers = figures(trained.loaded, trained.network, 1)
    rows = [
        [node["name"], node["type"], node["output"], f"{node['parameters']:,}", f"{node['flops'] / 1e6:,.2f}"]
        for node in layers["nodes"]
    ]
    network = table(["layer", "type", "output", "parameters", "MFLOP"], rows, right={3, 4})
    note = f"{step}, on {counts}. {trained.network.task.verdict(judged.evaluation)}".rstrip()
    return section("Evaluation", numbers, folded("Network, layer by layer", network), note=note, half=True)
