"""The optimizers: one file each; `base` says what a optimizer is."""
