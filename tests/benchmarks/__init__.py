"""Benchmarks: run by hand, never by pytest. `python -m tests.benchmarks.compare --help`."""
