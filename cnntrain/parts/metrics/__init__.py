"""The metrics: one file each; `base` says what a metric is."""
