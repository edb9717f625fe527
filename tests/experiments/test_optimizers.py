"""configs/experiments/optimizers.sh: eight runs of one network, and one table."""

from __future__ import annotations

import json
import signal

from cnntrain.config.dump import plain
from cnntrain.config.load import leaves, load

NAMES = [f"{name}{tail}" for name in ("sgd", "momentum", "adagrad", "adam") for tail in ("", "-dropout")]


def test_stopped_in_the_middle_and_run_again_it_ends_with_a_table_of_eight(desk):
    config = str(desk.config("tiny"))
    script = desk.start("optimizers.sh", "-q", CONFIG=config, RUNS="out", EPOCHS="100000")
    desk.training("out/sgd")
    script.send_signal(signal.SIGTERM)
    code, table, err = desk.end(script)
    assert code == 143
    assert len(table) == 9
    assert all(line.split()[2:] == ["-"] * 4 for line in table[1:])
    assert err.count("+ cnntrain") == 1
    code, table, err = desk.run("optimizers.sh", "-q", CONFIG=config, RUNS="out", EPOCHS="1")
    assert code == 0, err
    assert table[0].split("  ")[0] == "optimizer"
    assert len({len(line) for line in table}) == 1, "the columns are aligned"
    assert [line.split()[:2] for line in table[1:]] == [
        [name, dropout] for name in ("sgd", "momentum", "adagrad", "adam") for dropout in ("no", "yes")
    ]
    for line, name in zip(table[2:], NAMES[1:], strict=True):  # the first was resumed, beyond its one epoch
        test = json.loads((desk.folder / f"out/{name}.eval.json").read_text())
        status = json.loads((desk.folder / f"out/{name}/status.json").read_text())
        assert status["best"]["metric"] == "val/accuracy"
        figures = ["1", *(f"{value:.4f}" for value in (status["best"]["value"], test["accuracy"], test["loss"]))]
        assert line.split()[2:] == figures
    used = [load([desk.folder / f"out/{name}/config.resolved.yaml"]).experiment for name in NAMES]
    assert [used[i].optimizer.name_in_config for i in range(0, 8, 2)] == ["sgd", "sgd", "adagrad", "adam"]
    assert [dict(leaves(plain(config)))["model.layers.3.rate"] for config in used] == [0, 0.3] * 4
    assert [getattr(config.optimizer, "momentum", None) for config in used[:4]] == [0, 0, 0.9, 0.9]


def test_where_every_run_fails_the_table_is_empty_and_the_exit_code_says_why(desk):
    config = str(desk.config("tiny"))
    (desk.folder / "bin/cnntrain").write_text("#!/bin/sh\necho a wrong config >&2\nexit 2\n")
    code, table, err = desk.run("optimizers.sh", CONFIG=config)
    assert code == 2
    assert [line.split()[2:] for line in table[1:]] == [["-"] * 4] * 8
    assert err.splitlines().count("a wrong config") == 8


def test_started_in_the_wrong_place_it_says_where_it_belongs(desk):
    code, table, err = desk.run("optimizers.sh")
    assert (code, table) == (2, [])
    assert "configs/quickstart.yaml" in err
    assert "root of the repository" in err
