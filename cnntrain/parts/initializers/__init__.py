"""The initializers: one file each; `base` says what a initializer is."""
