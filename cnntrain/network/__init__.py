"""A graph of layers, built from a config."""
