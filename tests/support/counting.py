"""Work that is counted, not timed.

An array counts what NumPy is asked to do with it: calls, bytes read and written, products of matrices. `instructions`
counts what Python executes in some functions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np

from cnntrain.engine import engine, outer, rows, update


@dataclass
class Count:
    """What has been done so far."""

    calls: int = 0
    bytes: int = 0
    product_flops: int = 0


class Counted(np.ndarray[Any, Any]):
    """An ndarray whose operations, and those of every view of it, are counted in `count`."""

    count = Count()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = (), **options: Any) -> Any:
        found = getattr(ufunc, method)(
            *map(_plain, inputs), **({"out": tuple(map(_plain, out))} if out else {}), **options
        )
        self._note(*inputs, *(out or (found,)))
        if ufunc is np.matmul:
            self.count.product_flops += 2 * np.asarray(found).size * np.shape(inputs[0])[-1]
        return out[0] if len(out) == 1 else found

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        found = function(*_plain(args), **_plain(kwargs))
        self._note(*args, *kwargs.values(), found)
        return found

    def __setitem__(self, where: Any, value: Any) -> None:
        self._note(value, value)
        super().__setitem__(where, _plain(value))

    @classmethod
    def _note(cls, *operands: Any) -> None:
        cls.count.calls += 1
        cls.count.bytes += sum(operand.nbytes for operand in operands if isinstance(operand, np.ndarray))


def _plain(value: Any) -> Any:
    if isinstance(value, Counted):
        return value.view(np.ndarray)
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


@contextmanager
def counting() -> Iterator[Count]:
    """While inside, count the operations on every array that is made and that the engine owns."""

    def counted(make: Callable[..., Any]) -> Callable[..., Any]:
        return lambda shape, dtype: make(shape, dtype).view(Counted)

    Counted.count = Count()
    with ExitStack() as patches:
        makers = [(engine, "aligned"), (engine, "shared"), (rows, "shared"), (update, "aligned")]
        for module, name in (*makers, (outer, "aligned"), (outer, "shared")):
            patches.enter_context(mock.patch.object(module, name, counted(getattr(module, name))))
        yield Counted.count


def instructions(run: Callable[[], Any], *names: str) -> int:
    """How many instructions of Python `run` executes in functions of these qualified names, and in what is in them."""
    count = 0

    def of_call(frame: Any, _event: str, _argument: Any) -> Any:
        if not frame.f_code.co_qualname.startswith(names):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return of_instruction

    def of_instruction(_frame: Any, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "opcode"
        return of_instruction

    before = sys.gettrace()
    sys.settrace(of_call)
    try:
        run()
    finally:
        sys.settrace(before)
    return count
