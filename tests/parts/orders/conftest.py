"""Orders are tried on the command line too."""

from tests.cli.conftest import _finished, cnntrain, config, desk, finished  # noqa: F401  (fixtures)
