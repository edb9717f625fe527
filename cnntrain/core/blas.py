"""BLAS is the library behind matrix products; inside the workers it must run on one thread.

Its own threads would split a product by their number, which would change the bits of the result. The package's
`__init__` sets the environment variables that the library reads when NumPy loads it; `pin` asks the loaded library
itself, whoever imported NumPy first.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cnntrain.core.loaded_libraries import loaded_libraries

_SYMBOLS = [  # (setter, getter) in the builds NumPy ships with or is linked to
    (f"{prefix}openblas_set_num_threads{suffix}", f"{prefix}openblas_get_num_threads{suffix}")
    for prefix in ("scipy_", "")
    for suffix in ("64_", "_64", "")
] + [("MKL_Set_Num_Threads", "MKL_Get_Max_Threads")]

_STARTS_THREADS = (b"thread", b"omp_", b"GOMP_", b"kmpc_", b"dispatch_", b"clone", b"fork", b"dlopen")
_NEEDED = re.compile(rb"\b(lib[\w+-]+)[\w+.-]*\.so\b")  # the libraries that a file names
_HARMLESS = {b"libblas", b"libcblas", b"libc", b"libm", b"libgcc_s", b"libgfortran", b"libquadmath"}

CHOOSE_KERNELS = (  # environment variables that decide with which instructions libraries compute, and so about bits
    "OPENBLAS_CORETYPE",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_DEBUG_CPU_TYPE",
    "BLIS_ARCH_TYPE",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
)

_WORKSPACE = 2**27  # bytes of address space for a thread that multiplies: 32 MB of OpenBLAS, 64 of the C library
_SIDE, _TIMES = 384, 4  # of products that need a workspace, and take long enough for the threads to overlap


def _loaded_libraries() -> list[str]:
    """Paths of shared libraries in this process that may hold a BLAS."""
    return loaded_libraries("blas", "mkl_rt", "libmkl") or _beside_numpy(Path(np.__file__).parent)


def _beside_numpy(package: Path) -> list[str]:
    """What NumPy's wheels bring, where the system does not tell what is loaded: macOS, and Linux without /proc."""
    macos, linux = package.glob(".dylibs/*openblas*"), package.parent.glob("numpy.libs/*openblas*")
    return sorted(map(str, [*macos, *linux]))


@functools.cache
def pin() -> bool:
    """Set the loaded BLAS to one thread and check that it obeyed, unless it can have no other.

    Returns False, after one warning, where no library answers or one disobeys: then equal bits for any number of
    threads are not promised.
    """
    obeyed, paths = [], _loaded_libraries()
    for path in paths:
        library = ctypes.CDLL(path)
        for setter, getter in _SYMBOLS:
            if hasattr(library, setter) and hasattr(library, getter):
                getattr(library, setter)(ctypes.c_int(1))
                obeyed.append(getattr(library, getter)() == 1)
    pinned = all(obeyed) if obeyed else bool(paths) and all(map(_has_no_threads, paths))
    if not pinned:
        warnings.warn(
            "cannot verify that NumPy's BLAS runs on one thread: "
            "equal bits for every number of threads are not guaranteed here",
            RuntimeWarning,
            stacklevel=2,
        )
    return pinned


def _has_no_threads(path: str) -> bool:
    """Whether a library cannot start a thread, as Netlib's reference BLAS, which many systems come with.

    Whatever a shared library calls it names in its file, and so it does the libraries that it needs.
    """
    try:
        code = Path(path).read_bytes()
    except OSError:
        return False
    return not any(name in code for name in _STARTS_THREADS) and {*_NEEDED.findall(code)} <= _HARMLESS


def description() -> str:
    """Name and version of the BLAS NumPy was built with."""
    configured = np.show_config(mode="dicts")
    blas = configured.get("Build Dependencies", {}).get("blas", {}) if isinstance(configured, dict) else {}
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


def kernel() -> str:
    """The processor whose kernels the BLAS uses: "Haswell"; else the variables that choose one, or "unknown".

    A product's bits depend on it: kernels differ in the order of their sums, and in what they fuse.
    """
    for path in _loaded_libraries():
        library = ctypes.CDLL(path)
        for prefix in ("scipy_", ""):
            for suffix in ("64_", "_64", ""):
                symbol = f"{prefix}openblas_get_corename{suffix}"
                if hasattr(library, symbol):
                    function = getattr(library, symbol)
                    function.restype = ctypes.c_char_p
                    return str(function().decode())
    chosen = [f"{name}={os.environ[name]}" for name in CHOOSE_KERNELS if os.environ.get(name)]
    return " ".join(chosen) or "unknown"


def reserve(threads: int, run: Callable[[int, Callable[[int, int], None]], None]) -> None:
    """Let BLAS take its workspaces now, one for each thread of a pool whose `run` is given.

    Later, when memory has run out, OpenBLAS would end the process. Raises MemoryError where there is too little now.
    """
    np.empty(threads * _WORKSPACE, np.uint8)  # asked for and given back: NumPy raises where OpenBLAS would not
    squares = [np.ones((2, _SIDE, _SIDE), np.float32) for _ in range(threads)]
    meeting = threading.Barrier(threads)

    def multiply(_worker: int, index: int) -> None:
        square, product = squares[index]
        meeting.wait()  # so that each thread takes one, at the same time
        for _ in range(_TIMES):
            np.matmul(square, square, out=product)

    run(threads, multiply)
