"""A folder of renderings: for each sample, the network's answer as PNG files named after it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from cnntrain.core.display import Rendering
from cnntrain.core.errors import UsageError
from cnntrain.parts.tasks.base import Task
from cnntrain.results.named_after import NamedAfter


class Folder:
    """The folder for the renderings of a prediction: NAME.png or NAME-SUFFIX.png."""

    def __init__(self, path: Path, task: Task, names: Sequence[str], overwrite: bool = False) -> None:
        """For samples of these names; nothing is made yet.

        Raises UsageError where the answers of the task cannot be shown, and what NamedAfter does.
        """
        if not task.renders:
            raise UsageError(
                f"--draw: the task {task.name_in_config} has no answers that can be drawn into a picture. Leave it out"
            )
        self._folder = NamedAfter(path, names, map(_ending, task.renders), overwrite)

    def write(self, name: str, renderings: Sequence[Rendering]) -> None:
        """Write one sample's renderings. Raises StorageError."""
        self._folder.write(name, {_ending(rendering.suffix): png(rendering) for rendering in renderings})


def _ending(suffix: str) -> str:
    return f"{'-' * bool(suffix)}{suffix}.png"


def png(rendering: Rendering) -> bytes:
    """The PNG file of a rendering; colour indices are stored as such, with a palette."""
    image = Image.fromarray(rendering.pixels)
    if rendering.colours is not None:
        image.putpalette(rendering.colours.tobytes())
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
