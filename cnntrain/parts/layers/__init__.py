"""The layers: one file each; `base` says what a layer is."""
