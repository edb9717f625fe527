"""cnntrain trains convolutional neural networks from a YAML file, in pure NumPy."""

__version__ = "0.1.0"
