"""Mutated data files: what the readers of every format make of files that were damaged at random.

    python -m tests.faults.data_files FORMAT,FORMAT... COUNT SEED

prints one JSON object: of each format how many were refused and read, the slowest in seconds, and the most memory the
process took, in bytes. Whatever is read has the shape and type that was declared; whatever is refused is refused by a
DataError of one line that names the file. A process of its own, under a limit of 1 GB of address space. Ends with a
traceback at the first mutation with another outcome, which the seed reproduces.
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import random
import resource
import sys
import tempfile
import time
import warnings
import wave
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnntrain.core.boxes import BOXES
from cnntrain.core.errors import DataError
from cnntrain.core.masks import IGNORED, MASKS, palette
from cnntrain.core.registry import make
from cnntrain.reading.clips import Look
from cnntrain.reading.clips import read_clip as read_clip_of
from cnntrain.reading.pictures import decode, decode_clip
from cnntrain.reading.sounds import recording
from tests.faults.mutations import mutate
from tests.parts.datasets.test_audio_folder import FORMS as SOUNDS
from tests.parts.datasets.test_boxed_pictures import FORMATS as BOXED
from tests.reading.test_sounds import FORMATS as COMPRESSED
from tests.support.campaign import peak_memory
from tests.support.datasets import idx, labels
from tests.support.datasets import pixels as noise
from tests.support.pictures import bmp, gif, png, tiff

LIMIT = 10**9  # bytes of address space
SECONDS = 1.0  # of the processor, for one file: a busy machine is nobody's fault
SIZE = (6, 5)
VIDEOS = {"mp4": ("mpeg4", "yuv420p"), "avi": ("mjpeg", "yuvj420p"), "mkv": ("ffv1", "yuv420p")}  # codec and pixels

Reader = Callable[[Path], None]  # reads a file and checks what comes out; raises DataError
Files = tuple[list[bytes], Path, Reader]  # sound contents of a file, the file, and its reader


def images(kind: str) -> list[bytes]:
    """Ten pictures of different modes and contents as Pillow writes them."""
    grey, colour = noise(1, 9, 7)[0], noise(2, 9, 7, 3)[0]
    clear = np.dstack([colour, grey])
    modes = [Image.fromarray(array) for array in (grey, colour, colour[:1, :1], clear)]
    palette = Image.fromarray(colour).convert("P")
    exif = Image.Exif()
    exif[0x0112] = 6
    files = []
    for number in range(10):
        image = [*modes, palette, Image.fromarray(grey).convert("1")][number % 6]
        if kind in ("jpeg", "bmp") and image.mode in ("RGBA", "P"):
            image = image.convert("CMYK" if kind == "jpeg" else "RGB")
        options: dict[str, Any] = {"exif": exif} if kind in ("jpeg", "png", "webp", "tiff") and number % 2 else {}
        if kind in ("gif", "webp", "tiff", "png") and number >= 6:
            options |= {"save_all": True, "append_images": [image.rotate(180)] * 2}
        if kind == "webp":
            options |= {"lossless": number % 2 == 0}
        if kind == "tiff":
            options |= {"compression": [None, "tiff_lzw", "tiff_deflate", "packbits"][number % 4]}
        if kind == "jpeg":
            options |= {"progressive": number % 3 == 0}
        file = io.BytesIO()
        image.save(file, kind, **options)
        files.append(file.getvalue())
    by_hand = {
        "png": png(2, 1, 16, 0, b"\1\2\x80\x80", (b"tRNS", b"\1\2")),
        "gif": gif(3, 2, bytes([0, 0, 0, 9, 9, 9]), 0, 1, transparent=1),
        "bmp": bmp(1, 1, bytes([3, 2, 1, 0])),
        "tiff": tiff(3, 1, bytes([255, 0, 0, 0, 0, 0, 137, 0, 0]), bits=(8,) * 3, photometric=8),
    }
    return [*files[1:], by_hand.get(kind, files[0])]


def read_image(path: Path) -> None:
    found = decode(path, SIZE, 3).pixels
    assert (found.shape, found.dtype) == ((*SIZE, 3), np.uint8)


def read_clip(path: Path) -> None:
    found = decode_clip(path, lambda frames, _times: (0, frames - 1), SIZE, 1)
    assert (found.shape, found.dtype) == ((2, *SIZE, 1), np.uint8)


def read_dataset(name: str, split: str = "train", **fields: Any) -> None:
    """Load a split, and check it against itself."""
    found = make("datasets", name, **fields).load(split)  # type: ignore[attr-defined]
    assert found.pixels.dtype in (np.uint8, np.float32)
    assert len(found.pixels) == len(found.targets) > 0
    assert found.pixels.ndim == 4
    assert found.pixels.size > 0
    if found.target == BOXES:
        here = found.targets["labels"] >= 0
        corners = found.targets["corners"][here]
        assert (found.targets["labels"] < len(found.classes)).all()
        assert (corners[:, :2] < corners[:, 2:]).all()
        assert (corners >= 0).all()
        assert (corners <= max(found.shape)).all()
    elif found.target == MASKS:
        assert found.targets.dtype == np.uint8
        assert found.targets.shape == found.pixels.shape[:3]
        assert ((found.targets < len(found.classes)) | (found.targets == IGNORED)).all()
    elif found.classes:
        assert found.targets.dtype == np.int64
        assert 0 <= found.targets.min() <= found.targets.max() < len(found.classes)
    else:
        assert found.targets.dtype == np.float32
        assert np.isfinite(found.targets).all()


def idx_reader(folder: Path, zipped: bool) -> tuple[list[bytes], Path, Reader]:
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(labels(6, 3)))
    name = "train-images-idx3-ubyte" + (".gz" if zipped else "")
    seeds = [idx(noise(6, 4 + n, 5)) for n in range(10)]
    return (
        [gzip.compress(seed) for seed in seeds] if zipped else seeds,
        folder / name,
        lambda path: read_dataset("idx", root=str(path.parent)),
    )


def cifar_reader(folder: Path) -> tuple[list[bytes], Path, Reader]:
    seeds = [
        b"".join(bytes([index % 10]) + noise(n + 1, 3072)[0].tobytes() for index in range(n + 1)) for n in range(10)
    ]
    return seeds, folder / "test_batch.bin", lambda path: read_dataset("cifar10", "test", root=str(path.parent))


def npz_reader(folder: Path, packed: bool) -> tuple[list[bytes], Path, Reader]:
    seeds = []
    for number in range(10):
        file = io.BytesIO()
        x = noise(8, 4 + number % 3, 5)
        x = x.astype(np.float32) / 255 if number % 4 == 3 else x
        y = noise(8, 2)[:8].astype(np.float64) if number % 3 == 2 else labels(8, 3)
        (np.savez_compressed if packed else np.savez)(file, x_train=x, y_train=y)
        seeds.append(file.getvalue())
    return seeds, folder / "data.npz", lambda path: read_dataset("npz", path=str(path))


def csv_reader(folder: Path) -> tuple[list[bytes], Path, Reader]:
    for name in ("a", "b"):
        (folder / f"{name}.png").write_bytes(png(2, 2, 8, 0, bytes(4)))
    seeds = [
        f"path{mark}v{mark}label\n".encode()
        + b"".join(f"{'ab'[n % 2]}.png{mark}{n / 3}{mark}{'xyz'[n % 3]}\n".encode() for n in range(rows))
        for mark in ",;"
        for rows in range(3, 8)
    ]

    def read(path: Path) -> None:
        read_dataset("csv", path=str(path))
        read_dataset("csv", path=str(path), targets=("v",))

    return seeds, folder / "data.csv", read


def boxes_reader(folder: Path, kind: str, victim: str, change: Callable[[bytes, int], bytes]) -> Files:
    """A sound set of pictures with boxes, one of whose annotations is mutated."""
    place = {"voc": "root", "yolo": "root"}.get(kind, "path")
    with tempfile.TemporaryDirectory() as elsewhere:  # for the disk that `folder` lies on may fail to read
        BOXED[kind](Path(elsewhere))
        seeds = [change((Path(elsewhere) / victim).read_bytes(), number) for number in range(10)]
    BOXED[kind](folder)
    return seeds, folder / victim, lambda _: read_dataset(kind, **{place: str(folder), "size": (8, 12)})


def masks_reader(folder: Path, by_colour: bool) -> Files:
    """Two pictures with masks, of class numbers or of VOC's colours; one of the masks is mutated."""
    rng, seeds = np.random.default_rng(0), []
    for number in range(10):
        mask = rng.choice(np.array([0, 1, 2, 255], np.uint8), (8, 12))
        image = Image.fromarray(palette(256)[mask] if by_colour else mask)
        if not by_colour and number % 2:
            image.putpalette(palette(256).tobytes())
        file = io.BytesIO()
        image.save(file, "PNG")
        seeds.append(file.getvalue())
    for name in ("a", "b"):
        for kind in ("images", "masks"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 8), (90, 90, 90)).save(folder / f"images/{name}.png")
        (folder / f"masks/{name}.png").write_bytes(seeds[0])
    told = {"colours": "voc", "ignore": (224, 224, 192)} if by_colour else {}
    fields = {"classes": 3, "size": SIZE, "pictures": str(folder / "images"), "masks": str(folder / "masks")} | told
    return seeds, folder / "masks/a.png", lambda _: read_dataset("masks", **fields)


def wav_reader(folder: Path) -> tuple[list[bytes], Path, Reader]:
    seeds = [SOUNDS[form] for form in ("extensible 24", "floats", "piped by ffmpeg", "RF64", "big-endian")]
    for number in range(5):
        file = io.BytesIO()
        with wave.open(file, "wb") as sound:
            sound.setnchannels(1 + number % 3)
            sound.setsampwidth(1 + number % 4)
            sound.setframerate(8000)
            sound.writeframes(noise(1, 240)[0].tobytes())
        seeds.append(file.getvalue())

    def read(path: Path) -> None:
        found = recording(path)
        heard = found.middle(8000, 50)
        assert (heard.shape, heard.dtype) == ((50,), np.float64)
        assert np.abs(heard).max() <= (1 if found.rate == 8000 else 4)  # what is resampled overshoots at jumps

    return seeds, folder / "a.wav", read


def read_sound(path: Path) -> None:
    heard = recording(path).middle(8000, 50)
    assert (heard.shape, heard.dtype) == ((50,), np.float64)
    assert np.abs(heard).max() <= 4  # what is resampled overshoots at jumps


def coded_reader(folder: Path) -> Files:
    """WAV files of the other codes and forms."""
    forms = ("A-law", "mu-law", "extensible mu-law", "doubles", "8 bits", "BW64", "not padded", "two channels")
    return [SOUNDS[form] for form in (*forms, "piped by sox", "something behind")], folder / "a.wav", read_sound


def sound_reader(folder: Path, ending: str) -> Files:
    """What libsndfile writes, of ten lengths, rates and numbers of channels."""
    import soundfile

    rng, seeds = np.random.default_rng(0), []
    for number in range(10):
        file = io.BytesIO()
        length = 10 + number if ending == "aiff" else 500 + 300 * number  # any samples are right: the rest counts
        sound = rng.uniform(-0.5, 0.5, (length, 1 + number % 2))
        rate = (8000, 16_000, 24_000, 48_000)[number % 4]
        soundfile.write(file, sound, rate, **COMPRESSED[ending][0])
        seeds.append(file.getvalue())
    return seeds, folder / f"a.{ending}", read_sound


def video_reader(folder: Path, ending: str) -> Files:
    """What FFmpeg writes: ten videos of some frames of noise."""
    import av

    codec, pixels = VIDEOS[ending]
    seeds = []
    for number in range(10):
        file = io.BytesIO()
        with av.open(file, "w", format=ending.replace("mkv", "matroska")) as container:
            stream = container.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 16 + 16 * (number % 2), 16, pixels
            for frame in noise(2 + number, 16, stream.width, 3):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        seeds.append(file.getvalue())

    def read(path: Path) -> None:
        found = read_clip_of([path], lambda frames, _times: (0, frames - 1), Look(SIZE, 1))
        assert (found.shape, found.dtype) == ((2, *SIZE, 1), np.uint8)

    return seeds, folder / f"a.{ending}", read


def image_reader(folder: Path, kind: str, reader: Reader) -> tuple[list[bytes], Path, Reader]:
    return images(kind), folder / f"a.{kind}", reader


FORMATS: dict[str, Callable[[Path], tuple[Sequence[bytes], Path, Reader]]] = {
    "idx": lambda folder: idx_reader(folder, zipped=False),
    "idx.gz": lambda folder: idx_reader(folder, zipped=True),
    "cifar": cifar_reader,
    "npz": lambda folder: npz_reader(folder, packed=False),
    "npz-packed": lambda folder: npz_reader(folder, packed=True),
    "csv": csv_reader,
    "voc": lambda folder: boxes_reader(folder, "voc", "Annotations/a.xml", lambda seed, n: seed + b"\n" * n),
    "coco": lambda folder: boxes_reader(
        folder, "coco", "annotations/instances_train2017.json", lambda seed, n: seed + b"\n" * n
    ),
    "yolo": lambda folder: boxes_reader(folder, "yolo", "labels/train/a.txt", lambda seed, n: seed * (n + 1)),
    "boxes_csv": lambda folder: boxes_reader(folder, "boxes_csv", "train.csv", lambda seed, n: seed + b"\n" * n),
    "data.yaml": lambda folder: boxes_reader(folder, "yolo", "data.yaml", lambda seed, n: seed + b"val:\n" * (n % 2)),
    "masks": lambda folder: masks_reader(folder, by_colour=False),
    "masks-colours": lambda folder: masks_reader(folder, by_colour=True),
    "wav": wav_reader,
    "wav-coded": coded_reader,
    "png": lambda folder: image_reader(folder, "png", read_image),
    "jpeg": lambda folder: image_reader(folder, "jpeg", read_image),
    "bmp": lambda folder: image_reader(folder, "bmp", read_image),
    "gif": lambda folder: image_reader(folder, "gif", read_image),
    "webp": lambda folder: image_reader(folder, "webp", read_image),
    "tiff": lambda folder: image_reader(folder, "tiff", read_image),
    "gif-clip": lambda folder: image_reader(folder, "gif", read_clip),
    "tiff-clip": lambda folder: image_reader(folder, "tiff", read_clip),
    "webp-clip": lambda folder: image_reader(folder, "webp", read_clip),
    "png-clip": lambda folder: image_reader(folder, "png", read_clip),
    **{ending: functools.partial(sound_reader, ending=ending) for ending in COMPRESSED},
    **{ending: functools.partial(video_reader, ending=ending) for ending in VIDEOS},
}
NEEDED = {**dict.fromkeys(COMPRESSED, "soundfile"), **dict.fromkeys(VIDEOS, "av")}  # format -> what reads it


def readable(kinds: Iterable[str]) -> list[str]:
    """Those formats whose readers are installed."""
    return [kind for kind in kinds if kind not in NEEDED or find_spec(NEEDED[kind])]


def attempt(path: Path, reader: Reader) -> bool:
    """Whether a file is read rather than refused, as it must be, in time."""
    began = time.process_time()
    try:
        reader(path)
    except DataError as error:
        message = str(error)
        elsewhere = "unreadable, first: /" in message  # by an absolute name that a mutation has made
        assert elsewhere or str(path.parent) in message or str(path.parents[1]) in message, message
        assert "\n" not in message, message
        return False
    finally:
        seconds = time.process_time() - began
        assert seconds < SECONDS, f"{seconds:.1f} s"
    return True


def campaign(kind: str, count: int, rng: random.Random) -> dict[str, Any]:
    """Mutate the files of one format so many times in all."""
    outcomes, slowest = {False: 0, True: 0}, 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        seeds, path, reader = FORMATS[kind](folder)
        for seed in seeds:
            path.write_bytes(seed)
            assert attempt(path, reader), "a sound file was refused"
        for number in range(count):
            data = seeds[number % len(seeds)]
            for _ in range(rng.randrange(1, 4)):
                data = mutate(rng, data) if data else data
            path.write_bytes(data)
            began = time.process_time()
            outcomes[attempt(path, reader)] += 1
            slowest = max(slowest, time.process_time() - began)
    return {"refused": outcomes[False], "read": outcomes[True], "slowest": round(slowest, 3)}


def main(kinds: str, count: str, seed: str) -> None:
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    outcomes = {kind: campaign(kind, int(count), random.Random(f"{seed}{kind}")) for kind in kinds.split(",")}
    print(json.dumps({**outcomes, "peak": peak_memory()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
