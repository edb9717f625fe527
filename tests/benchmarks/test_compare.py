"""The benchmarks' own parts that need no other framework: the networks are what they are called, the sums are right."""

from __future__ import annotations

import io
import sys

import pytest

from cnntrain.engine.pool import Pool
from tests.benchmarks import own, peers
from tests.benchmarks.compare import Row, means
from tests.benchmarks.networks import NETWORKS
from tests.benchmarks.table import table

PARAMETERS = {  # counted by hand, or from the papers
    "mlp": 784 * 512 + 512 + 512 * 10 + 10,
    "lenet": 431_080,  # LeNet as Caffe has it
    "resnet18": 11_689_512,  # as torchvision counts
    "mobilenet_v2": 3_504_872,
    "resnet20": 269_722 + 16 * 32 + 32 * 64 + 2 * (32 + 64),  # He et al. 2015, and shortcuts with weights
}


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_can_be_built(network):
    with Pool(1) as pool:
        graph = own.stepper_of(network, 4, pool).engine.graph
        assert graph.output_shape == (NETWORKS[network].classes,)
        assert graph.parameter_count() == PARAMETERS.get(network, graph.parameter_count())


def test_the_operations_of_a_step_leave_out_the_gradient_in_the_batch():
    first, second = 2 * 784 * 512, 2 * 512 * 10
    assert own.gflop_of("mlp", 64, inference=False) == pytest.approx(64 * (2 * first + 3 * second) / 1e9, rel=0.01)
    assert own.gflop_of("mlp", 64, inference=True) == pytest.approx(64 * (first + second) / 1e9, rel=0.01)


def test_a_peer_takes_the_steps_it_is_told_to(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["peers", "cnntrain", "mlp", "4"])
    monkeypatch.setattr(sys, "stdin", io.StringIO("2\n1\n\n"))
    monkeypatch.setattr(peers.os, "sched_setaffinity", lambda *_: None)
    peers.main()
    ready, two, one, peak = capsys.readouterr().out.split()
    assert ready == "ready"
    assert float(two) > 0 < float(one)
    assert int(peak) > 10e6


def row(**seconds: list[float]) -> Row:
    named = {name.replace("_", "-"): values for name, values in seconds.items()}
    return Row("mlp", 64, False, 1.0, named | {"gemm": [0.02] * 3}, dict.fromkeys(named, 10**8))


def test_ratios_are_to_the_best_mode_and_of_the_same_alternation():
    found = row(
        cnntrain=[1.0, 2.0, 1.0], torch_eager=[3.0, 3.0, 3.0], torch_compile=[1.0, 3.0, 1.5], tensorflow_xla=[1, 1, 1]
    )
    assert found.best("torch") == "torch-compile"
    assert found.best("torch", "tensorflow") == "tensorflow-xla"
    assert found.ratios("torch-compile") == [1.0, 1.5, 1.5]
    assert found.ceiling == pytest.approx(2 * 2 * 1024**3 / 0.02 / 1e9)
    assert means([found, found]) == pytest.approx({"PyTorch": 1.5, "TensorFlow": 1.0, "the better of both": 1.0})
    assert "TensorFlow" not in means([row(cnntrain=[1.0], torch_eager=[2.0])])


def test_the_table_has_the_best_modes_and_the_spread():
    found = row(cnntrain=[1.0, 2.0, 1.0], torch_eager=[3.0, 3.0, 3.0], tensorflow_xla=[1, 1, 1], torch_compile=[4] * 3)
    last = table([found]).splitlines()[-1]
    assert last == (
        "| mlp | 64 | 64 | 21 (eager) | **3.00** (1.50 to 3.00) | 64 (xla) | **1.00** (0.50 to 1.00) | 0% | "
        "100 / 100 / 100 MB |"
    )
