"""A sweep on a Dask cluster of real processes: workers and schedulers are killed, and every cell is trained once."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import cnntrain
from cnntrain.cli import main
from cnntrain.cli import sweep as command
from cnntrain.core.extras import install
from cnntrain.sweep import child, remote
from cnntrain.sweep import cluster as module
from tests.support.dask import DaskCluster
from tests.support.experiments import call, evidence, run, start, write
from tests.sweep.test_processes import finished
from tests.sweep.test_sight import SYNTHETIC, save

pytestmark = pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="comes with the extra `dask`")

SEED = random.randrange(10**6)
PATIENCE = 180
ROOT = Path(cnntrain.__file__).parents[1]
CELLS = "config: full.yaml\nset: {train.epochs: EPOCHS}\ngrid: {optimizer.lr: [0.1, 0.05]}\nseeds: SEEDS\n"
ENDLESS = """\
config: full.yaml
set: {train.epochs: 100000, train.early_stopping: null, checkpoint.every: 1ep}
seeds: 2
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


@pytest.fixture
def cluster(desk: Path) -> Iterator[DaskCluster]:
    cluster = DaskCluster(desk / "cluster")
    yield cluster
    cluster.close()


def begun(desk: Path, text: str, cluster: DaskCluster) -> subprocess.Popen[str]:
    (desk / "sweep.yaml").write_text(text)
    process = start("sweep", "sweep.yaml", "--dask", cluster.address, "--json", cwd=desk)
    cluster.others.append(process)
    return process


def wait_for(process: subprocess.Popen[str], *paths: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not all(path.exists() and b'"train"' in path.read_bytes() for path in paths):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def check(desk: Path, document: dict[str, object], cells: int) -> None:
    """Every cell is finished once, with the bits of a run alone."""
    assert Counter(cell["state"] for cell in document["cells"]) == {"finished": cells}, f"seed {SEED}"
    for cell in document["cells"][:: max(cells // 2, 1)]:
        straight = desk / f"straight-{cell['name']}"
        run(desk / "full.yaml", straight, tuple(f"{key}={text}" for key, text in cell["settings"].items()))
        assert evidence(desk / cell["run_dir"]) == evidence(straight), f"seed {SEED}"


def killed_in_turn(
    desk: Path, cluster: DaskCluster, text: str, kills: int, longest: float, patience: float = PATIENCE
) -> dict[str, object]:
    """A sweep while workers are killed at random and others take their places."""
    rng = random.Random(SEED)
    process = begun(desk, text, cluster)
    before: dict[str, tuple[int, bytes]] = {}
    for _ in range(kills):
        time.sleep(rng.uniform(0.2, longest))
        if process.poll() is not None:
            break
        worker = rng.choice([one for one in cluster.workers if one.poll() is None])
        worker.kill()
        worker.wait()
        cluster.start_worker()
        now = finished(desk / "runs/sweep")
        assert {name: now[name] for name in before} == before, "a finished run was trained again"
        before = now
    out, err = process.communicate(timeout=patience)
    assert process.returncode == 0, (SEED, err)
    now = finished(desk / "runs/sweep")
    assert {name: now[name] for name in before} == before, "a finished run was trained again"
    return json.loads(out)


def test_cells_of_lost_workers_are_trained_by_others_once(desk, cluster):
    for _ in range(2):
        cluster.start_worker()
    text = CELLS.replace("EPOCHS", "8").replace("SEEDS", "2")
    document = killed_in_turn(desk, cluster, text, 2, 6.0)
    check(desk, document, 4)


@pytest.mark.faults
def test_of_24_cells_on_4_workers_of_which_10_are_killed_each_is_trained_once(desk, cluster):
    for _ in range(4):
        cluster.start_worker()
    text = CELLS.replace("EPOCHS", "6").replace("SEEDS", "12")
    began = time.monotonic()
    document = killed_in_turn(desk, cluster, text, 10, 8.0, 1200)
    print(f"24 cells on 4 workers, 10 killed: {time.monotonic() - began:.0f} s")
    check(desk, document, 24)
    began = time.monotonic()
    code, _, err = call("sweep", "sweep.yaml", "-o", "local", "-p", "4", "-j", "4", cwd=desk, patience=1200)
    print(f"24 cells by the local sweep, 4 at a time: {time.monotonic() - began:.0f} s")
    assert code == 0, err


def test_where_the_scheduler_is_killed_and_started_again_the_sweep_goes_on(desk, cluster):
    cluster.start_worker()
    process = begun(desk, CELLS.replace("EPOCHS", "30").replace("SEEDS", "1"), cluster)
    wait_for(process, desk / "runs/sweep/lr=0.1,seed=0/metrics.jsonl")
    cluster.scheduler.kill()
    cluster.scheduler.wait()
    cluster.workers[0].wait(PATIENCE)  # a worker without a scheduler leaves
    cluster.start_scheduler()
    cluster.start_worker()
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    check(desk, json.loads(out), 2)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_has_every_run_save_and_stop(desk, cluster, number, code):
    for _ in range(2):
        cluster.start_worker()
    process = begun(desk, ENDLESS, cluster)
    runs = [desk / f"runs/sweep/seed={seed}" for seed in (0, 1)]
    wait_for(process, *(path / "metrics.jsonl" for path in runs))
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, err
    assert {cell["exit_code"] for cell in json.loads(out)["cells"]} == {143}
    states = [json.loads((path / "status.json").read_text()) for path in runs]
    assert [(state["state"], state["exit_code"]) for state in states] == [("interrupted", 143)] * 2


def test_two_sweeps_on_one_worker_stop_each_for_itself(desk, cluster):
    """The one that is stopped waits for its turn behind a cell of the same name of the other."""
    cluster.start_worker()
    first = begun(desk, ENDLESS.replace("seeds: 2", "seeds: 1"), cluster)
    status = desk / "runs/sweep/seed=0/status.json"
    wait_for(first, status.with_name("metrics.jsonl"))
    second = start("sweep", "sweep.yaml", "--dask", cluster.address, "-o", "second", cwd=desk)
    cluster.others.append(second)
    assert second.stderr is not None
    while "begins" not in second.stderr.readline():
        assert second.poll() is None
    second.send_signal(signal.SIGTERM)
    assert second.wait(PATIENCE) == 143
    assert not (desk / "second/seed=0").exists()
    assert first.poll() is None
    assert json.loads(status.read_text())["state"] == "running"


def test_a_worker_that_hangs_keeps_nobody_waiting(desk, cluster):
    for _ in range(2):
        cluster.start_worker()
    process = begun(desk, ENDLESS, cluster)
    runs = [desk / f"runs/sweep/seed={seed}" for seed in (0, 1)]
    wait_for(process, *(path / "metrics.jsonl" for path in runs))
    cluster.workers[0].send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    cluster.workers[0].send_signal(signal.SIGCONT)
    assert process.returncode == 143
    assert sorted(cell["exit_code"] for cell in json.loads(out)["cells"]) == [5, 143]
    assert "has not answered for 10 seconds: seed=" in err
    assert "its worker was lost while the sweep stopped" in err


def test_a_worker_that_hangs_from_the_start_gets_nothing_and_is_named(desk, cluster, monkeypatch, capsys):
    workers = [cluster.start_worker() for _ in range(2)]
    (desk / "sweep.yaml").write_text(CELLS.replace("EPOCHS", "2").replace("SEEDS", "1"))
    monkeypatch.setattr(module, "_ANSWER", 0.5)
    with import_module("distributed").Client(cluster.address) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
    workers[0].send_signal(signal.SIGSTOP)
    code = main(["sweep", "sweep.yaml", "--dask", cluster.address])
    workers[0].send_signal(signal.SIGCONT)
    said = capsys.readouterr().err
    assert code == 0, said
    assert "has not answered for 0 seconds: it gets no run until it does" in said
    assert not [*(desk / "runs/sweep").glob(".probe-*")]


def test_a_worker_that_saw_other_configs_for_a_while_takes_part_again(desk, cluster, monkeypatch, capsys):
    cluster.start_worker()
    (desk / "sweep.yaml").write_text(CELLS.replace("EPOCHS", "1").replace("SEEDS", "1"))
    config, begin, warn = desk / "full.yaml", module.DaskExecutor.begin, command._Board.warn
    text = config.read_text()

    def edited(self, standing, waiting):
        if not self._begun:
            config.write_text(text.replace("batch_size: ", "batch_size: 1"))
        return begin(self, standing, waiting)

    def mended(self, line):
        warn(self, line)
        config.write_text(text)

    monkeypatch.setattr(module.DaskExecutor, "begin", edited)
    monkeypatch.setattr(command._Board, "warn", mended)
    monkeypatch.setattr(module, "_AGAIN", 0.0)
    assert main(["sweep", "sweep.yaml", "--dask", cluster.address, "--json"]) == 2
    said = capsys.readouterr()
    assert [cell["state"] for cell in json.loads(said.out)["cells"]] == ["wrong config", "finished"]
    assert said.err.count(f"does not take part: {config} was edited since this sweep has read it. Undo that, or") == 1


def test_where_the_last_worker_sees_other_configs_for_long_the_sweep_ends(desk, cluster, monkeypatch, capsys):
    cluster.start_worker()
    (desk / "sweep.yaml").write_text(CELLS.replace("EPOCHS", "1").replace("SEEDS", "1"))
    config, begin = desk / "full.yaml", module.DaskExecutor.begin
    text = config.read_text()

    def edited(self, standing, waiting):
        config.write_text(text.replace("batch_size: ", "batch_size: 1"))
        return begin(self, standing, waiting)

    monkeypatch.setattr(module.DaskExecutor, "begin", edited)
    monkeypatch.setattr(module, "_ABSENCE", 3.0)
    monkeypatch.setattr(module, "_AGAIN", 1.0)
    assert main(["sweep", "sweep.yaml", "--dask", cluster.address]) == 2
    said = capsys.readouterr().err
    assert said.count("does not take part") == said.count("was edited since this sweep has read it") == 1
    assert "no worker can take part, for the reasons above" in said.splitlines()[-1]


def test_a_finished_sweep_needs_no_data(desk, cluster, monkeypatch, capsys):
    save(desk / "data", 1)
    config = desk / "full.yaml"
    config.write_text(config.read_text().replace(SYNTHETIC, "{type: npz, path: data/digits.npz}"))
    cluster.start_worker()
    (desk / "sweep.yaml").write_text(CELLS.replace("EPOCHS", "1").replace("SEEDS", "1"))
    words = ["sweep", "sweep.yaml", "--dask", cluster.address]
    assert main(words) == 0, capsys.readouterr().err
    (desk / "data/digits.npz").unlink()
    assert main(words) == 0
    assert "take part" not in capsys.readouterr().err


def test_a_scheduler_that_goes_before_the_first_worker_has_come_is_told(desk, cluster, monkeypatch, capsys):
    (desk / "sweep.yaml").write_text(CELLS.replace("EPOCHS", "1").replace("SEEDS", "1"))
    look = module.DaskExecutor.look

    def gone(self):
        cluster.scheduler.kill()
        return look(self)

    monkeypatch.setattr(module.DaskExecutor, "look", gone)
    monkeypatch.setattr(module, "_ABSENCE", 1.0)
    assert main(["sweep", "sweep.yaml", "--dask", cluster.address]) == 5
    assert f"the Dask scheduler at {cluster.address} has not answered for 1 seconds" in capsys.readouterr().err


def test_a_worker_that_looks_for_long_is_named_once(desk, cluster, monkeypatch, capsys):
    cluster.start_worker()
    (desk / "sweep.yaml").write_text(CELLS.replace("EPOCHS", "1").replace("SEEDS", "1"))
    monkeypatch.setattr(module, "_LOOK", 0.0)
    assert main(["sweep", "sweep.yaml", "--dask", cluster.address]) == 0
    said = capsys.readouterr().err
    assert said.count("has looked at configs and data for 0 seconds: it gets no run until it has seen them") == 1


@pytest.mark.parametrize("restarted", [False, True])
def test_ctrl_c_in_a_terminal_has_the_runs_of_local_workers_save(desk, restarted):
    """It is sent to the group of processes of which those workers are members, too, also one that came later."""
    (desk / "sweep.yaml").write_text(ENDLESS)
    words = ["sweep", "sweep.yaml", "--dask", "local:2", "--json", "-j", "2"]
    process = subprocess.Popen(
        child.command(words), cwd=desk, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )
    try:
        runs = [desk / f"runs/sweep/seed={seed}" for seed in (0, 1)]
        wait_for(process, *(path / "metrics.jsonl" for path in runs))
        if restarted:
            pid = json.loads((runs[0] / "status.json").read_text())["pid"]
            os.kill(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
            while json.loads((runs[0] / "status.json").read_text())["pid"] == pid:
                assert process.poll() is None
                time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert {cell["exit_code"] for cell in json.loads(out)["cells"]} == {143}
    assert "lost" not in err
    assert "the runs under way are saved" in err


def test_ctrl_c_while_local_workers_start_stops_the_sweep(desk, monkeypatch, capsys):
    (desk / "sweep.yaml").write_text(ENDLESS)
    start_cluster = import_module("distributed").LocalCluster

    def pressed(**options):
        os.kill(os.getpid(), signal.SIGINT)
        return start_cluster(**options)

    monkeypatch.setattr("distributed.LocalCluster", pressed)
    assert main(["sweep", "sweep.yaml", "--dask", "local:1"]) == 130
    assert not (desk / "runs/sweep/seed=0").exists(), capsys.readouterr().err


def test_a_worker_that_does_not_see_the_working_directory_is_refused_by_its_path(desk, cluster, monkeypatch, capsys):
    cluster.start_worker()
    (desk / "sweep.yaml").write_text(CELLS.replace("EPOCHS", "1").replace("SEEDS", "1"))
    asked = module.DaskExecutor._asked

    def elsewhere(self, worker, function, *arguments):
        """As if the sweep had been called in a folder that only this machine has."""
        found = (str(desk / "elsewhere"), *arguments[1:]) if function is remote.look else arguments
        return asked(self, worker, function, *found)

    monkeypatch.setattr(module.DaskExecutor, "_asked", elsewhere)
    assert main(["sweep", "sweep.yaml", "--dask", cluster.address]) == 2
    said = capsys.readouterr().err
    assert f"does not take part: it does not see {desk / 'elsewhere'}, the working directory of this sweep. Put" in said
    assert "no worker can take part" in said.splitlines()[-1]


def test_where_the_sweep_is_killed_its_runs_save_and_stop(desk, cluster):
    cluster.start_worker()
    process = begun(desk, ENDLESS, cluster)
    status = desk / "runs/sweep/seed=0/status.json"
    wait_for(process, status.with_name("metrics.jsonl"))
    process.kill()
    process.communicate()
    deadline = time.monotonic() + PATIENCE
    while json.loads(status.read_text())["state"] != "interrupted":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_worker_with_another_version_is_refused_by_name(desk, cluster):
    (desk / "other/cnntrain").mkdir(parents=True)
    (desk / "other/cnntrain/__init__.py").write_text('__version__ = "0.0.1"\n')
    cluster.start_worker(PYTHONPATH=str(desk / "other"))
    (desk / "sweep.yaml").write_text(CELLS.replace("EPOCHS", "1").replace("SEEDS", "1"))
    code, _, err = call("sweep", "sweep.yaml", "--dask", cluster.address, cwd=desk)
    assert code == 2
    assert f"does not take part: it has cnntrain 0.0.1, but this is {cnntrain.__version__}. Install the same" in err
    assert "no worker can take part" in err.splitlines()[-1]
    assert not (desk / "runs/sweep/lr=0.1,seed=0").exists()


def test_a_folder_that_the_workers_do_not_see_is_found_out_first(desk, cluster, monkeypatch, capsys):
    cluster.start_worker()
    (desk / "sweep.yaml").write_text(CELLS.replace("EPOCHS", "1").replace("SEEDS", "1"))
    monkeypatch.setattr(module.files, "write_atomic", lambda *_: None)  # as into a folder of this machine alone
    assert main(["sweep", "sweep.yaml", "--dask", cluster.address]) == 2
    said = capsys.readouterr().err
    assert f"it does not see {desk / 'runs/sweep'} (cannot read it: No such file or directory)" in said
    assert "Choose a --run-dir on a file system that all workers share" in said


def test_local_workers_are_started_for_the_sweep(desk):
    (desk / "sweep.yaml").write_text(CELLS.replace("EPOCHS", "2").replace("SEEDS", "1"))
    code, out, err = call("sweep", "sweep.yaml", "--dask", "local:2", "--json", "-j", "2", cwd=desk)
    assert code == 0, err
    check(desk, json.loads(out), 2)
    assert "begins, on 1 thread of tcp://" in err


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("local:x", "--dask local:x: expected local:N with N workers from 1 to 256, or an address"),
        ("nonsense", "--dask nonsense: expected an address such as tcp://host:8786, or local:4 for 4 workers"),
        ("host:scheduler", "--dask host:scheduler: expected an address such as"),
        ("tcp://host:88888", "--dask tcp://host:88888: expected an address such as"),
        ("foo://host:8786", "--dask foo://host:8786: expected an address such as"),
        ("[::1]:9", "--dask [::1]:9: no Dask scheduler answers ("),
        ("tcp://127.0.0.1:9", "--dask tcp://127.0.0.1:9: no Dask scheduler answers ("),
    ],
)
def test_an_address_that_leads_nowhere_is_told(desk, monkeypatch, capsys, address, said):
    monkeypatch.setattr(module, "_PATIENCE", 1.0)
    (desk / "sweep.yaml").write_text("config: full.yaml\n")
    assert main(["sweep", "sweep.yaml", "--dask", address]) == 2
    assert said in capsys.readouterr().err


def test_without_dask_it_says_what_to_install(desk, monkeypatch, capsys):
    (desk / "sweep.yaml").write_text("config: full.yaml\n")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert main(["sweep", "sweep.yaml", "--dask", "local:2"]) == 2
    assert f"--dask needs Dask. Install it with: {install('dask')}" in capsys.readouterr().err
    assert os.listdir(desk / "runs/sweep") == [".lock"]
