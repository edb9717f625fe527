"""Trained networks, read back from checkpoints, and data they have never seen."""
