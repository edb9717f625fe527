"""The optimizers: one file each; `base` says what an optimizer is."""
