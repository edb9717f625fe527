"""How far ranks carry: a model of the time a step takes, checked against runs, and what it foretells of larger ones.

    python -m tests.benchmarks.scaling [--only NETWORK ...] [--batches 64 256 1024] [--plot FILE]
    python -m tests.benchmarks.scaling --check NETWORK BATCH      # this machine's one and two ranks beside the model,
                                                                  # or as many as `--ranks` says
    python -m tests.benchmarks.scaling --hidden NETWORK BATCH     # what two ranks hide of slow links, beside the model
    python -m tests.benchmarks.scaling --workers                  # the critical path of workers (workers.py)

A step is what the slowest rank computes, and what has to travel meanwhile and afterwards:

    step = shards of a rank * seconds of a shard + what every step takes + what travels and is not hidden

Seconds of a shard, of each segment of it, and of a step without shards are measured here, on one core. Bytes and
messages are counted from the plan and the roster alone, as the engine makes them (test_scaling.py compares the two).
A message takes a latency, and a rank's bytes go through one link (Hockney 1994, The communication challenge for MPP):

    seconds = rounds * latency + messages * overhead + bytes / bandwidth

Blocks of the gradient set out as soon as the segment that writes them is over, so they travel while backward goes on;
what is left after its end is not hidden, nor is the way back of the sums. `overhead` is what a message costs the
processor here, with mpi4py. Links are taken to be free of other traffic, one rank to a machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnntrain.core import blas
from cnntrain.engine.engine import Engine
from cnntrain.engine.plan import Call
from cnntrain.engine.pool import Pool
from cnntrain.engine.ranks import Ranks
from cnntrain.engine.roster import Roster
from cnntrain.engine.rows import buckets_of
from cnntrain.engine.team import Parcel
from cnntrain.training.stepper import Stepper
from tests.benchmarks import own, workers
from tests.benchmarks.networks import NETWORKS

RANKS = (2, 4, 8, 16, 32, 64)
BATCHES = (64, 256, 1024)
LINKS = {"1 Gb/s": (50e-6, 1e9 / 8), "10 Gb/s": (20e-6, 1e10 / 8), "100 Gb/s": (3e-6, 1e11 / 8)}  # latency, bytes/s
OVERHEAD = 4e-6  # seconds of processor time a message; `--check` measures it
Curves = dict[tuple[str, int, str], list[float]]  # by network, batch and link: how many times as fast as one rank
SHARDS = (2, 6)  # of the batches that are timed
SHARD = 8  # samples of each: `train.shard: 8`, so that many ranks have something to do
MODELLED = [name for name in NETWORKS if name != "mobilenet_v2"]
WORTH = 0.5  # of the speed that as many ranks could have at best: below, a batch does not pay


@dataclass(frozen=True)
class Traffic:
    """What one rank sends in a step, at most."""

    messages: int
    rounds: int  # of messages that are waited for
    buckets: tuple[tuple[int, int, int], ...]  # (number of the segment after which it sets out, messages, bytes)
    back: tuple[int, int]  # messages and bytes of the sums
    small: tuple[int, int]  # and of what is waited for on the way: partial results, tallies, flags

    @property
    def bytes(self) -> int:
        """All of them."""
        return sum(size for *_, size in self.buckets) + self.back[1] + self.small[1]


def _stepper(network: str, batch: int, pool: Pool) -> Stepper:
    return own.stepper_of(network, batch, pool, own.config(network, batch, shard=SHARD))


def traffic(engine: Engine, batch: int, workers: Sequence[int], rank: int = 0) -> Traffic:
    """What a rank sends in a step of one batch, by the plan and the roster."""
    plan = engine.plans[True]
    roster, count = Roster(tuple(workers), rank), -(-batch // engine.shard)
    blocks, peers = len(roster.blocks(0, count, rank)), len(workers) - 1
    stages = sum(segment[-1].do in ("partial", "partial_back") for segment in plan.segments)
    own_blocks = 1 if blocks else 0
    small_messages = peers * (stages + 1) * own_blocks + peers
    small_bytes = peers * blocks * 8 * (stages * plan.partial_size + engine.tally.size) + peers * 3 * 8
    buckets, back = [], [0, 0]
    for bucket in buckets_of(plan):
        sizes = [stop - start for start, stop in bucket.slices(roster)]
        others = [size for peer, size in enumerate(sizes) if peer != rank and size]
        if blocks:
            buckets.append((bucket.last, len(others), 4 * blocks * sum(others)))
        if sizes[rank]:
            back = [back[0] + peers, back[1] + 4 * sizes[rank] * peers]
    messages = sum(number for _, number, _ in buckets) + back[0] + small_messages
    return Traffic(messages, stages + 4, tuple(buckets), (back[0], back[1]), (small_messages, small_bytes))


@dataclass(frozen=True)
class Measured:
    """What a network takes on one core of this machine."""

    shard: int  # samples
    segments: tuple[float, ...]  # seconds of a shard in each
    always: float  # seconds of a step, however many shards it has
    update: float  # seconds
    parameters: int


def measure(network: str, repeats: int) -> Measured:
    """The least of some repetitions, so that what else the machine does counts as little as can be."""
    blas.pin()
    with Pool(1) as pool:
        few, many = (_seconds(_stepper(network, shards * SHARD, pool), repeats) for shards in SHARDS)
        stepper = _stepper(network, SHARDS[0] * SHARD, pool)
        engine, segments = stepper.engine, stepper.engine.plans[True].segments
        where = {call: number for number, segment in enumerate(segments) for call in segment}
        shares = np.zeros(len(segments))

        def watch(call: Call, taken: float) -> None:
            if call in where:  # what is made of the parameters takes the same, however many shards there are
                shares[where[call]] += taken

        engine.watch = watch
        for number in range(repeats):
            engine.step(stepper.source(number), number)
        engine.watch = None
        updates = []
        for number in range(repeats):
            began = time.perf_counter()
            stepper.updater.apply(0.01, number)
            updates.append(time.perf_counter() - began)
        each = (many - few) / (SHARDS[1] - SHARDS[0])
        segments_take = tuple((each * shares / shares.sum()).tolist())
        always = max(few - SHARDS[0] * each, 0.0)
        return Measured(engine.shard, segments_take, always, min(updates), engine.graph.parameter_count())


def _seconds(stepper: Stepper, repeats: int) -> float:
    """Of a gradient."""
    found = []
    for number in range(repeats + 1):
        began = time.perf_counter()
        stepper.engine.step(stepper.source(number), number)
        found.append(time.perf_counter() - began)
    return min(found[1:])


@dataclass(frozen=True)
class Foretold:
    """A step of the slowest rank, in seconds."""

    step: float
    visible: float  # of what travels, what is waited for
    travelling: float  # all of it


def foretell(measured: Measured, engine: Engine, batch: int, ranks: int, latency: float, bandwidth: float) -> Foretold:
    """A step with so many ranks of one worker each."""
    count = -(-batch // measured.shard)
    share, full = -(-count // ranks), batch / measured.shard / count  # the last shard may be short
    compute = [share * second * (full if share * ranks == count else 1) for second in measured.segments]
    rest = measured.always + measured.update
    if ranks == 1:
        return Foretold(sum(compute) + rest, 0.0, 0.0)
    goes = traffic(engine, batch, [1] * ranks)

    def takes(messages: int, size: int) -> float:
        return messages * OVERHEAD + size / bandwidth

    small = takes(*goes.small) + (goes.rounds - 2) * latency
    ends = np.cumsum(compute)
    free, sent = 0.0, 0.0
    for segment, messages, size in sorted(goes.buckets):
        free = max(free, float(ends[segment])) + takes(messages, size)
        sent += takes(messages, size)
    out = max(free - float(ends[-1]), 0.0) + latency
    back = takes(*goes.back) + latency
    visible, travelling = small + out + back, small + sent + back + latency
    return Foretold(float(ends[-1]) + visible + rest, visible, travelling)


# -- the check -------------------------------------------------------------------------------------------------------


def link(ranks: Ranks) -> tuple[float, float, float]:
    """Latency, bytes a second, and seconds a message, between two ranks of this machine."""

    def seconds(size: int, times: int, messages: int = 1) -> float:
        rows = np.zeros((messages, size), np.uint8)
        found = []
        for _ in range(times):
            ranks.meet()
            began = time.perf_counter()
            _swap(ranks, rows)
            found.append(time.perf_counter() - began)
        return statistics.median(found)

    latency = seconds(1, 200)
    large = 2**24
    return latency, large / max(seconds(large, 10) - latency, 1e-9), (seconds(1, 100, 65) - latency) / 64


def _swap(ranks: Ranks, rows: np.ndarray) -> None:
    peer = 1 - ranks.rank
    theirs = np.empty_like(rows)
    ranks.send(Parcel(peer, row, other) for row, other in zip(rows, theirs, strict=True))
    ranks.receive()


def run_ranks(network: str, batch: int, steps: int) -> None:
    """As one rank of several: take steps, and have the leader print what they took and what was sent."""
    from cnntrain.training import muster

    blas.pin()
    ranks = muster.join()
    about = link(ranks) if ranks.size == 2 else (0.0, 0.0, 0.0)
    with Pool(1, ranks) as pool:
        stepper = _stepper(network, batch, pool)
        stepper.step(0)
        found = []
        for number in range(1, steps + 1):
            ranks.meet()
            began = time.perf_counter()
            stepper.step(number)
            found.append(time.perf_counter() - began)
        if ranks.leads:
            print(min(found), statistics.median(found), *about)


def launched(what: str, network: str, batch: int, ranks: int, steps: int) -> list[float]:
    """The numbers that the leader of so many ranks of this machine prints."""
    place = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    mpirun = shutil.which("mpirun", path=place) or "mpirun"
    command = [mpirun, "--oversubscribe", "-n", str(ranks), sys.executable, "-m"]
    command += ["tests.benchmarks.scaling", what, network, str(batch), "--steps", str(steps)]
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    done = subprocess.run(command, env=os.environ | allowed, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def check(network: str, batch: int, steps: int, numbers: Sequence[int]) -> str:
    """Rows of a table: what a step on these numbers of ranks took here, beside the model."""
    global OVERHEAD
    measured = measure(network, 5)
    took = {ranks: launched("--rank", network, batch, ranks, steps) for ranks in {*numbers, 2}}
    *_, latency, bandwidth, OVERHEAD = took[2]
    about = f"link of {latency * 1e6:.0f} us, {bandwidth / 1e9:.1f} GB/s, {OVERHEAD * 1e6:.0f} us a message"
    rows = []
    with Pool(1) as pool:
        engine = _stepper(network, batch, pool).engine
        for ranks in numbers:
            least, median, *_ = took[ranks]
            told = foretell(measured, engine, batch, ranks, latency, bandwidth).step
            times = f"{least * 1e3:.1f} | {median * 1e3:.1f} | {told * 1e3:.1f}"
            rows.append(f"| {network} | {batch} | {ranks} | {times} | {about if ranks > 1 else ''} |")
    return "\n".join(rows)


# -- what is hidden --------------------------------------------------------------------------------------------------


class Metered(Ranks):
    """Ranks whose link takes time that is reckoned, not spent, on a clock that is this rank's own processor time.

    So other work on the machine makes no difference. Blocks arrive one after the other, at the link's bandwidth; where
    a rank has to have them earlier, it waits.
    """

    latency, bandwidth = 0.0, 1.0
    travelling = waited = _polled = _free = _until = 0.0

    def clock(self) -> float:
        """Seconds that were computed, or waited for the link."""
        return time.thread_time() - self._polled + self.waited

    def send(self, parcels: Iterable[Parcel]) -> None:
        """See Ranks."""
        parcels = list(parcels)
        super().send(parcels)
        self._until = self._arrival(parcels, max(self._free, self.clock()))

    def exchange(self, parcels: Iterable[Parcel]) -> None:
        """See Ranks: what is small, and waited for, overtakes what is on its way."""
        parcels = list(parcels)
        began = time.thread_time()
        super().exchange(parcels)
        self._polled += time.thread_time() - began
        self.waited += max(self._arrival(parcels, self.clock()) - self.clock(), 0.0)

    def receive(self) -> None:
        """See Ranks."""
        began = time.thread_time()
        super().receive()
        self._polled += time.thread_time() - began
        self.waited += max(self._until - self.clock(), 0.0)

    def _arrival(self, parcels: Iterable[Parcel], begins: float) -> float:
        """When parcels are there whose first byte is on the link at a time."""
        takes = sum(one.received.nbytes for one in parcels if one.received is not None) / self.bandwidth
        self.travelling += takes + self.latency
        self._free = max(self._free, self.clock()) + takes
        return begins + takes + self.latency


def run_hiding(network: str, batch: int, steps: int) -> None:
    """As one of two ranks: take steps over each link, and have the leader print how long messages travelled, and it
    waited for them.
    """
    from cnntrain.training import muster

    blas.pin()
    ranks = Metered(muster.join()._wire)
    with Pool(1, ranks) as pool:
        stepper = _stepper(network, batch, pool)
        stepper.step(0)
        for latency, bandwidth in LINKS.values():
            ranks.latency, ranks.bandwidth, ranks.travelling, ranks.waited = latency, bandwidth, 0.0, 0.0
            ranks._free = ranks._until = 0.0
            for _ in range(steps):
                stepper.step(1)
            if ranks.leads:
                print(ranks.travelling / steps, ranks.waited / steps)


def hiding(network: str, batch: int, steps: int) -> str:
    """Rows of a table: how long the messages of a step on two ranks travel, and the share that nobody waits for."""
    numbers = launched("--hiding", network, batch, 2, steps)
    measured = measure(network, 5)
    rows = []
    with Pool(1) as pool:
        engine = _stepper(network, batch, pool).engine
        for (name, link), sent, waited in zip(LINKS.items(), numbers[::2], numbers[1::2], strict=True):
            model = foretell(measured, engine, batch, 2, *link)
            hidden, told = 1 - waited / sent, 1 - model.visible / model.travelling
            rows.append(f"| {network} | {batch} | {name} | {sent * 1e3:.2f} | {hidden:.0%} | {told:.0%} |")
    return "\n".join(rows)


# -- the table and the picture ---------------------------------------------------------------------------------------


def table(networks: Sequence[str], batches: Sequence[int], repeats: int) -> Curves:
    """Print a line for each network, batch and link; returns the speed-ups, for each of RANKS."""
    columns = ["network", "parameters", "batch", "link", *(f"{ranks} ranks" for ranks in RANKS), "pays up to"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    curves: Curves = {}
    for network in networks:
        measured = measure(network, repeats)
        with Pool(1) as pool:
            engine = _stepper(network, SHARD, pool).engine
            for batch in batches:
                one = foretell(measured, engine, batch, 1, 0, 1).step
                for name, (latency, bandwidth) in LINKS.items():
                    steps = [foretell(measured, engine, batch, ranks, latency, bandwidth) for ranks in RANKS]
                    curves[network, batch, name] = [one / step.step for step in steps]
                    hidden = [1 - step.visible / step.travelling for step in steps]
                    cells = [f"{one / s.step:.1f} ({abs(h):.0%})" for s, h in zip(steps, hidden, strict=True)]
                    paying = [r for r, s in zip(RANKS, steps, strict=True) if one / s.step >= WORTH * r]
                    about = [network, f"{measured.parameters / 1e6:.2f} M", f"{batch:,}", name]
                    print(f"| {' | '.join([*about, *cells, str(max(paying, default=1))])} |", flush=True)
    return curves


def plot(curves: Curves, path: str) -> None:
    """Speed over ranks: a panel for each network, a colour for each link, a style for each batch."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    networks = list(dict.fromkeys(network for network, *_ in curves))
    batches = sorted({batch for _, batch, _ in curves})
    columns = -(-len(networks) // 2)
    figure, panels = pyplot.subplots(2, columns, figsize=(14, 7), sharex=True, sharey=True, squeeze=False)
    for panel, network in zip(panels.flat, networks, strict=False):
        panel.plot(RANKS, RANKS, color="0.8", linewidth=1)
        for (name, batch, of), speeds in curves.items():
            if name == network:
                style = ["dotted", "dashed", "solid", "dashdot"][batches.index(batch) % 4]
                panel.plot(RANKS, speeds, linestyle=style, color=f"C{[*LINKS].index(of)}", label=f"{of}, batch {batch}")
        panel.set(title=network)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log", base=2)
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter("{x:g}")
    for panel in panels.flat[len(networks) :]:
        panel.axis("off")
    panels[0][0].set(ylabel="times as fast as one rank")
    panels[1][0].set(xlabel="ranks")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="lower right", fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print a table; see the module."""
    parser = argparse.ArgumentParser(description="How far ranks carry.")
    parser.add_argument("--workers", action="store_true", help="of one machine, 1 to 16, by their critical path")
    parser.add_argument("--shard", type=int, help="samples of a shard, for --workers")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--batches", nargs="*", type=int)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--plot", metavar="FILE")
    parser.add_argument("--check", nargs=2, metavar=("NETWORK", "BATCH"))
    parser.add_argument("--ranks", nargs="+", type=int, default=[1, 2], help="for --check")
    parser.add_argument("--hidden", nargs=2, metavar=("NETWORK", "BATCH"))
    parser.add_argument("--rank", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--hiding", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    if given.workers:
        workers.table(given.only or [*NETWORKS], given.batches or (64,), given.repeats, given.shard)
    elif given.rank:
        run_ranks(given.rank[0], int(given.rank[1]), given.steps)
    elif given.hiding:
        run_hiding(given.hiding[0], int(given.hiding[1]), given.steps)
    elif given.hidden:
        print(hiding(given.hidden[0], int(given.hidden[1]), given.steps))
    elif given.check:
        print(check(given.check[0], int(given.check[1]), given.steps, given.ranks))
    else:
        curves = table(given.only or MODELLED, given.batches or BATCHES, given.repeats)
        if given.plot:
            plot(curves, given.plot)


if __name__ == "__main__":
    main()
