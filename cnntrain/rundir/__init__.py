"""The run directory: checkpoints, journal, history, environment, event files."""
