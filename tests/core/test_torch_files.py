"""What torch.save wrote is known by its beginning, and the message says how it becomes a file that is read."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from cnntrain.core import torch_files
from cnntrain.core.errors import CheckpointError
from cnntrain.rundir import checkpoint

OLD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."


def by_torch(stem: str) -> bytes:
    """A file as torch.save makes it for STEM.pt, whose first member are pickles."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{stem}/data.pkl", b"\x80\x02}.")
        archive.writestr(f"{stem}/data/0", bytes(8))
    return buffer.getvalue()


@pytest.mark.parametrize("data", [by_torch("weights"), by_torch("archive"), OLD], ids=["zip", "of a stream", "old"])
@pytest.mark.parametrize(
    ("name", "copy"), [("m.pt", "m.safetensors"), ("m.safetensors", "m-tensors.safetensors"), ("m", "m.safetensors")]
)
def test_a_file_of_pytorch_is_named_as_what_it_is(tmp_path: Path, data: bytes, name: str, copy: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read(tmp_path / name)
    told = str(caught.value)
    assert told.startswith(f"{tmp_path / name} was written by torch.save: ")
    assert f"save_file(torch.load('{tmp_path / name}'), '{tmp_path / copy}')" in told


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", by_torch("weights")[:30], b"\x80\x02}.", b"{" * 2000])
def test_nothing_else_is_taken_for_one(data: bytes) -> None:
    assert not torch_files.refusal(Path("a.pt"), data[: torch_files.HEAD])


def test_pytorchs_own_files() -> None:
    torch = pytest.importorskip("torch", reason="the proof needs PyTorch")
    for how in (True, False):
        buffer = io.BytesIO()
        torch.save({"a": torch.zeros(3)}, buffer, _use_new_zipfile_serialization=how)
        assert torch_files.refusal(Path("a.pt"), buffer.getvalue()[: torch_files.HEAD])
