"""The driver for one optimizer, which the contracts of the package have: cnntrain/contracts/steps.py."""

from cnntrain.contracts.steps import SHOWN as SHOWN
from cnntrain.contracts.steps import SIZE as SIZE
from cnntrain.contracts.steps import STEPS as STEPS
from cnntrain.contracts.steps import Run as Run
from cnntrain.contracts.steps import gradient as gradient
from cnntrain.contracts.steps import momentum as momentum
from cnntrain.contracts.steps import rate as rate
from cnntrain.contracts.steps import start as start
from cnntrain.contracts.steps import tensors as tensors
