"""The initializers: one file each; `base` says what an initializer is."""
