"""Mutated checkpoints: what `checkpoint.read` makes of files that were damaged, or forged with the digests repaired.

    python -m tests.faults.mutations raw|forged CHECKPOINT COUNT SEED

prints one JSON object: how many were refused, read, and of another network, and the most memory the process took, in
bytes. A process of its own, because only there is that figure one of the reader. Ends with a traceback at the first
mutation with another outcome, which the seed reproduces.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.core import archive
from cnntrain.core.errors import CheckpointError
from cnntrain.network import build
from cnntrain.rundir import checkpoint
from cnntrain.trained import saved
from tests.support.campaign import peak_memory

ABSENT = object()
VALUES = (ABSENT, None, -1, 0, 1, 7, 2**31, 10**18, 1.5, 1e308, "x", "relu", "\x1b[31m\n", [], {}, True, [1], {"a": 1})


def mutate(rng: random.Random, data: bytes) -> bytes:
    """One mutation: a flipped bit, a changed byte, a stretch of zeros or garbage, a cut, a loss or a repetition."""
    at, length = rng.randrange(len(data)), rng.randrange(1, 40)
    before, middle, after = data[:at], data[at : at + length], data[at + length :]
    kind = rng.randrange(7)
    if kind == 0:
        return before + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if kind == 1:
        return before + rng.choice([b"\0", b"\xff", b"9", b"-", b"[", b'"', rng.randbytes(1)]) + data[at + 1 :]
    replacement = [bytes(len(middle)), rng.randbytes(len(middle)), b"", middle * 2][kind - 2 if kind < 6 else 0]
    return before if kind == 6 else before + replacement + after


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a plain value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def changed(meta: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of a plain value with another value, or none, at a place."""
    meta = copy.deepcopy(meta)
    place = meta
    for key in path[:-1]:
        place = place[key]
    if value is ABSENT:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return meta


class Forger:
    """Makes well-formed archives out of a checkpoint: meta, array headers and numbers mutated, the digests repaired."""

    def __init__(self, whole: bytes, path: Path) -> None:
        self.meta = checkpoint.read_meta(path)
        with path.open("rb") as file:
            found = archive.members(file)
        self.members = {name: whole[member.start : member.start + member.size] for name, member in found.items()}
        self.places = list(places(self.meta))
        self.names = [name for name in self.members if name != "meta.npy"]

    def forge(self, rng: random.Random) -> bytes:
        """The bytes of one forged file."""
        members, meta = dict(self.members), self.meta
        name = rng.choice(self.names)
        kind = rng.choice(["text", "value", "value", "header", "data", "shape", "drop", "add"])
        if kind == "header":
            members[name] = mutate(rng, members[name][:128]) + members[name][128:]
        elif kind == "data":
            members[name] = members[name][:128] + mutate(rng, members[name][128:])
        elif kind == "drop":
            del members[name]
        elif kind == "add":
            members[name.replace("param", rng.choice(["slot", "param/x", "average", "x", ".."]))] = members[name]
        elif kind == "value":
            meta = changed(meta, rng.choice(self.places), rng.choice(VALUES))
        if kind in ("data", "shape", "drop", "add"):  # the table says what the file holds
            meta = changed(meta, ("arrays",), self._table(members, rng if kind == "shape" else None, name))
        text = json.dumps(meta).encode()
        text = mutate(rng, text) if kind == "text" else text
        members["meta.npy"] = checkpoint._npy_header("|u1", (len(text),)) + text
        return b"".join(archive.pack({key: [data] for key, data in members.items()}))

    def _table(self, members: dict[str, bytes], rng: random.Random | None, victim: str) -> dict[str, Any]:
        table = {}
        for member in [*members]:
            if member == "meta.npy":
                continue
            entry = dict(self.meta["arrays"].get(member[:-4], {"dtype": "<f4", "shape": [1]}))
            if rng is not None and member == victim:
                entry["dtype"] = rng.choice(["<f4", "<f8", "<i8", "<f2", ">f4", "|O", "|V8"])
                entry["shape"] = [rng.choice([0, 1, 2, 3, 5, 2**20]) for _ in range(rng.randrange(5))]
                size = int(np.prod(entry["shape"]))
                data = bytes(min(size, 2**10) * 4)
                members[member] = checkpoint._npy_header(entry["dtype"], tuple(entry["shape"])) + data
            else:
                size = int(np.prod(entry["shape"])) * np.dtype(entry["dtype"]).itemsize
                data = members[member][128 : 128 + size]
            table[member[:-4]] = entry | {"sha256": hashlib.sha256(data).hexdigest()}
        return table


def outcome(path: Path) -> checkpoint.Checkpoint | None:
    """What is read, or None where it is refused in one line."""
    try:
        return checkpoint.read(path)
    except CheckpointError as error:
        _check_line(str(error))
        return None


def _check_line(message: str) -> None:
    assert message.isprintable(), f"not one line: {message!r}"


def fits(found: checkpoint.Checkpoint) -> bool:
    """Whether the config in a checkpoint predicts the arrays in it; only a CheckpointError may say that it does not."""
    try:
        loaded, description = saved.experiment(found)
        layout = build.network(loaded, description).graph.layout
        found.expect(
            {f"param/{name}": (entry.param.shape, np.float32) for name, entry in layout.entries.items()}, "param/"
        )
    except CheckpointError as error:
        _check_line(str(error))
        return False
    return True


def raw(path: Path, count: int, rng: random.Random) -> Counter[str]:
    """Damage a file `count` times: each is refused, or read with the very content it had."""
    whole, sound = path.read_bytes(), checkpoint.read(path)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        victim = Path(folder) / "victim.npz"
        for number in range(count):
            victim.write_bytes(mutate(rng, whole))
            found = outcome(victim)
            outcomes["refused" if found is None else "identical"] += 1
            if found is not None:
                assert (found.meta, found.digests()) == (sound.meta, sound.digests()), (
                    f"mutation {number} was read wrong"
                )
    return outcomes


def forged(path: Path, count: int, rng: random.Random) -> Counter[str]:
    """Forge a file `count` times: each is refused, or read and then judged by what its config predicts."""
    forger = Forger(path.read_bytes(), path)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        victim = Path(folder) / "victim.npz"
        for _ in range(count):
            victim.write_bytes(forger.forge(rng))
            found = outcome(victim)
            outcomes["refused" if found is None else "fits" if fits(found) else "other network"] += 1
    return outcomes


def main(kind: str, path: str, count: str, seed: str) -> None:
    outcomes = {"raw": raw, "forged": forged}[kind](Path(path), int(count), random.Random(int(seed)))
    print(json.dumps({**outcomes, "peak": peak_memory()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
