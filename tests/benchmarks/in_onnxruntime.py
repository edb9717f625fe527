"""The reference networks in ONNX Runtime, as cnntrain exports them: outputs alone, for it does not train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from cnntrain.engine.pool import Pool
from cnntrain.ops.trace import Trace, Value
from cnntrain.results.export import onnx_file
from cnntrain.results.export.network import Exported, trace_graph
from tests.benchmarks import own


def exported(network: str) -> bytes:
    """A reference network with its first weights as an ONNX model, batch norms folded as the command does."""
    with Pool(1) as pool:
        engine = own.stepper_of(network, 1, pool).engine
        trace, images = Trace(), Value("images", engine.graph.input_shape)
        params = [engine.node_params(index) for index in range(len(engine.graph.nodes))]
        output = trace_graph(trace, engine.graph, params, images, fold=True)
        return onnx_file.model(Exported(network, Path(), 0, trace, images, output, (), ()))


def step_of(network: str, batch: int, threads: int) -> Callable[[], object]:
    """The outputs of a batch."""
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(exported(network), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    height, width, channels = own.NETWORKS[network].shape
    x = np.random.default_rng(0).random((batch, channels, height, width), np.float32)
    return lambda: session.run(None, {given.name: x})
