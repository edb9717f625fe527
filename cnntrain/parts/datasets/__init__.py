"""The datasets: one file each; `base` says what a dataset is."""
