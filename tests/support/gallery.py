"""The picture of every transform, data/transforms.png; `python -m tests.regenerate` paints it.

A scene painted here goes through each transform as training would send it through. The picture of a transform whose
extra (`features`) is not installed is taken from the picture as it was.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.data.loader import Samples, fit
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.transforms.base import Transform
from tests.support.pages import ROOT

PICTURE = ROOT / "data" / "transforms.png"
SIZE = 96  # pixels, of a scene
SMALL = 32  # of one that is to be whitened
COLUMNS, GAP, CAPTION = 8, 6, 14
FINE = 4  # the scene is painted this much larger
SHOWN: dict[str, dict[str, Any]] = {  # settings whose effect shows; by default the transform's own, always applied
    "center_crop": {"size": 64},
    "color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.5, "hue": 0.1},
    "cutmix": {"alpha": 20.0},
    "cutout": {"size": 40},
    "gaussian_blur": {"kernel_size": 9, "sigma": (2.0, 3.0)},
    "mixup": {"alpha": 20.0},
    "normalize": {"from_": "dataset"},
    "pad": {"padding": 12},
    "posterize": {"bits": 2},
    "random_affine": {"degrees": 25.0, "translate": (0.1, 0.1), "scale": (0.7, 1.2), "shear": 15.0},
    "random_crop": {"padding": 24},
    "random_resized_crop": {"scale": (0.2, 0.5)},
    "random_rotation": {"degrees": 40.0},
    "resize": {"size": (48, 96)},
    "zca_whiten": {"epsilon": 1e-3},
}


def scene(night: bool = False) -> Array:
    """A house, a tree and the sun or the moon: (SIZE, SIZE, 3) bytes."""
    side = SIZE * FINE
    picture = Image.new("RGB", (side, side))
    pen = ImageDraw.Draw(picture)
    high, low = ((20, 24, 70), (90, 70, 120)) if night else ((70, 140, 225), (205, 230, 250))
    for y in range(side):
        pen.line([(0, y), (side, y)], tuple(round(a + (b - a) * y / side) for a, b in zip(high, low, strict=True)))

    def at(*places: float) -> list[float]:
        return [side * place for place in places]

    pen.ellipse(at(0.68, 0.08, 0.86, 0.26), (240, 240, 215) if night else (255, 215, 60))
    pen.rectangle(at(0, 0.72, 1, 1), (30, 70, 50) if night else (95, 170, 75))
    pen.rectangle(at(0.14, 0.45, 0.5, 0.8), (150, 120, 110) if night else (235, 205, 165))
    pen.polygon(at(0.08, 0.46, 0.32, 0.24, 0.56, 0.46), (110, 40, 50) if night else (190, 60, 50))
    pen.rectangle(at(0.2, 0.52, 0.3, 0.62), (255, 225, 120) if night else (120, 170, 210))
    pen.rectangle(at(0.35, 0.58, 0.45, 0.8), (70, 50, 45) if night else (110, 70, 45))
    pen.rectangle(at(0.74, 0.6, 0.79, 0.84), (60, 45, 35) if night else (115, 80, 50))
    pen.ellipse(at(0.62, 0.36, 0.92, 0.66), (25, 65, 50) if night else (50, 130, 60))
    return np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BOX))


def pictures(name: str) -> Images:
    """What the transform is shown: the two scenes; for whitening many small pieces of them, the first scene last."""
    both = np.stack([scene(), scene(night=True)])
    if name == "to_rgb":
        both = both[..., 1:2]
    if name == "zca_whiten":
        pieces = registry.make("transforms", "random_resized_crop", size=SMALL)
        whole = registry.make("transforms", "resize", size=SMALL)
        many = [through(Images(both, np.zeros(2, np.int64), ("",)), pieces, epoch) for epoch in range(400)]
        both = np.concatenate([*many, through(Images(both, np.zeros(2, np.int64), ("",)), whole)[::-1]])
    return Images(both, np.zeros(len(both), np.int64), ("scene",))


def through(images: Images, transform: Transform, epoch: int = 0) -> Array:
    """All images after the transform, as an epoch of training would have them."""
    everything = np.arange(len(images))
    fitted = fit([transform], images, everything)
    x = np.empty((len(images) * transform.views, *transform.output_shape(images.shape)), np.float32)
    task = registry.make("tasks", "classify")
    samples = Samples(
        images,
        everything,
        fitted,
        seed=1,
        epoch=epoch,
        mixable=lambda labels: task.mixable(labels, images.description),
    )
    samples.fill(0, len(images), x)
    return x


def result(name: str) -> Array:
    """The day's scene after the transform, in the first epoch in which that shows."""
    cls = registry.lookup("transforms", name)
    fields = SHOWN.get(name, {}) | ({"probability": 1.0} if hasattr(cls, "probability") else {})
    transform, images = registry.make("transforms", name, **fields), pictures(name)
    before = images.pixels[0] / 255
    for epoch in range(50):
        x = through(images, transform, epoch)[-1 if name == "zca_whiten" else 0]
        if x.shape != before.shape or np.abs(x - before).mean() > 0.02:
            return x
    raise AssertionError(f"{name} does nothing to the scene")


def shown(image: Array) -> Image.Image:
    """Any image as a picture: bands beside each other, descriptors by direction, other ranges stretched."""
    if image.shape[-1] == 12:
        bands = np.moveaxis(image.reshape(*image.shape[:2], 3, 4), 3, 0)
        ll, lh, hl, hh = ((band - band.min()) / np.ptp(band) for band in bands)
        image = np.block([[[ll], [hl]], [[lh], [hh]]])
    elif image.shape[-1] == 24:  # the second to the fifth pattern of patches; the first is their brightness
        image = np.block([[[image[..., 1:2]], [image[..., 2:3]]], [[image[..., 3:4]], [image[..., 4:5]]]])
    elif image.shape[-1] == 128:
        ways = image.reshape(*image.shape[:2], 16, 8).sum(axis=2)
        image = np.stack([ways[..., 0::4].sum(-1), ways[..., 1::2].sum(-1) / 2, ways[..., 2::4].sum(-1)], axis=-1)
    if image.min() < 0 or image.max() > 1.001:
        low, high = np.quantile(image, [0.01, 0.99])
        image = (image - low) / (high - low)
    bytes_ = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
    picture = Image.fromarray(bytes_[..., 0] if bytes_.shape[-1] == 1 else bytes_).convert("RGB")
    factor = min(SIZE / picture.width, SIZE / picture.height)
    size = (max(round(picture.width * factor), 1), max(round(picture.height * factor), 1))
    return picture.resize(size, Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BOX)


def tile(name: str) -> Image.Image:
    """A transform's picture; without the extra it needs, as it was. Raises ValueError where it never was."""
    try:
        return shown(result(name))
    except ValueError as error:
        if not isinstance(error.__cause__, ImportError):
            raise
        with Image.open(PICTURE) as picture:
            names = getattr(picture, "text")["transforms"].split()  # noqa: B009  (only a PNG has it)
            if name not in names:
                raise
            x, y = _place(names.index(name) + 1)
            return picture.convert("RGB").crop((x, y, x + SIZE, y + SIZE))


def fresh() -> bool:
    """Whether the picture shows the transforms there are."""
    with Image.open(PICTURE) as picture:
        return bool(getattr(picture, "text")["transforms"].split() == _names())  # noqa: B009


def _names() -> list[str]:
    """The transforms of pictures."""
    return [
        name
        for name, part in registry.parts("transforms").items()
        if not (getattr(part, "of_sounds", False) or getattr(part, "whole_clips", False))
    ]


def _place(number: int) -> tuple[int, int]:
    """The left upper corner of a picture."""
    return GAP + number % COLUMNS * (SIZE + GAP), GAP + number // COLUMNS * (SIZE + CAPTION + GAP)


def content() -> bytes:
    """The picture, painted."""
    names = _names()
    tiles = {"(as it is)": shown(scene() / 255)} | {name: tile(name) for name in names}
    rows = -(-len(tiles) // COLUMNS)
    wide, tall = SIZE + GAP, SIZE + CAPTION + GAP
    sheet = Image.new("RGB", (COLUMNS * wide + GAP, rows * tall + GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=9)
    for number, (name, picture) in enumerate(tiles.items()):
        x, y = _place(number)
        sheet.paste(picture, (x + (SIZE - picture.width) // 2, y + (SIZE - picture.height) // 2))
        pen.text((x + SIZE / 2, y + SIZE + 1), name, "black", font, anchor="ma")
    about = PngInfo()
    about.add_text("transforms", " ".join(names))
    buffer = io.BytesIO()
    sheet.quantize(200, dither=Image.Dither.NONE).save(buffer, "PNG", pnginfo=about, optimize=True)
    return buffer.getvalue()
