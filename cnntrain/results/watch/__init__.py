"""Watching is looking at runs while they train: a server on this machine alone, and the page it serves."""
