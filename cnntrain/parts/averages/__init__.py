"""The averages: one file each; `base` says what an average is."""
