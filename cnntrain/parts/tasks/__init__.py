"""The tasks, what a network is asked: one file each; `base` says what a task is."""
