"""Write tests/golden/transforms from PyWavelets: python -m tests.golden.make_transforms."""

from __future__ import annotations

import numpy as np
import pywt

from tests.support.golden import save

BANDS = "ahvd"  # PyWavelets' names of LL, LH, HL, HH


def main() -> None:
    """One file for each number of levels; the path of a band names one filter a level."""
    images = np.random.default_rng(2).uniform(size=(3, 8, 12, 2))
    for levels in (1, 2):
        paths = [""]
        for _ in range(levels):
            paths = [path + band for path in paths for band in BANDS]
        result = np.stack([np.stack([packets(image, c, paths) for c in range(2)], axis=2) for image in images])
        settings = {"levels": levels}
        save(
            "transforms",
            f"haar-{levels}",
            "haar",
            settings,
            images=images,
            result=result.reshape(*result.shape[:3], -1),
        )


def packets(image: np.ndarray, channel: int, paths: list[str]) -> np.ndarray:
    """The packets of one channel, (h, w, bands)."""
    tree = pywt.WaveletPacket2D(image[:, :, channel], "haar", mode="periodization")
    return np.stack([tree[path].data for path in paths], axis=-1)


if __name__ == "__main__":
    main()
