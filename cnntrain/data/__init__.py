"""Samples from files: loader, manifest, fetch, recognition."""
