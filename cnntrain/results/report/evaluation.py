"""The evaluation is every metric of a split, and the network it was measured on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cnntrain.checks.summary import figures
from cnntrain.core.counts import counted
from cnntrain.results.report.html import Markup, element, escape, folded, number, section, table
from cnntrain.results.report.judged import Judged


def of(judged: Judged) -> Markup:
    """The metrics of the split, and the network layer by layer."""
    trained = judged.trained
    counts = f"{counted(len(judged.indices), 'sample')} of {judged.split}"
    step = f"{trained.path.name} of step {trained.step:,}" + (", averaged weights" if trained.averaged else "")
    found = judged.measured
    columns = [judged.split, *(["test"] if judged.beside else [])]
    rows = [[name.replace("_", " "), *(number(one.get(name)) for one in (found, judged.beside)[: len(columns)])]
            for name in found]  # fmt: skip
    numbers = table(["metric", *columns], rows, right={1, 2})
    layers = figures(trained.loaded, trained.network, 1)
    layers_told = [
        [_layer(node), node["output"], f"{node['parameters']:,}", f"{node['flops'] / 1e6:,.2f}"]
        for node in layers["nodes"]
    ]
    network = table(["layer", "output", "parameters", "MFLOP"], layers_told, right={1, 2, 3})
    note = f"{step}, on {counts}. {trained.network.task.verdict(judged.evaluation)} {judged.missing}".rstrip()
    return section("Evaluation", numbers, folded("Network, layer by layer", network), note=note, half=True)


def _layer(node: Mapping[str, Any]) -> Markup:
    """A layer's name, which may be broken between its words, and its type unless the name is made from that."""
    name, kind = node["name"], node["type"]
    words = Markup(re.sub(r"([._])(?!\d)", r"\1<wbr>", escape(name)))
    named_after = re.fullmatch(rf"{re.escape(kind)}(_\d+)?", name.rpartition(".")[2])
    return element("span", words, "" if named_after else element("small", f" {kind}"))
