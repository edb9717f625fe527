"""A layer run by itself on arrays a test can look at: the driver that the contracts of the package have."""

from cnntrain.checks.contracts.alone import run as run
from cnntrain.checks.contracts.alone import start as start
