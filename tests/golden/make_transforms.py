"""Write tests/golden/transforms from PyWavelets and torchvision: python -m tests.golden.make_transforms."""

from __future__ import annotations

import numpy as np
import pywt
import torch
from torchvision.transforms import v2

from tests.support.golden import save

BANDS = "ahvd"  # PyWavelets' names of LL, LH, HL, HH


CERTAIN = {"probability": 1.0}
THEIRS = {  # case -> our part and settings, and torchvision's transform, which leaves nothing to chance
    "hflip": ("hflip", CERTAIN, v2.RandomHorizontalFlip(1)),
    "vflip": ("vflip", CERTAIN, v2.RandomVerticalFlip(1)),
    "invert": ("invert", CERTAIN, v2.RandomInvert(1)),
    "solarize": ("solarize", CERTAIN | {"threshold": 0.4}, v2.RandomSolarize(0.4, 1)),
    "autocontrast": ("autocontrast", CERTAIN, v2.RandomAutocontrast(1)),
    "to_grayscale": ("to_grayscale", {}, v2.Grayscale(1)),
    "center_crop-even": ("center_crop", {"size": [4, 6]}, v2.CenterCrop((4, 6))),
    "center_crop-odd": ("center_crop", {"size": [5, 4]}, v2.CenterCrop((5, 4))),
    "pad-sides": ("pad", {"padding": [1, 2, 3, 4]}, v2.Pad([3, 1, 4, 2])),
    "pad-reflect": ("pad", {"padding": 2, "mode": "reflect"}, v2.Pad(2, padding_mode="reflect")),
    "resize-smaller": ("resize", {"size": [3, 4]}, v2.Resize((3, 4), antialias=True)),
    "resize-larger": ("resize", {"size": 12}, v2.Resize(12, antialias=True)),
    "resize-nearest": (
        "resize",
        {"size": [9, 5], "interpolation": "nearest"},
        v2.Resize((9, 5), interpolation=v2.InterpolationMode.NEAREST_EXACT),
    ),
    "gaussian_blur": ("gaussian_blur", {"kernel_size": 5, "sigma": [1.3, 1.3]}, v2.GaussianBlur(5, (1.3, 1.3))),
    "normalize": (
        "normalize",
        {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
        v2.Normalize([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]),
    ),
    "random_rotation-quarter": ("random_rotation", {"degrees": [90.0, 90.0]}, v2.RandomRotation((90, 90))),
}


def main() -> None:
    """The wavelets, what torchvision has, then the mixtures."""
    wavelets()
    images = np.random.default_rng(4).uniform(size=(2, 7, 9, 3)).astype(np.float32)
    for case, (name, settings, transform) in THEIRS.items():
        result = transform(torch.tensor(images).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
        save("transforms", case, name, settings, images=images, result=result)
    for seed, alpha in enumerate((0.2, 1.0, 4.0)):
        mixtures("mixup", v2.MixUp(alpha=alpha, num_classes=3), alpha, seed)
        mixtures("cutmix", v2.CutMix(alpha=alpha, num_classes=3), alpha, seed)


def mixtures(name: str, transform: v2.Transform, alpha: float, seed: int) -> None:
    """A batch torchvision mixed, and what it drew for it: the share first, then column and row of the box's center."""
    rng = np.random.default_rng(seed)
    images, labels = rng.uniform(size=(5, 7, 9, 2)).astype(np.float32), rng.integers(0, 3, 5)
    torch.manual_seed(seed)
    x, mixed = transform(torch.tensor(images).permute(0, 3, 1, 2), torch.tensor(labels))
    torch.manual_seed(seed)
    share = float(transform._dist.sample(()))
    column, row = (int(torch.randint(extent, size=(1,))) for extent in (9, 7)) if name == "cutmix" else (0, 0)
    arrays = {"share": share, "y": row, "x": column, "rows": np.eye(3, dtype=np.float32)[labels]}
    if name == "cutmix":
        torch.manual_seed(seed)
        found = transform.make_params([torch.tensor(images).permute(0, 3, 1, 2)])["box"]
        arrays["box"] = np.array([found[1], found[3], found[0], found[2]])
    save(
        "transforms",
        f"{name}-{alpha:g}",
        name,
        {"alpha": alpha},
        images=images,
        result=x.permute(0, 2, 3, 1).numpy(),
        mixed_rows=mixed.numpy(),
        **arrays,
    )


def wavelets() -> None:
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
