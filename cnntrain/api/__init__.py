"""What Python code and notebooks call: train, read back, measure, predict. The commands use it, too."""
