"""A network read back from a checkpoint, and data it has never seen."""
