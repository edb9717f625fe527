"""Orders: which training samples an epoch sees, and in what order."""
