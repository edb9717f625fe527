"""`python -m cnntrain` is `cnntrain`."""

import sys

from cnntrain.cli import main

if __name__ == "__main__":
    sys.exit(main())
