"""What Python code, notebooks and the commands call: train, read back, measure, predict."""
