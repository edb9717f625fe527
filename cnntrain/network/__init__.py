"""A graph of layers out of a config."""
