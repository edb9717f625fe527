"""Clips: some moments of a moving picture, whatever form it comes in: a folder of frames, one file of several, a video.

Videos are decoded by FFmpeg, which is the extra `video` (PyAV): twice, first to learn which frames there
are; only the frames that are taken are held in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError
from cnntrain.core.extras import install
from cnntrain.reading.attended import still_wanted
from cnntrain.reading.input_files import check_device, opened, reading
from cnntrain.reading.pictures import MAX_PIXELS, MOVING, SUFFIXES, Fit, brought, decode, decode_clip, header

VIDEOS = frozenset([".mp4", ".m4v", ".mov", ".avi", ".webm", ".mkv", ".mpg", ".mpeg"])
FORMS = SUFFIXES | VIDEOS
MOST_FRAMES = 100_000  # of one video: an hour at 25 a second, and some
# FFmpeg's, none of which names other files
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpeg,mpegts,mpegvideo"
_CONVERT = "Convert it, say with: ffmpeg -i FILE -c:v libx264 -pix_fmt yuv420p OUT.mp4"

Choose = Callable[[int, "Array | None"], Sequence[int]]  # (frames, their times in seconds if known) -> which, in order


@dataclass(frozen=True)
class Look:
    """How frames become pixels, and whether their times are wanted where that takes reading all of them."""

    size: tuple[int, int] | None
    channels: int
    max_pixels: int = MAX_PIXELS
    fit: Fit = "stretch"
    timed: bool = False


def is_moving(path: Path) -> bool:
    """Whether a file, by its name, may hold a clip of its own."""
    return path.suffix.lower() in MOVING | VIDEOS


def read_clip(sample: Sequence[Path], choose: Choose, look: Look) -> Array:
    """The chosen moments of a clip: uint8 (moments, h, w, channels). Raises DataError naming the file.

    A sample is one moving file, or the pictures that are its frames, in their order.
    """
    if len(sample) > 1 or not is_moving(sample[0]):
        frames = _pictures(sample, choose(len(sample), None), look)
    elif sample[0].suffix.lower() in VIDEOS:
        frames = _video(sample[0], choose, look)
    else:
        return decode_clip(sample[0], choose, look.size, look.channels, look.max_pixels, look.fit, look.timed)
    if len({frame.shape for frame in frames}) > 1:
        raise DataError(f"{sample[0]}: frames of different sizes, expected one size: set size")
    return np.stack(frames)


def extent_of_clip(path: Path) -> tuple[int, int] | None:
    """Height and width of the frames of a clip; None where they cannot be read."""
    if path.suffix.lower() not in VIDEOS:
        head = header(path)
        return head and (head.height, head.width)
    with contextlib.suppress(DataError), _opened(path) as stream:
        return int(stream.height), int(stream.width)
    return None


def rate_of_video(path: Path) -> float | None:
    """The frames a second that a video declares; None where it declares none, and for other files."""
    if path.suffix.lower() in VIDEOS:
        with contextlib.suppress(DataError), _opened(path) as stream:
            return float(stream.average_rate) if stream.average_rate else None
    return None


def video_version() -> str | None:
    """The version of PyAV, on which the pixels of videos depend; None where it is not installed."""
    try:
        return version("av")
    except PackageNotFoundError:
        return None


def _pictures(sample: Sequence[Path], chosen: Sequence[int], look: Look) -> list[Array]:
    found = {
        index: decode(sample[index], look.size, look.channels, look.max_pixels, look.fit).pixels for index in {*chosen}
    }
    return [found[index] for index in chosen]


def _video(path: Path, choose: Choose, look: Look) -> list[Array]:
    times: list[float] = []
    with _opened(path) as stream:
        pixels = stream.width * stream.height
        if pixels > look.max_pixels:
            raise DataError(
                f"{path}: frames of more than {look.max_pixels:,} pixels ({stream.height}x{stream.width}). If it is "
                f"sound, set max_pixels: {pixels} or more in its data source"
            )
        for frame in _frames(stream):
            times.append(float(frame.time) if frame.time is not None else len(times) / 25)
            if len(times) > MOST_FRAMES:
                raise DataError(f"{path}: more than {MOST_FRAMES:,} frames. Cut it into shorter ones")
    if not times:
        raise DataError(f"{path} holds no frame that FFmpeg can decode. {_CONVERT}")
    chosen = choose(len(times), np.array(times) - times[0])
    wanted, found = {*chosen}, {}
    with _opened(path) as stream:
        for index, frame in enumerate(_frames(stream)):
            if index in wanted:
                found[index] = _pixels(frame, look)
            if index >= chosen[-1]:
                break
    missing = wanted - found.keys()
    if missing:
        raise DataError(f"{path} gave {len(times):,} frames at first, but then not frame {min(missing):,}. {_CONVERT}")
    return [found[index] for index in chosen]


def _pixels(frame: Any, look: Look) -> Array:
    """A decoded frame, the right way up: phones say beside the pixels how they were held."""
    colours = np.rot90(frame.to_ndarray(format="rgb24"), round(getattr(frame, "rotation", 0) / 90) % 4)
    image = Image.fromarray(np.ascontiguousarray(colours)).convert("RGB" if look.channels == 3 else "L")
    return brought(image, look.size, look.channels, look.fit)


def _frames(stream: Any) -> Iterator[Any]:
    for frame in stream.container.decode(stream):
        still_wanted()
        yield frame


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The first stream of pictures in a video. Raises DataError for whatever goes wrong until it is closed."""
    try:
        import av
    except ImportError as error:
        raise DataError(f"{path} needs PyAV to be read. Run: {install('video')}") from error
    av.logging.set_level(av.logging.PANIC)  # what is wrong ends up in our one line
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "pipe"}
    with reading(path), opened(path) as file:
        try:
            with av.open(file, options=options) as container:
                if not container.streams.video:
                    raise DataError(f"{path} holds no video. {_CONVERT}")
                stream = container.streams.video[0]
                if stream.codec_context is None:  # this FFmpeg does not know the codec
                    raise DataError(f"{path} has a codec that FFmpeg does not know. {_CONVERT}")
                stream.codec_context.thread_count = 1  # there are workers enough
                yield stream
        except (av.FFmpegError, ValueError) as error:
            check_device(path)
            said = getattr(error, "strerror", None) or str(error)
            raise DataError(f"{path} is not a video that FFmpeg can read ({said}). {_CONVERT}") from error
