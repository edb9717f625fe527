"""The driver for one optimizer, which the contracts of the package have: cnntrain/checks/contracts/steps.py."""

from cnntrain.checks.contracts.steps import SHOWN as SHOWN
from cnntrain.checks.contracts.steps import SIZE as SIZE
from cnntrain.checks.contracts.steps import STEPS as STEPS
from cnntrain.checks.contracts.steps import Run as Run
from cnntrain.checks.contracts.steps import gradient as gradient
from cnntrain.checks.contracts.steps import rate as rate
from cnntrain.checks.contracts.steps import start as start
from cnntrain.checks.contracts.steps import tensors as tensors
