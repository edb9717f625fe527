"""The driver for one layer, which the contracts of the package have: cnntrain/contracts/alone.py."""

from cnntrain.contracts.alone import Result as Result
from cnntrain.contracts.alone import aligned_copy as aligned_copy
from cnntrain.contracts.alone import frame as frame
from cnntrain.contracts.alone import prepare_backward as prepare_backward
from cnntrain.contracts.alone import run as run
from cnntrain.contracts.alone import spoil as spoil
from cnntrain.contracts.alone import spoiled as spoiled
from cnntrain.contracts.alone import start as start
