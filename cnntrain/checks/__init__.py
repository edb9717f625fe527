"""What is asked before training."""
