"""What everything stands on: errors, files, arrays, randomness, the console, the machine."""
