"""The structures: one file each; `base` says what a structure is."""
