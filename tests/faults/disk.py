"""A disk that loses power: which states a journal of operations may leave behind, by the letter of POSIX.

What was written since a file's last fsync is there, missing, cut short, zeros, or there sector by sector; names made,
changed or removed since their folder's last fsync took place or did not, each on its own. File systems are kinder than
that, which is no reason to rely on them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

SECTOR = 512


@dataclass(frozen=True)
class Op:
    """One operation: `kind` is write, cut, sync, name, unname, rename, syncdir or saved."""

    kind: str
    where: str = ""  # the path of a name, or of a folder to sync
    inode: int = -1
    offset: int = 0  # of a write; the length after a cut; the step after saved
    data: bytes = b""
    to: str = ""  # where a rename leads


class Recorder:
    """A module `os` for the package's writers that does what it is asked and keeps a journal."""

    def __init__(self, root: str) -> None:
        self.journal: list[Op] = []
        self._root = root
        self._open: dict[int, tuple[str, int]] = {}  # descriptor -> path and inode, -1 of a folder
        self._inodes: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _path(self, path: Any) -> str:
        return os.path.relpath(path, self._root)

    def _add(self, kind: str, **fields: Any) -> None:
        self.journal.append(Op(kind, **fields))

    def open(self, path: Any, flags: int, mode: int = 0o777, dir_fd: int | None = None) -> int:
        descriptor = os.open(path, flags, mode, dir_fd=dir_fd)
        path = _below(path, dir_fd)
        name = self._path(path)
        inode = -1 if os.path.isdir(path) else self._inodes.get(name)
        if inode is None:
            inode = self._inodes[name] = len(self.journal)
            self._add("name", where=name, inode=inode)
        self._open[descriptor] = (name, inode)
        return descriptor

    def dup(self, descriptor: int) -> int:
        another = os.dup(descriptor)
        self._open[another] = self._open[descriptor]
        return another

    def close(self, descriptor: int) -> None:
        del self._open[descriptor]
        os.close(descriptor)

    def write(self, descriptor: int, data: Any) -> int:
        offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        written = os.write(descriptor, data)
        self._add("write", inode=self._open[descriptor][1], offset=offset, data=bytes(data[:written]))
        return written

    def ftruncate(self, descriptor: int, length: int) -> None:
        os.ftruncate(descriptor, length)
        self._add("cut", inode=self._open[descriptor][1], offset=length)

    def fsync(self, descriptor: int) -> None:
        os.fsync(descriptor)
        name, inode = self._open[descriptor]
        self._add("sync", inode=inode) if inode >= 0 else self._add("syncdir", where=name)

    def replace(self, path: Any, target: Any, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        os.replace(path, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        path, target = _below(path, src_dir_fd), _below(target, dst_dir_fd)
        name, to = self._path(path), self._path(target)
        self._inodes[to] = self._inodes.pop(name)
        self._add("rename", where=name, to=to, inode=self._inodes[to])

    def unlink(self, path: Any, dir_fd: int | None = None) -> None:
        os.unlink(path, dir_fd=dir_fd)
        path = _below(path, dir_fd)
        self._inodes.pop(self._path(path))
        self._add("unname", where=self._path(path))

    def mkdir(self, path: Any, dir_fd: int | None = None) -> None:
        os.mkdir(path, dir_fd=dir_fd)
        self._add("name", where=self._path(_below(path, dir_fd)))

    def makedirs(self, path: Any, exist_ok: bool = False) -> None:
        if not os.path.isdir(path):
            self.makedirs(os.path.dirname(path), exist_ok=True)
            os.mkdir(path)
            self._add("name", where=self._path(path))


@dataclass
class _File:
    durable: bytes = b""
    pending: list[Op] = field(default_factory=list)


Names = dict[str, int]  # path -> inode, -1 of a folder
State = dict[str, bytes]  # path -> content


class Disk:
    """The durable part of a disk, and what has been asked of it since."""

    def __init__(self) -> None:
        self._files: dict[int, _File] = {}
        self._names: Names = {}
        self._pending: dict[str, list[Op]] = {}  # folder -> changes of its names

    def do(self, op: Op) -> None:
        """Take note of an operation."""
        if op.kind in ("write", "cut"):
            self._files[op.inode].pending.append(op)
        elif op.kind == "sync":
            file = self._files[op.inode]
            for pending in file.pending:
                file.durable = _applied(file.durable, pending)
            file.pending.clear()
        elif op.kind == "syncdir":
            for pending in self._pending.pop(op.where, []):
                _rename(self._names, pending)
        elif op.kind in ("name", "unname", "rename"):
            if op.kind == "name" and op.inode >= 0:
                self._files[op.inode] = _File()
            self._pending.setdefault(os.path.dirname(op.where) or ".", []).append(op)

    def after_power_loss(self, rng: random.Random) -> State:
        """One of the states in which the files may be found."""
        names = dict(self._names)
        for pending in self._pending.values():
            for op in _survivors(pending, rng):
                _rename(names, op)
        found = {}
        for path, inode in names.items():
            if inode >= 0 and _reachable(path, names):
                found[path] = _content(self._files[inode], rng)
        return found


def _reachable(path: str, names: Names) -> bool:
    folder = os.path.dirname(path)
    return not folder or (folder in names and _reachable(folder, names))


def _survivors(ops: list[Op], rng: random.Random) -> list[Op]:
    way = rng.randrange(4)
    if way < 2:
        return ops if way else []
    if way == 2:
        return ops[: rng.randrange(len(ops) + 1)]
    return [op for op in ops if rng.random() < 0.5]


def _below(path: Any, directory: int | None) -> Any:
    """A path that counts from an open directory, as one that counts from where that lies."""
    return path if directory is None else os.path.join(os.readlink(f"/proc/self/fd/{directory}"), path)


def _rename(names: Names, op: Op) -> None:
    if op.kind == "name":
        names[op.where] = op.inode
    else:
        names.pop(op.where, None)
    if op.kind == "rename":
        names[op.to] = op.inode


def _applied(content: bytes, op: Op) -> bytes:
    if op.kind == "cut":
        return content[: op.offset].ljust(op.offset, b"\0")
    content = content.ljust(op.offset, b"\0")
    return content[: op.offset] + op.data + content[op.offset + len(op.data) :]


def _content(file: _File, rng: random.Random) -> bytes:
    """What a file may hold: all of what was not synced, nothing, a torn part, zeros, or some of the sectors."""
    if not file.pending:
        return file.durable
    way = rng.randrange(5)
    if way == 0:
        return file.durable
    content = file.durable
    for op in file.pending if way != 2 else file.pending[: rng.randrange(len(file.pending) + 1)]:
        content = _applied(content, op)
    if way == 2:
        return (
            content[: rng.randrange(len(file.durable), len(content) + 1)]
            if len(content) > len(file.durable)
            else content
        )
    if way == 3:
        return file.durable + bytes(max(0, len(content) - len(file.durable)))
    return b"".join(_sectors(file.durable, content, rng)) if way == 4 else content


def _sectors(old: bytes, new: bytes, rng: random.Random) -> Iterator[bytes]:
    """The new content, of whose sectors some are still the old ones, or zeros."""
    for start in range(0, len(new), SECTOR):
        kept = new[start : start + SECTOR]
        yield kept if rng.random() < 0.5 else old[start : start + SECTOR].ljust(len(kept), b"\0")[: len(kept)]
