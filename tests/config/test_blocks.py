"""Named blocks: what a use becomes, where its values come from, and everything that can be wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnntrain.config.dump import plain
from cnntrain.config.load import Loaded, load, load_plain
from cnntrain.core.errors import ConfigError
from cnntrain.network.graph import weave
from tests.support.configs import messages

CONFIG = """\
data: {source: {type: idx, root: digits, shape: [28, 28], classes: 10}}
train: {epochs: 1}
vars: {width: 6}
model:
  blocks:
    basic:
      parameters: {filters: null, stride: 1}
      layers:
        - {type: conv2d, filters: "${filters}", kernel_size: 3, stride: "${stride}", padding: same}
        - batch_norm
        - relu
    pair:
      parameters: {filters: 4}
      layers:
        - {type: basic, filters: "${filters}"}
        - {type: residual, body: [{type: basic, filters: "${filters}"}]}
  layers:
    - {type: basic, filters: "${vars.width}", stride: 2, name: stem}
    - pair
    - {type: global_avg_pool, from: stem}
    - {type: dense, units: auto}
"""


def read(folder: Path, *replacements: tuple[str, str], sets: tuple[str, ...] = ()) -> Loaded:
    text = CONFIG
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "c.yaml").write_text(text)
    return load([folder / "c.yaml"], sets)


def test_a_use_becomes_its_layers_under_its_name(tmp_path: Path) -> None:
    layers = read(tmp_path, ("{type: global_avg_pool, from: stem}", "global_avg_pool")).experiment.model.layers
    assert layers
    graph = weave(layers, (28, 28, 1), 10)
    assert [(node.name, node.shape) for node in graph.nodes if "conv" in node.name] == [
        ("stem.conv2d_1", (14, 14, 6)),
        ("sequential_1.sequential_1.conv2d_1", (14, 14, 4)),
        ("sequential_1.residual_1.sequential_1.conv2d_1", (14, 14, 4)),
    ]


def test_from_reads_a_block_by_the_name_of_its_use(tmp_path: Path) -> None:
    joined = "{type: concat, from: [stem, sequential_1]}\n    - global_avg_pool"
    layers = read(tmp_path, ("{type: global_avg_pool, from: stem}", joined)).experiment.model.layers
    assert layers
    graph = weave(layers, (28, 28, 1), 10)
    (concat,) = (node for node in graph.nodes if node.name == "concat_1")
    assert concat.shape == (14, 14, 6 + 4)
    assert [graph.nodes[i].name for i in concat.inputs] == [
        "stem.relu_1",
        "sequential_1.residual_1.add_1",
    ]


def test_a_block_set_to_null_is_none(tmp_path: Path) -> None:
    assert read(tmp_path, ("    pair:", "    gone: null\n    pair:")).experiment == read(tmp_path).experiment


def test_values_are_marked_where_they_are_written(tmp_path: Path) -> None:
    loaded = read(tmp_path)
    assert loaded.where("model.layers.0.body.0.stride").line == 18
    assert loaded.where("model.layers.0.body.0.kernel_size").line == 9
    assert loaded.where("model.layers.0.body.0.filters").line == 3
    assert loaded.where("model.layers.1.body.0.body.0.filters").line == 13


def test_what_is_resolved_holds_no_block_and_reads_back(tmp_path: Path) -> None:
    loaded = read(tmp_path)
    resolved = plain(loaded.experiment)
    assert "blocks" not in resolved["model"]
    assert load_plain(resolved, "checkpoint").experiment == loaded.experiment


def test_an_override_reaches_a_default(tmp_path: Path) -> None:
    loaded = read(tmp_path, sets=("model.blocks.pair.parameters.filters=9",))
    assert loaded.experiment.model.layers[1].part.body[0].part.body[0].part.filters == 9  # type: ignore[attr-defined,index]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('{type: basic, filters: "${vars.width}", stride: 2', "{type: basic, stride: 2",
         "missing key 'filters' of block 'basic'"),
        ("stride: 2, name", "strid: 2, name", "unknown key 'strid' of block 'basic'; did you mean 'stride'?"),
        ("    - pair\n", "", "nothing uses the block 'pair'; remove it, or set it to null"),
        ("stride: 1}", "stride: 1, x: 1}", "nothing in block 'basic' uses ${x}; remove it"),
        ('"${stride}"', '"${strides}"', "block 'basic' has no parameter 'strides'; did you mean 'stride'?"),
        ("    pair:", "    relu:", "a block cannot be called 'relu': a layer has that name"),
        ("stride: 2, name", "stride: 0, name", "stride must be at least 1, got 0"),
        ("        - relu\n", "        - relu\n        - pair\n",
         "blocks use each other in a circle: basic -> pair -> basic"),
        ("{filters: 4}", "{filters: 4, name: 1}", "a parameter cannot be called 'name'"),
        ("    pair:\n", "    pair:\n      more: 1\n", "unknown key 'more' of block 'pair'; known: parameters, layers"),
        ("    pair:", "    third: [relu]\n    pair:",
         "third: expected a mapping with 'layers' and, if any, 'parameters'"),
        ('"${filters}", kernel', '"a${filters}", kernel', "unknown reference '${filters}'; only ${vars.NAME} and"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_located(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, (old, new))
    assert any(found.startswith(message) for found in messages(raised))
    assert all(problem.where.file.endswith("c.yaml") for problem in raised.value.problems)


def test_blocks_cannot_multiply_without_bound(tmp_path: Path) -> None:
    names = "abcdefgh"
    lines = [
        f"    {n}: {{layers: [{', '.join([f'{m}'] * 9)}]}}" for n, m in zip(names, [*names[1:], "relu"], strict=True)
    ]
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, ("  layers:\n    - {type: basic", "  layers:\n    - a\n    - {type: basic"),
             ("    basic:\n", "\n".join(lines) + "\n    basic:\n"))  # fmt: skip
    assert "the blocks expand to more than 20000 values" in messages(raised)[-1]
