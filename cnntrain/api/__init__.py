"""What Python code and notebooks call: train, read back, measure, predict. The command line uses the same functions."""
