"""A folder of renderings: for each sample, what a network says of it as PNG files named after it."""

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
    """Where the renderings of a prediction go; a file that is there already is not overwritten."""

    def __init__(self, path: Path, task: Task) -> None:
        """Make the folder. Raises UsageError where the answers of the task cannot be shown, StorageError."""
        if not task.renders:
            raise UsageError(
                f"--draw: an answer of the task {task.name_in_config} is no place in the picture that could be shown. "
                "Leave it out"
            )
        make_directory(path)
        self._path = path

    def write(self, name: str, renderings: Sequence[Rendering]) -> None:
        """Write those of one sample: NAME.png, and NAME-SUFFIX.png. Raises StorageError."""
        for rendering in renderings:
            stem = Path(name).stem if Path(name).is_file() else Path(name).name
            path = self._path / f"{stem}{'-' * bool(rendering.suffix)}{rendering.suffix}.png"
            if path.exists():
                raise StorageError(
                    f"{path} exists, and {name} would overwrite it. Name another folder, or pictures of different names"
                )
            files.write_atomic(path, png(rendering))


def png(rendering: Rendering) -> bytes:
    """The PNG file of a rendering; numbers of colours are stored as such, with their colours as palette."""
    image = Image.fromarray(rendering.pixels)
    if rendering.colours is not None:
        image.putpalette(rendering.colours.tobytes())
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
