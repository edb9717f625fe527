"""The weights that come with tiny32: made from the run of configs/pretrained-tiny32.yaml, or compared with it.

cnntrain fit configs/pretrained-tiny32.yaml --run-dir runs/tiny32
python -m tests.support.builtin runs/tiny32           writes cnntrain/parts/models/tiny32.npz
python -m tests.support.builtin runs/tiny32 --check   says whether the run gives exactly these bits
"""

from __future__ import annotations

import sys
from pathlib import Path

from cnntrain.rundir import checkpoint

FILE = Path(__file__).parents[2] / "cnntrain/parts/models/tiny32.npz"
KEPT = ("config", "classes", "pixels", "environment", "position")  # of what a checkpoint says of itself
NOTICE = (
    "Trained on CIFAR-10 (A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009), whose authors "
    "state no licence; by configs/pretrained-tiny32.yaml of cnntrain. data/README.md says more."
)


def content(run: Path) -> bytes:
    """The file that a finished run gives: its last parameters, without the optimizer's state."""
    last = checkpoint.read(run / "checkpoints/last.npz")
    arrays = {name: array for name, array in last.arrays.items() if name.startswith("param/")}
    meta = {key: last.meta[key] for key in KEPT if key in last.meta} | {"notice": NOTICE}
    return b"".join(bytes(chunk) for chunk in checkpoint.pack(meta, arrays))


def main() -> None:
    """Write the file, or compare."""
    run = Path(sys.argv[1])
    if "--check" not in sys.argv[2:]:
        FILE.write_bytes(content(run))
        return
    mine, last = checkpoint.read(FILE).digests(), checkpoint.read(run / "checkpoints/last.npz").digests()
    sys.exit(None if mine == {name: last.get(name) for name in mine} else "other bits: on another kind of processor?")


if __name__ == "__main__":
    main()
