"""A file of `torch.save` holds weights as pickles, which are programs: it is known by its beginning, and never read."""

from __future__ import annotations

import re
from pathlib import Path

HEAD = 1024  # bytes, enough for every beginning
_ZIP = re.compile(rb"PK\x03\x04.{26}[^\0]{1,400}?/data\.pkl", re.DOTALL)
_OLD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # before PyTorch 1.6: a pickle of its magic number comes first


def refusal(path: Path, head: bytes) -> str:
    """What to say of such a file, after its name, and what to do instead; "" for any other file.

    `head` is what the file begins with, `HEAD` bytes of it.
    """
    if not (_ZIP.match(head) or head.startswith(_OLD)):
        return ""
    copy = path.with_suffix(".safetensors")
    copy = copy.with_name(f"{path.stem}-tensors.safetensors") if copy == path else copy
    return (
        "was written by torch.save: it holds pickles, which are programs, and is not read. Write its tensors as "
        f"safetensors, in Python: safetensors.torch.save_file(torch.load({str(path)!r}), {str(copy)!r}), and give "
        "that file as model.init_from"
    )
