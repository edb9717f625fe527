"""What Python code and notebooks call: train, read back, measure, predict. The command line does the same by these."""
