"""The regularizers: one file each; `base` says what a regularizer is."""
