"""Training: the loop, and what watches it."""
