"""Regenerate whatever is made from the code: `python -m tests.regenerate`. Every test of something stale names it.

Run it after adding or changing a part; it writes only what is stale, and says so. What is generated registers in
GENERATED: a path and the function that gives the file's bytes. Numbers that another program has to compute are not
made here: `python -m tests.golden.make_golden` makes those, and this puts them into the package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.golden import pack
from tests.support import gallery, reference

ROOT = Path(__file__).parent.parent
COMMAND = "python -m tests.regenerate"


@dataclass(frozen=True)
class Generated:
    """A file made from the code.

    path      where it lies, from the root of the repository
    content   its bytes as they should be
    fresh     whether it is as it should be; by default, whether it holds exactly those bytes
    """

    path: Path
    content: Callable[[], bytes]
    fresh: Callable[[], bool] | None = None

    def stale(self) -> bool:
        """Whether it has to be regenerated."""
        path = ROOT / self.path
        if not path.is_file():
            return True
        return not self.fresh() if self.fresh else path.read_bytes() != self.content()

    def write(self) -> None:
        """Regenerate it."""
        (ROOT / self.path).write_bytes(self.content())


GENERATED = (
    *(Generated(Path(page.name), partial(reference.content, page)) for page in reference.generated()),
    Generated(Path("data/transforms.png"), gallery.content, gallery.fresh),
    Generated(Path("cnntrain/checks/golden.npz"), pack.content, pack.fresh),
)


def main() -> None:
    """Write what is stale."""
    for generated in GENERATED:
        stale = generated.stale()
        if stale:
            generated.write()
        print(f"{generated.path}: {'made anew' if stale else 'as it should be'}")


if __name__ == "__main__":
    main()
