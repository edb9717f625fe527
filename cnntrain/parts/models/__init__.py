"""The ready models: one family a file; `base` says what a ready model is."""
