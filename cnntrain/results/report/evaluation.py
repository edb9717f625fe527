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
    columns = [judged.split, *(["test"] if judged.beside else [])]
    rows = [[name.replace("_", " "), *(number(one.get(name)) for one in (found, judged.beside)[: len(columns)])]
            for name in found]  # fmt: skip
    numbers = table(["metric", *columns], rows, right={1, 2})
    layers = figures(trained.loaded, trained.network, 1)
    layers_told = [
        [node["name"], node["type"], node["output"], f"{node['parameters']:,}", f"{node['flops'] / 1e6:,.2f}"]
        for node in layers["nodes"]
    ]
    network = table(["layer", "type", "output", "parameters", "MFLOP"], layers_told, right={3, 4})
    note = f"{step}, on {counts}. {trained.network.task.verdict(judged.evaluation)} {judged.missing}".rstrip()
    return section("Evaluation", numbers, folded("Network, layer by layer", network), note=note, half=True)
