"""BLAS runs on one thread, and says so when asked."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnntrain.core import blas
from cnntrain.engine.pool import Pool


def test_the_loaded_library_runs_on_one_thread() -> None:
    assert blas.pin()


def test_the_user_cannot_give_blas_threads() -> None:
    """Whatever the environment says, whoever imported NumPy first."""
    code = (
        "import numpy; from cnntrain.core import blas; assert blas.pin()\n"
        "import ctypes\n"
        "counts = [getattr(ctypes.CDLL(path), getter)() for path in blas._loaded_libraries()\n"
        "          for _, getter in blas._SYMBOLS if hasattr(ctypes.CDLL(path), getter)]\n"
        "print(counts)\n"
    )
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert set(done.stdout.strip()) <= set("[1, ]")
    assert "1" in done.stdout


def test_where_the_system_does_not_tell_what_is_loaded_numpys_wheel_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In containers without /proc, and on macOS."""
    linux, macos = tmp_path / "numpy.libs" / "libscipy_openblas64_-1.so", tmp_path / "numpy/.dylibs/libopenblas.dylib"
    for library in (linux, macos):
        library.parent.mkdir(parents=True)
        library.touch()
    monkeypatch.setattr(blas, "loaded_libraries", lambda *words: [])
    monkeypatch.setattr("cnntrain.core.blas.np.__file__", str(tmp_path / "numpy" / "__init__.py"))
    assert blas._loaded_libraries() == [str(linux), str(macos)]


def test_an_unknown_library_is_warned_about_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "_loaded_libraries", list)
    blas.pin.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="cannot verify that NumPy's BLAS runs on one thread"):
            assert not blas.pin()
        assert not blas.pin()
    finally:
        monkeypatch.undo()
        blas.pin.cache_clear()
        assert blas.pin()


def test_one_library_that_disobeys_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        def __init__(self, path: str) -> None:
            self.openblas_set_num_threads = lambda _count: None
            self.openblas_get_num_threads = lambda: 2 if path == "a" else 1

    monkeypatch.setattr(blas, "_loaded_libraries", lambda: ["a", "b"])
    monkeypatch.setattr("cnntrain.core.blas.ctypes.CDLL", Library)
    blas.pin.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="not guaranteed here"):
            assert not blas.pin()
    finally:
        monkeypatch.undo()
        blas.pin.cache_clear()
        assert blas.pin()


NETLIB = b"\x7fELF.. dgemm_\0cblas_dgemm\0xerbla_\0libc.so.6\0libm.so.6\0libgfortran.so.5\0libblas.so.3\0"


@pytest.mark.parametrize(
    ("libraries", "pinned"),
    [
        ([NETLIB], True),
        ([NETLIB, NETLIB + b"libcblas.so.3\0"], True),
        ([NETLIB + b"pthread_create\0"], False),
        ([NETLIB + b"GOMP_parallel\0"], False),
        ([NETLIB + b"dlopen\0"], False),  # what it calls is in another file
        ([NETLIB + b"libblis.so.4\0"], False),
        ([NETLIB + b"libmkl_rt.so\0"], False),
        ([NETLIB + b"libopenblasp-r0.3.21.so\0"], False),
        ([NETLIB, NETLIB + b"std::thread"], False),
        ([None], False),  # it cannot be read
    ],
)
def test_a_library_that_can_start_no_thread_needs_no_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, libraries: list[bytes | None], pinned: bool
) -> None:
    """As Netlib's reference, with which Debian's NumPy comes."""
    paths = [tmp_path / f"libblas-{number}.so" for number in range(len(libraries))]
    for path, code in zip(paths, libraries, strict=True):
        if code is not None:
            path.write_bytes(code)
    monkeypatch.setattr(blas, "_loaded_libraries", lambda: [*map(str, paths)])
    monkeypatch.setattr("cnntrain.core.blas.ctypes.CDLL", lambda _path: object())
    blas.pin.cache_clear()
    with contextlib.nullcontext() if pinned else pytest.warns(RuntimeWarning, match="cannot verify"):
        assert blas.pin() == pinned
    monkeypatch.undo()
    blas.pin.cache_clear()
    assert blas.pin()


def test_the_description_names_library_and_version() -> None:
    name, version, *_ = blas.description().split()
    assert "blas" in name.lower() or "mkl" in name.lower()
    assert version[0].isdigit()


def test_the_kernel_is_asked_of_the_library_or_what_chooses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert blas.kernel().isprintable()
    if "openblas" in blas.description():
        assert blas.kernel().isalnum()
    for name in blas.CHOOSE_KERNELS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(blas, "_loaded_libraries", list)
    assert blas.kernel() == "unknown"
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    assert blas.kernel() == "MKL_CBWR=AVX2"


def test_workspaces_are_taken_by_every_thread_or_refused_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    with Pool(3) as pool:
        blas.reserve(3, pool.run)
        monkeypatch.setattr(blas, "_WORKSPACE", 2**60)
        with pytest.raises(MemoryError):
            blas.reserve(3, pool.run)


def test_importing_the_package_sets_the_variables_and_no_numpy() -> None:
    code = "import cnntrain, os, sys; print(os.environ['OPENBLAS_NUM_THREADS'], 'numpy' in sys.modules)"
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]
