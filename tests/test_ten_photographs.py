"""From ten photographs of two things to a page that tells new ones apart: the first page's path, for real."""

from __future__ import annotations

import base64
import json
import shlex
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cnntrain.cli import main
from tests.support.browser import browser
from tests.support.pages import README

SECONDS = 60.0  # of the processor, for all commands
TABLE = np.array((150, 120, 90))
COLOURS = {"cups": (190, 60, 50), "keys": (205, 200, 170)}
NEW = 12  # photographs that no command has seen


def photograph(thing: str, rng: np.random.Generator) -> Image.Image:
    """The cup or the key, on a table, near or far, in some light, taken by a camera with some noise."""
    image = Image.new("RGB", (96, 80), tuple((TABLE + rng.integers(-25, 25, 3)).tolist()))
    draw, colour = ImageDraw.Draw(image), tuple((np.array(COLOURS[thing]) + rng.integers(-20, 20, 3)).tolist())
    x, y, size = rng.uniform(28, 60), rng.uniform(26, 46), rng.uniform(14, 22)
    if thing == "cups":
        draw.rectangle((x - size, y - size, x + size / 2, y + size), colour)
        draw.arc((x, y - size / 2, x + size, y + size / 2), -90, 90, colour, 4)
    else:
        draw.ellipse((x - size, y - size / 2, x, y + size / 2), outline=colour, width=5)
        draw.line((x, y, x + 1.6 * size, y), colour, 4)
        draw.line((x + 1.3 * size, y, x + 1.3 * size, y + size / 2), colour, 4)
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), float) * rng.uniform(0.6, 1.1)
    return Image.fromarray(np.clip(pixels + rng.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8))


def test_the_commands_of_the_first_page_lead_there(tmp_path: Path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    for number in range(10 + NEW):
        thing = ("cups", "keys")[number % 2]
        folder = tmp_path / ("things" if number < 10 else "new") / thing
        folder.mkdir(parents=True, exist_ok=True)
        photograph(thing, rng).save(folder / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    (block,) = (block for block in README.blocks("sh") if "things.yaml" in block)
    began = time.process_time()
    for line in block.splitlines():
        assert main(shlex.split(line)[1:]) == 0, line
    assert time.process_time() - began < SECONDS
    assert "preset: tiny32" in (tmp_path / "things.yaml").read_text()
    metrics = [json.loads(line) for line in (tmp_path / "runs/things/metrics.jsonl").read_text().splitlines()]
    assert metrics[-1]["event"] == "end"
    blob = "new Blob([Uint8Array.from(atob(given[0]), (c) => c.charCodeAt(0))])"
    ask = f"return (await cnntrain.ask({blob})).answer[0].name"
    with browser(tmp_path / "profile") as window:
        window.open((tmp_path / "runs/things.html").as_uri())
        found = {
            path: window.run(ask, base64.b64encode(path.read_bytes()).decode())
            for path in sorted((tmp_path / "new").glob("*/*.png"))
        }
        assert window.complaints() == []
    right = sum(name == path.parent.name for path, name in found.items())
    assert right >= NEW - 2, found
