"""The interpreter of exported pages under Node, for tests of what it computes."""

from __future__ import annotations

import atexit
import base64
import functools
import json
import shutil
import subprocess
from typing import Any

import pytest

from cnntrain.results.export import page_file

_ASKED = """
import {createInterface} from "node:readline";
const kinds = {
  operations: () => Object.keys(OPERATIONS),
  answers: () => Object.keys(ANSWERS),
  run: ({trace, weights, inputs}) => {
    const network = new Network(trace, decoded(weights));
    return inputs.map((pixels) => [...network.run(pixels)]);
  },
  resized: ({pixels, picture, channels, size, box, filter, pillow}) =>
    [...resized(Uint8Array.from(pixels), picture, channels, size, box, filter, pillow)],
  fitted: ({pixels, picture, channels, size, fit, pillow}) =>
    [...fitted(Uint8Array.from(pixels), picture, channels, size, fit, pillow)],
  coloured: ({pixels, channels}) => [...coloured(pixels, channels)],
  answer: ({outputs, asked, about}) => ANSWERS[asked.as](Float32Array.from(outputs), asked, about),
  measured: ({values}) => values.map(measured),
  field: ({trace, weights, places}) => {
    const network = new Network(trace, decoded(weights));
    return places.map(([value, row, column]) => field(network, value, row, column));
  },
};
createInterface({input: process.stdin}).on("line", (line) => {
  const {kind, ...given} = JSON.parse(line);
  let found;
  try { found = {found: kinds[kind](given)}; } catch (error) { found = {error: String(error.stack)}; }
  process.stdout.write(JSON.stringify(found) + "\\n");
});
"""


class Interpreter:
    """A process that answers one question on each line."""

    def __init__(self, node: str) -> None:
        modules = ("operations", "network", "pillow", "answers", "field")
        code = page_file.script(modules) + _ASKED
        arguments = [node, "--input-type=module", "--eval", code]
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        atexit.register(self._process.kill)

    def ask(self, kind: str, **given: Any) -> Any:
        """What one of the functions above returns."""
        self._process.stdin.write(json.dumps({"kind": kind, **given}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["found"]

    def run(self, asked: dict[str, Any], weights: bytes) -> Any:
        """The outputs for each input."""
        return self.ask("run", **asked, weights=base64.b64encode(weights).decode())


@functools.cache
def _started(node: str) -> Interpreter:
    return Interpreter(node)


def interpreter() -> Interpreter:
    """One for all tests of a process; the test is skipped where Node is absent."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node: apt-get install nodejs")
    return _started(node)
