"""Write tests/golden/tiffs.npz, TIFFs by tifffile and what they mean: python tests/golden/make_tiffs.py.

Each file is there as its bytes, beside the brightness in [0, 1] (height, width, channels) that its pixels mean; NaN
where there is no agreed meaning, so that it has to be refused. What is written is read back by tifffile as well.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

HEIGHT, WIDTH = 3, 8
RNG = np.random.default_rng(0)
FOUND: dict[str, Any] = {}
TURN = {
    1: lambda t: t, 2: lambda t: t[:, ::-1], 3: lambda t: t[::-1, ::-1], 4: lambda t: t[::-1],
    5: lambda t: t.swapaxes(0, 1), 6: lambda t: t.swapaxes(0, 1)[:, ::-1], 7: lambda t: t[::-1, ::-1].swapaxes(0, 1),
    8: lambda t: t.swapaxes(0, 1)[::-1],
}  # fmt: skip


def add(name: str, stored: Any, meant: Any, **options: Any) -> None:
    """One file; `meant` is what its pixels mean."""
    file = io.BytesIO()
    tifffile.imwrite(file, stored, metadata=None, **options)
    assert np.array_equal(tifffile.imread(io.BytesIO(file.getvalue())), stored), name
    FOUND[f"{name}.tif"] = np.frombuffer(file.getvalue(), np.uint8)
    FOUND[f"{name}.meant"] = np.asarray(meant, np.float32)


def values(kind: str, *shape: int, bits: int | None = None) -> tuple[Any, Any]:
    """Random values, and the same in [0, 1]."""
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        found = RNG.random(shape).astype(dtype)
        return found, found.astype(np.float64)
    most = 2 ** (bits or dtype.itemsize * 8 - (dtype.kind == "i")) - 1
    found = RNG.integers(0, most, shape, dtype, endpoint=True)
    return found, found / most


def main() -> None:  # noqa: C901  (a list, as long as there are kinds)
    unknown = np.full((1, 1, 1), np.nan)
    for kind in ("u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"):
        for white in (False, True):
            for order in "<>":
                for packing in (None, "zlib", "lzw", "packbits"):
                    stored, meant = values(kind, HEIGHT, WIDTH)
                    named = f"{kind} {'white is 0' if white else 'grey'} {'le' if order == '<' else 'be'} {packing}"
                    options = {"photometric": "miniswhite" if white else "minisblack", "byteorder": order}
                    add(named, stored, (1 - meant if white else meant)[..., None], compression=packing, **options)
    for bits in (2, 4, 6, 10, 12, 14, 24):
        for white in (False, True):
            stored, meant = values("u1" if bits < 8 else "u2" if bits < 16 else "u4", HEIGHT, WIDTH, bits=bits)
            options = {"photometric": "miniswhite" if white else "minisblack", "byteorder": "<"}
            meant = (1 - meant if white else meant)[..., None]
            add(f"{bits} bits {'white is 0' if white else 'grey'}", stored, meant, bitspersample=bits, **options)
    for kind in ("u1", "u2", "f4"):
        for planes in ("contig", "separate"):
            for extra in ((), ("unspecified",), ("assocalpha",), ("unassalpha",)):
                for photometric, bands in (("minisblack", 1), ("rgb", 3), ("separated", 4)):
                    if bands + len(extra) > 1:
                        named = f"{kind} {photometric} {planes} {' '.join(extra)}".strip()
                        add_colours(named, kind, photometric, bands, extra, planes)
    for bands in (2, 5, 13):
        for kind in ("u1", "u2", "f4"):
            stored, _ = values(kind, HEIGHT, WIDTH, bands)
            options = {"photometric": "minisblack", "planarconfig": "contig"}
            add(f"{bands} bands {kind}", stored, unknown, extrasamples=["unspecified"] * (bands - 1), **options)
    for kind in ("u1", "u2"):
        for turn, turned in TURN.items():
            for photometric, bands in (("minisblack", 1), ("miniswhite", 1), ("rgb", 3)):
                stored, meant = values(kind, HEIGHT, WIDTH, bands)
                meant = turned(1 - meant if photometric == "miniswhite" else meant)
                stored = stored[..., 0] if bands == 1 else stored
                tags = [(274, "H", 1, turn, True)]
                add(f"{kind} {photometric} turned {turn}", stored, meant, photometric=photometric, extratags=tags)
    colours = RNG.integers(0, 65536, (3, 256), np.uint16)
    stored, _ = values("u1", HEIGHT, WIDTH)
    add("palette", stored, np.moveaxis(colours[:, stored], 0, -1) / 65535, photometric="palette", colormap=colours)
    for photometric in ("icclab", "itulab", "linear_raw"):
        add(photometric, values("u1", HEIGHT, WIDTH, 3)[0], unknown, photometric=photometric)
    for photometric in ("cfa", "mask"):
        add(photometric, values("u1", HEIGHT, WIDTH)[0], unknown, photometric=photometric)
    for kind in ("u1", "u2", "f4"):
        for white in (False, True):
            for big in (False, True):
                stored, meant = values(kind, 16, 32)
                meant = (1 - meant if white else meant)[..., None]
                options = {"photometric": "miniswhite" if white else "minisblack", "byteorder": "<", "bigtiff": big}
                named = f"{kind} {'white is 0' if white else 'grey'} {'big' if big else 'classic'}"
                add(f"{named} tiles", stored, meant, tile=(16, 16), **options)
                add(f"{named} strips", stored, meant, rowsperstrip=7, **options)
    np.savez_compressed(Path(__file__).parent / "tiffs.npz", **FOUND)


def add_colours(named: str, kind: str, photometric: str, bands: int, extra: tuple[str, ...], planes: str) -> None:
    """A file of several bands, laid over white where it is transparent."""
    stored, meant = values(kind, HEIGHT, WIDTH, bands + len(extra))
    if extra == ("assocalpha",):
        stored[..., :bands] = np.minimum(stored[..., :bands], stored[..., -1:])
        meant[..., :bands] = np.minimum(meant[..., :bands], meant[..., -1:])
    shown = meant[..., :bands]
    if photometric == "separated":
        shown = (1 - shown[..., :3]) * (1 - shown[..., 3:])
    if extra and extra[0] != "unspecified" and photometric != "separated":
        alpha = meant[..., -1:]
        shown = (shown if extra == ("assocalpha",) else shown * alpha) + 1 - alpha
    stored = stored if planes == "contig" else np.ascontiguousarray(np.moveaxis(stored, -1, 0))
    add(named, stored, shown, photometric=photometric, planarconfig=planes, extrasamples=extra)


if __name__ == "__main__":
    main()
