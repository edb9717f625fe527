"""The losses: one file each; `base` says what a loss is."""
