"""What everything else is built on: errors, files, arrays, randomness, the console, the machine."""
