"""A folder of renderings: for each sample, the network's answer as PNG files named after it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from cnntrain.core import files
from cnntrain.core.directories import make_directory
from cnntrain.core.display import Rendering
from cnntrain.core.errors import StorageError, UsageError
from cnntrain.parts.tasks.base import Task


class Folder:
    """The folder for the renderings of a prediction; no existing file is overwritten."""

    def __init__(self, path: Path, task: Task) -> None:
        """Make the folder. Raises UsageError where the answers of the task cannot be shown, StorageError."""
        if not task.renders:
            raise UsageError(
                f"--draw: the task {task.name_in_config} has no answers that can be drawn into a picture. Leave it out"
            )
        make_directory(path)
        self._path = path

    def write(self, name: str, renderings: Sequence[Rendering]) -> None:
        """Write one sample's renderings as NAME.png or NAME-SUFFIX.png. Raises StorageError."""
        for rendering in renderings:
            stem = Path(name).stem if Path(name).is_file() else Path(name).name
            path = self._path / f"{stem}{'-' * bool(rendering.suffix)}{rendering.suffix}.png"
            if path.exists():
                raise StorageError(
                    f"{path} exists and {name} would overwrite it. Name another folder, or pictures with other names"
                )
            files.write_atomic(path, png(rendering))


def png(rendering: Rendering) -> bytes:
    """The PNG file of a rendering; colour indices are stored as such, with a palette."""
    image = Image.fromarray(rendering.pixels)
    if rendering.colours is not None:
        image.putpalette(rendering.colours.tobytes())
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
