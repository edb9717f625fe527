"""Make the first page's pictures out of a real run: python -m tests.support.readme_pictures.

The quickstart is trained in a terminal of its own, whose last screen becomes an SVG; its report is opened in headless
Chromium (`apt install chromium`), and becomes a PNG. It takes about a minute.
"""

from __future__ import annotations

import html
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

from PIL import Image, ImageChops

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "data/pictures"
RUN = "runs/quickstart/first"
FIT = ["fit", "configs/quickstart.yaml", "--run-dir", RUN, "--report"]
COLUMNS, LINES = 80, 40
WINDOW = (1100, 6000)  # of the browser, as high as the page or higher
SCALE = 0.6  # of the page in its picture

Cell = tuple[str, bool]  # a letter, and whether it is coloured


def in_a_terminal(command: list[str], folder: Path) -> str:
    """What a command writes when it runs in a terminal of COLUMNS x LINES."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    written = b"".join(_chunks(ours))
    if process.wait():
        sys.exit(written.decode())
    return written.decode()


def _chunks(descriptor: int) -> Iterator[bytes]:
    try:
        while chunk := os.read(descriptor, 65536):
            yield chunk
    except OSError:  # Linux says so that the other end is closed
        return


def screen(written: str) -> list[list[Cell]]:
    """The lines that are seen in the end: a carriage return writes over a line, escapes colour it."""
    lines: list[list[Cell]] = [[]]
    column, coloured = 0, False
    for piece in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|.", written, re.DOTALL):
        if piece.startswith("\x1b"):
            coloured = piece.endswith("m") and piece != "\x1b[0m"
        elif piece == "\r":
            column = 0
        elif piece == "\n":
            lines.append([])
            column = 0
        else:
            line = lines[-1]
            line.extend([(" ", False)] * (column + 1 - len(line)))
            line[column] = (piece, coloured)
            column += 1
    return [line for line in lines if any(letter != " " for letter, _ in line)]


def rendered(prompt: str, lines: list[list[Cell]]) -> str:
    """A terminal window as SVG."""
    size, step, left, top = 14, 20, 18, 52
    rows = [[*((letter, False) for letter in f"$ {prompt}")], *lines]
    width, height = left * 2 + round(COLUMNS * size * 0.602), top + step * len(rows) + 4
    texts = []
    for number, row in enumerate(rows):
        spans = [
            f'<tspan class="{"b" if coloured else "t"}">{html.escape(text)}</tspan>' for text, coloured in _runs(row)
        ]
        texts.append(f'<text x="{left}" y="{top + step * number}" xml:space="preserve">{"".join(spans)}</text>')
    dots = "".join(f'<circle cx="{20 + 18 * i}" cy="19" r="5.5" fill="#3b4250"/>' for i in range(3))
    style = (
        f"text{{font:{size}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}}"
        ".t{fill:#d7dde7}.b{fill:#3ecf9a;font-weight:bold}"
    )
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{style}</style>",
        f'<rect width="{width}" height="{height}" rx="10" fill="#171c25"/>',
        dots, *texts, "</svg>", "",
    ])  # fmt: skip


def _runs(row: list[Cell]) -> Iterator[tuple[str, bool]]:
    """Letters of one colour together."""
    text, colour = "", False
    for letter, coloured in row:
        if coloured != colour and text:
            yield text, colour
            text = ""
        text, colour = text + letter, coloured
    yield text.rstrip(), colour


def photographed(page: Path, to: Path, scratch: Path) -> None:
    """A page as Chromium shows it, its upper half beside its lower one, with few enough colours for a small file."""
    browser = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit("there is no chromium on the PATH; install it, the package is called chromium")
    shot = scratch / "shot.png"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", "--hide-scrollbars", f"--user-data-dir={scratch}/profile"]
    flags += [f"--window-size={WINDOW[0]},{WINDOW[1]}", f"--screenshot={shot}"]
    subprocess.run([browser, *flags, page.absolute().as_uri()], check=True, capture_output=True)
    with Image.open(shot) as image:
        halves = _halves(image.convert("RGB"))
        halves.quantize(160, dither=Image.Dither.NONE).save(to, optimize=True)


def _halves(image: Image.Image) -> Image.Image:
    """The upper and the lower half of a picture side by side, without the empty end."""
    edge = image.getpixel((0, image.height - 1))
    end = ImageChops.difference(image, Image.new("RGB", image.size, edge)).getbbox()[3]
    empty = [(edge[0], edge[0]), (edge[1], edge[1]), (edge[2], edge[2])]
    rows = (y for y in range(end // 2, end) if image.crop((0, y, image.width, y + 1)).getextrema() == tuple(empty))
    middle = next(rows, end)  # the first row below the middle that runs between the cards
    whole = Image.new("RGB", (2 * image.width, middle), edge)
    for i in range(2):
        whole.paste(image.crop((0, i * middle, image.width, (i + 1) * middle)), (i * image.width, 0))
    return whole.resize([round(SCALE * extent) for extent in whole.size], Image.Resampling.LANCZOS)


def main() -> None:
    """Train, render, photograph."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for needed in ("configs", "data"):
            (folder / needed).symlink_to(ROOT / needed)
        written = in_a_terminal([sys.executable, "-m", "cnntrain", *FIT], folder)
        (FOLDER / "terminal.svg").write_text(rendered(" ".join(["cnntrain", *FIT]), screen(written)))
        photographed(folder / RUN / "report.html", FOLDER / "report.png", folder)


if __name__ == "__main__":
    main()
